"""Values that cannot work are refused before anything is installed, in words that name the value."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from harness.chart import CHART, MONITORING, Chart

from charts.generate_reference import main as generate_reference
from charts.generate_reference import rows


def nested(path: str, value: Any) -> dict[str, Any]:
    """`a.b` and a value as the values file that sets it."""
    *parents, last = path.split(".")
    values = {last: value}
    for parent in reversed(parents):
        values = {parent: values}
    return values


# The value, and the words that Helm must say beside its path.
REFUSED = [
    ("replicas", 2, "additional properties 'replicas' not allowed"),
    ("operator.replica", 2, "additional properties 'replica' not allowed"),
    ("operator.replicas", 0, "minimum: got 0, want 1"),
    ("operator.replicas", 9, "maximum: got 9, want 5"),
    ("operator.replicas", "2", "got string, want integer"),
    ("maxMode", "Off", "value must be one of 'Recommend', 'Apply'"),
    ("maxMode", "apply", "value must be one of 'Recommend', 'Apply'"),
    ("logLevel", "verbose", "value must be one of 'debug', 'info', 'warning', 'error'"),
    ("image.tag", 20261122, "got number, want string"),
    ("image.tag", "has space", "does not match pattern"),
    ("image.registry", "https://registry.example", "does not match pattern"),
    ("image.repository", "Trimtab/Control", "does not match pattern"),
    ("image.digest", "sha256:abc", "does not match pattern"),
    ("image.pullPolicy", "Sometimes", "value must be one of 'Always', 'IfNotPresent', 'Never'"),
    ("prometheus.url", "prometheus:9090", "does not match pattern"),
    ("prometheus.tls", {}, "additional properties 'tls' not allowed"),
    ("prometheus.caBundle.inline", "not PEM", "does not match pattern"),
    ("prometheus.auth.basic.secretName", "Has_Capitals", "does not match pattern"),
    ("prometheus.tenantHeader.name", "X Scope", "does not match pattern"),
    ("labels.pod", "exported-pod", "does not match pattern"),
    ("watchNamespaces", "prod", "got string, want array"),
    ("watchNamespaces", ["prod", "prod"], "items at 0 and 1 are equal"),
    ("watchNamespaces", ["Prod"], "does not match pattern"),
    ("scrapeIntervalSeconds", "15s", "got string, want null or integer"),
    ("scrapeIntervalSeconds", 0, "minimum: got 0, want 1"),
    ("agent.enabled", "true", "got string, want boolean"),
    ("agent.podLogsDir", "var/log/pods", "does not match pattern"),
    ("agent.intervalSeconds", 0, "minimum: got 0, want 1"),
    ("agent.extraVolumes", [{"hostPath": {"path": "/a"}}], "missing property 'name'"),
    ("agent.privileged", True, "additional properties 'privileged' not allowed"),
    ("crds.keep", True, "additional properties 'keep' not allowed"),
    ("networkPolicy.apiServerPorts", [], "minItems: got 0, want 1"),
    ("networkPolicy.prometheusPorts", [70000], "maximum: got 70,000, want 65,535"),
    ("imagePullSecrets", ["pull"], "got string, want object"),
    ("metrics.podMonitor.interval", "15s", "additional properties 'interval' not allowed"),
]


@pytest.mark.parametrize(("path", "value", "words"), REFUSED, ids=[f"{path}={value}" for path, value, _ in REFUSED])
def test_a_wrong_value_is_refused_by_its_path(chart: Chart, path: str, value: Any, words: str) -> None:
    message = chart.refusal(nested(path, value))
    parent = path.rpartition(".")[0] if "additional" in words else path
    assert words in message
    assert parent.replace(".", "/") in message


CONTRADICTIONS = [
    pytest.param({"prometheus": {"url": ""}}, "prometheus.url is not set", id="no address"),
    pytest.param(
        {"prometheus": {"auth": {"basic": {"secretName": "a"}, "bearer": {"secretName": "b"}}}},
        "prometheus.auth.basic.secretName and prometheus.auth.bearer.secretName are both set",
        id="two kinds of credentials",
    ),
    pytest.param(
        {"prometheus": {"caBundle": {"inline": "-----BEGIN CERTIFICATE-----", "configMapName": "b"}}},
        "prometheus.caBundle.inline and prometheus.caBundle.configMapName are both set",
        id="two bundles",
    ),
    pytest.param(
        {"prometheus": {"caBundle": {"configMapName": "b"}}},
        "prometheus.url does not begin with https://",
        id="a bundle for plain http",
    ),
    pytest.param(
        {"prometheus": {"tenantHeader": {"name": "X-Scope-OrgID"}}},
        "prometheus.tenantHeader needs both name and value",
        id="a header without a value",
    ),
    pytest.param(
        {"metrics": {"podMonitor": {"enabled": True}}},
        "does not serve monitoring.coreos.com/v1 PodMonitor",
        id="a PodMonitor without its kind",
    ),
    pytest.param(
        {"metrics": {"prometheusRule": {"enabled": True}}},
        "set metrics.prometheusRule.enabled=false",
        id="a PrometheusRule without its kind",
    ),
]


@pytest.mark.parametrize(("values", "words"), CONTRADICTIONS)
def test_values_that_contradict_each_other_are_refused_with_the_way_out(
    chart: Chart, values: dict[str, Any], words: str
) -> None:
    assert words in chart.refusal(values)


def test_kinds_of_prometheus_operator_are_made_where_they_are_served(chart: Chart) -> None:
    values = {"metrics": {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}}
    rendered = chart.render(values, api_versions=MONITORING)
    assert "PodMonitor/trimtab" in rendered
    assert "PrometheusRule/trimtab" in rendered


def test_the_kinds_of_prometheus_operator_are_off_unless_asked_for(chart: Chart) -> None:
    assert chart.render(api_versions=MONITORING).of("PodMonitor", "PrometheusRule") == []


def test_the_schema_describes_exactly_the_values_that_exist() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    described = {row.split("`")[1] for row in rows(schema, defaults)}

    def leaves(entry: Any, below: dict[str, Any], path: str = "") -> set[str]:
        if "properties" not in below:
            return {path}
        return {leaf for name in entry for leaf in leaves(entry[name], below["properties"][name], f"{path}.{name}")}

    assert {leaf.removeprefix(".") for leaf in leaves(defaults, schema)} == described


def test_every_object_of_the_schema_refuses_what_it_does_not_know() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def open_objects(entry: dict[str, Any], path: str) -> list[str]:
        below = entry.get("properties", {})
        here = [path] if below and entry.get("additionalProperties") is not False else []
        return here + [found for name, child in below.items() for found in open_objects(child, f"{path}.{name}")]

    assert open_objects(schema, "") == []


def test_the_reference_page_is_fresh() -> None:
    assert generate_reference(["--check"]) == 0
