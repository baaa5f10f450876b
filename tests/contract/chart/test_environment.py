"""The chart and the programs agree: what is rendered is read, by the programs' own settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.chart import Chart, Rendered

from trimtab_operator.settings import Settings

ROOT = Path(__file__).parents[3]
OPERATOR = "Deployment/trimtab-operator"
PROGRAMS = [
    (OPERATOR, "operator/trimtab_operator"),
    ("DaemonSet/trimtab-agent", "agent/trimtab_agent"),
]


def settings(rendered: Rendered, **referred: str) -> Settings:
    """The operator's settings from its rendered variables; `referred` stands for fields and Secrets."""
    written = {name: value for name, value in rendered.environment(OPERATOR).items() if value is not None}
    return Settings.from_environ({**written, **referred})


@pytest.mark.parametrize(("workload", "package"), PROGRAMS)
def test_every_variable_of_ours_is_read_by_the_program(chart: Chart, workload: str, package: str) -> None:
    values = {
        "scrapeIntervalSeconds": 15,
        "watchNamespaces": ["a"],
        "recording": {"enabled": True},
        "prometheus": {
            "url": "https://p.example",
            "auth": {"basic": {"secretName": "a"}},
            "caBundle": {"configMapName": "b"},
            "tenantHeader": {"name": "X-Scope-OrgID", "value": "c"},
        },
    }
    source = "".join(path.read_text() for path in (ROOT / package).rglob("*.py"))
    names = chart.render(values).environment(workload)
    unread = [name for name in names if name.startswith(("TRIMTAB_", "POD_", "NODE_")) and f'"{name}"' not in source]
    assert unread == []


def test_the_operator_understands_the_defaults(chart: Chart) -> None:
    found = settings(chart.render(), POD_NAME="trimtab-operator-x", POD_NAMESPACE="trimtab-system")
    assert found.prometheus.url == "http://prometheus-operated.monitoring.svc:9090"
    assert (found.port, found.log_level, found.lease.enabled) == (9102, "info", True)
    assert found.mode_configmap == "trimtab-mode"
    assert found.watch_namespaces == ()
    assert found.recording is None
    assert (found.label_namespace, found.label_pod, found.scrape_interval_seconds) == (None, None, None)


def test_the_operator_understands_every_value_that_is_for_it(chart: Chart) -> None:
    values: dict[str, Any] = {
        "logLevel": "debug",
        "scrapeIntervalSeconds": 15,
        "watchNamespaces": ["prod", "staging"],
        "labels": {"namespace": "kubernetes_namespace", "pod": "kubernetes_pod_name"},
        "prometheus": {
            "url": "https://p.example/prometheus",
            "auth": {"basic": {"secretName": "login"}},
            "caBundle": {"configMapName": "company-ca", "key": "bundle.pem"},
            "tenantHeader": {"name": "X-Scope-OrgID", "value": "team-a"},
        },
    }
    rendered = chart.render(values)
    found = settings(rendered, TRIMTAB_PROMETHEUS_USERNAME="reader")
    assert (found.log_level, found.scrape_interval_seconds) == ("debug", 15)
    assert found.watch_namespaces == ("prod", "staging")
    assert (found.label_namespace, found.label_pod) == ("kubernetes_namespace", "kubernetes_pod_name")
    assert found.prometheus.tenant_header == ("X-Scope-OrgID", "team-a")
    assert mounted(rendered, found.prometheus.password_file) == ("login", "password")
    assert mounted(rendered, found.prometheus.ca_file) == ("company-ca", "bundle.pem")


def test_a_bearer_token_is_mounted_where_the_operator_reads_it(chart: Chart) -> None:
    bearer = {"secretName": "token-of-reader", "tokenKey": "jwt"}
    rendered = chart.render({"prometheus": {"auth": {"bearer": bearer}}})
    assert mounted(rendered, settings(rendered).prometheus.bearer_token_file) == ("token-of-reader", "jwt")


def test_an_inline_bundle_becomes_a_config_map_and_its_change_a_rollout(chart: Chart) -> None:
    def rendered(pem: str) -> Rendered:
        return chart.render({"prometheus": {"url": "https://p.example", "caBundle": {"inline": pem}}})

    first, second = (rendered(f"-----BEGIN CERTIFICATE-----\n{body}\n") for body in ("AAAA", "BBBB"))
    assert mounted(first, settings(first).prometheus.ca_file) == ("trimtab-prometheus-ca", "ca.crt")
    assert "AAAA" in first["ConfigMap/trimtab-prometheus-ca"]["data"]["ca.crt"]
    annotations = [entry[OPERATOR]["spec"]["template"]["metadata"]["annotations"] for entry in (first, second)]
    assert annotations[0] != annotations[1]


def test_a_recording_lies_on_a_volume_that_holds_it(chart: Chart) -> None:
    rendered = chart.render({"recording": {"enabled": True, "size": "16Mi"}})
    found = settings(rendered).recording
    assert found is not None
    assert found.limit_bytes == 16 * 2**20
    mounts = {mount["mountPath"]: mount["name"] for mount in rendered.container(OPERATOR)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in rendered.pod(OPERATOR)["volumes"]}
    assert volumes[mounts[str(found.directory)]]["emptyDir"] == {"sizeLimit": "16Mi"}


@pytest.mark.parametrize("mode", ["Recommend", "Apply"])
def test_the_kill_switch_is_the_config_map_that_the_operator_reads(chart: Chart, mode: str) -> None:
    rendered = chart.render({"maxMode": mode})
    name = settings(rendered).mode_configmap
    assert rendered[f"ConfigMap/{name}"]["data"] == {"maxMode": mode}


def test_flipping_the_kill_switch_restarts_nothing(chart: Chart) -> None:
    on, off = (chart.render({"maxMode": mode}) for mode in ("Recommend", "Apply"))
    assert on[OPERATOR] == off[OPERATOR]


def mounted(rendered: Rendered, path: str | None) -> tuple[str, str]:
    """Name of the Secret or ConfigMap, and the key in it, behind a path in the operator's container."""
    assert path is not None
    folder, _, file = path.rpartition("/")
    (mount,) = [entry for entry in rendered.container(OPERATOR)["volumeMounts"] if entry["mountPath"] == folder]
    (volume,) = [entry for entry in rendered.pod(OPERATOR)["volumes"] if entry["name"] == mount["name"]]
    source = volume.get("secret") or volume["configMap"]
    (key,) = [item["key"] for item in source["items"] if item["path"] == file]
    return source.get("secretName") or source["name"], key
