"""Rendered configurations: everything private, everything at its own port, and an audit log that tests can judge by."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster import audit, dns, namespace, network, node, registry
from dev.cluster.certificates import IDENTITIES, extensions
from dev.cluster.paths import Paths, default_paths

PATHS = Paths(cache=Path("/c/cache"), state=Path("/s/state"), cgroup="trimtab-test")
DNS_OBJECTS = dns.objects("image", ["192.0.2.53"])


def strings(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for value in document.values():
            yield from strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from strings(value)
    elif isinstance(document, str):
        yield document


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(tomllib.loads(node.containerd_configuration(PATHS, "pause")), id="containerd"),
        pytest.param(node.kubelet_configuration(PATHS), id="kubelet"),
        pytest.param(node.proxy_configuration(PATHS), id="kube-proxy"),
        pytest.param(node.network_configuration(PATHS), id="cni"),
        pytest.param(registry.configuration(PATHS), id="registry"),
    ],
)
def test_no_configuration_names_a_directory_of_the_system(document: object) -> None:
    named = [text.removeprefix("unix://") for text in strings(document)]
    outside = [text for text in named if text.startswith("/") and not text.startswith(("/s/state", "/c/cache"))]
    assert [text for text in outside if text not in {"/usr/lib/cni", f"/{PATHS.cgroup}"}] == []


def test_containerd_finds_our_registry_and_the_sandbox_image() -> None:
    plugin = tomllib.loads(node.containerd_configuration(PATHS, "host/pause:1"))["plugins"]["io.containerd.grpc.v1.cri"]
    assert plugin["sandbox_image"] == "host/pause:1"
    assert plugin["registry"]["config_path"] == "/s/state/registries"


def test_what_lies_over_a_system_directory_is_private() -> None:
    assert all(private.is_relative_to(PATHS.state) for private in namespace.overlaid(PATHS).values())
    assert all(str(system) in namespace.script(PATHS) for system in namespace.overlaid(PATHS))


def level(user: str, groups: list[str], request: tuple[str, str, str]) -> object:
    """The level of the first rule that matches, as the API server evaluates a policy."""
    verb, group, resource = request
    for rule in audit.policy()["rules"]:  # type: ignore[attr-defined]
        resources = rule.get("resources")
        matches = (
            ("users" not in rule or user in rule["users"])
            and ("userGroups" not in rule or set(groups) & set(rule["userGroups"]))
            and ("verbs" not in rule or verb in rule["verbs"])
            and (
                resources is None
                or any(r["group"] == group and resource in r.get("resources", [resource]) for r in resources)
            )
        )
        if matches:
            return rule["level"]
    return None


OPERATOR = "system:serviceaccount:trimtab-system:trimtab-operator"
OURS = ["system:serviceaccounts", "system:serviceaccounts:trimtab-system", "system:authenticated"]


@pytest.mark.parametrize(
    ("user", "groups", "request_", "expected"),
    [
        pytest.param(OPERATOR, OURS, ("patch", "apps", "deployments/scale"), "Request", id="scaling-with-body"),
        pytest.param(OPERATOR, OURS, ("patch", "trimtab.dev", "optimizationpolicies/status"), "Request", id="status"),
        pytest.param(OPERATOR, OURS, ("create", "", "events"), "Metadata", id="other-writes"),
        pytest.param(OPERATOR, OURS, ("list", "apps", "deployments"), "Metadata", id="reads-of-our-accounts"),
        pytest.param("admin", ["system:masters"], ("get", "", "pods"), "None", id="reads-of-others"),
        pytest.param("admin", ["system:masters"], ("delete", "", "pods"), "Metadata", id="writes-of-others"),
        pytest.param("system:node:n", ["system:nodes"], ("patch", "", "nodes/status"), "None", id="the-kubelet"),
    ],
)
def test_the_audit_log_shows_what_tests_judge_by(
    user: str, groups: list[str], request_: tuple[str, str, str], expected: str
) -> None:
    assert level(user, groups, request_) == expected


def test_only_those_who_serve_get_a_server_certificate() -> None:
    texts = {identity.name: extensions(identity) for identity in IDENTITIES}
    assert {name for name, text in texts.items() if "serverAuth" in text} == {"apiserver", "etcd", "kubelet"}
    assert "IP:10.244.0.1" in texts["apiserver"]
    assert "IP:10.96.0.1" in texts["apiserver"]


@pytest.mark.parametrize(
    ("resolver", "expected"),
    [
        ("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", ["192.0.2.1", "192.0.2.2"]),
        ("search example\nnameserver 127.0.0.53\n", []),
        ("# nameserver 192.0.2.9\nnameserver ::1\nnameserver 2001:db8::1", ["2001:db8::1"]),
        ("", []),
    ],
)
def test_name_servers_that_pods_cannot_reach_are_left_out(resolver: str, expected: list[str]) -> None:
    assert network.nameservers(resolver) == expected


def test_cluster_dns_forwards_nothing_where_the_host_has_no_name_server() -> None:
    assert "forward" not in dns.corefile([])
    assert "forward . 192.0.2.53" in dns.corefile(["192.0.2.53"])


def test_a_changed_dns_configuration_restarts_coredns() -> None:
    stamps = {
        re.findall(r"'trimtab.dev/configuration': '(\w+)'", str(dns.objects("image", upstream)))[0]
        for upstream in ([], ["192.0.2.53"])
    }
    assert len(stamps) == 2


def test_a_second_state_directory_gets_a_cgroup_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIMTAB_STATE", raising=False)
    usual = default_paths()
    monkeypatch.setenv("TRIMTAB_STATE", str(tmp_path))
    assert usual.cgroup == "trimtab"
    assert default_paths().cgroup not in {"trimtab", ""}
    assert default_paths().cgroup == default_paths().cgroup
