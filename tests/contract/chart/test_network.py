"""Who may reach Trimtab's pods, and whom they may reach."""

from __future__ import annotations

from typing import Any

import pytest
from harness.chart import Chart, Rendered

from trimtab_api.wire import PORT

OPERATOR = "NetworkPolicy/trimtab-operator"
AGENT = "NetworkPolicy/trimtab-agent"
NAMES = {("UDP", 53), ("TCP", 53), ("UDP", 5353), ("TCP", 5353)}
MONITORING_NAMESPACE = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def ports(rules: list[dict[str, Any]]) -> set[tuple[str, int]]:
    return {(entry["protocol"], entry["port"]) for rule in rules for entry in rule["ports"]}


@pytest.mark.parametrize(
    ("policy", "workload"), [(OPERATOR, "Deployment/trimtab-operator"), (AGENT, "DaemonSet/trimtab-agent")]
)
def test_a_policy_selects_its_pods_in_both_directions(chart: Chart, policy: str, workload: str) -> None:
    rendered = chart.render()
    spec = rendered[policy]["spec"]
    labels = rendered[workload]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}


def test_the_operator_reaches_dns_the_api_server_and_prometheus_and_nothing_else(chart: Chart) -> None:
    egress = chart.render()[OPERATOR]["spec"]["egress"]
    assert ports(egress) == NAMES | {("TCP", 443), ("TCP", 6443), ("TCP", 9090)}


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://prometheus.monitoring:8428/select/0/prometheus", 8428),
        ("http://prometheus.monitoring", 80),
        ("https://metrics.example/prometheus", 443),
        ("https://[fd00::1]:9443", 9443),
    ],
)
def test_the_port_in_the_address_of_prometheus_is_open(chart: Chart, url: str, port: int) -> None:
    egress = chart.render({"prometheus": {"url": url}})[OPERATOR]["spec"]["egress"]
    assert {("TCP", port), ("TCP", 9090)} <= ports(egress)


def test_the_ports_follow_the_values(chart: Chart) -> None:
    values = {"networkPolicy": {"apiServerPorts": [16443], "prometheusPorts": [8429]}}
    rendered = chart.render(values)
    found = ports(rendered[OPERATOR]["spec"]["egress"])
    assert {("TCP", 16443), ("TCP", 8429)} <= found
    assert ("TCP", 6443) not in found
    assert ports(rendered[AGENT]["spec"]["egress"]) == NAMES | {("TCP", 16443)}


def test_the_agent_reaches_dns_and_the_api_server_and_nothing_else(chart: Chart) -> None:
    assert ports(chart.render()[AGENT]["spec"]["egress"]) == NAMES | {("TCP", 443), ("TCP", 6443)}


def test_of_the_operator_only_the_port_of_the_metrics_is_open(chart: Chart) -> None:
    (rule,) = chart.render()[OPERATOR]["spec"]["ingress"]
    assert rule == {"ports": [{"port": 9102, "protocol": "TCP"}]}


def test_of_the_agent_the_metrics_are_open_to_all_and_the_settings_to_pods_of_the_cluster(chart: Chart) -> None:
    metrics, settings = chart.render()[AGENT]["spec"]["ingress"]
    assert metrics == {"ports": [{"port": 9101, "protocol": "TCP"}]}
    assert settings == {"ports": [{"port": PORT, "protocol": "TCP"}], "from": [{"namespaceSelector": {}}]}


def test_scraping_can_be_narrowed_and_helm_test_still_gets_through(chart: Chart) -> None:
    rendered = chart.render({"networkPolicy": {"metricsFrom": [MONITORING_NAMESPACE]}})
    agent, settings = rendered[AGENT]["spec"]["ingress"]
    assert agent["from"] == [MONITORING_NAMESPACE]
    assert settings["from"] == [{"namespaceSelector": {}}]
    (operator,) = rendered[OPERATOR]["spec"]["ingress"]
    assert operator["from"][0] == MONITORING_NAMESPACE
    check = rendered["Pod/trimtab-check-install"]["metadata"]["labels"]
    assert operator["from"][1]["podSelector"]["matchLabels"].items() <= check.items()


def test_network_policies_can_be_left_to_somebody_else(chart: Chart) -> None:
    rendered: Rendered = chart.render({"networkPolicy": {"enabled": False}})
    assert rendered.of("NetworkPolicy") == []
