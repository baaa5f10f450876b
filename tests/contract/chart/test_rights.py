"""What each account may do, as one table: the chart may grant no more and no less."""

from __future__ import annotations

from typing import Any

import pytest
from harness.chart import Chart, Rendered

Right = tuple[str, str, str, str]  # API group, resource, names, verbs

WATCHED: set[Right] = {
    ("trimtab.dev", "optimizationpolicies", "", "get list watch"),
    ("trimtab.dev", "optimizationpolicies/status", "", "patch"),
    ("apps", "deployments", "", "get"),
    ("apps", "deployments/scale", "", "get patch"),
    ("", "pods", "", "list"),
    ("autoscaling", "horizontalpodautoscalers", "", "list"),
    ("keda.sh", "scaledobjects", "", "list"),
    ("", "events", "", "create patch"),
}
DEFINITIONS: set[Right] = {
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "nodetunings.trimtab.dev optimizationpolicies.trimtab.dev optimizationtrials.trimtab.dev",
        "get",
    ),
}
OWN_NAMESPACE: set[Right] = {
    ("", "configmaps", "trimtab-mode", "get"),
    ("coordination.k8s.io", "leases", "trimtab-operator", "get update"),
    ("coordination.k8s.io", "leases", "", "create"),
}
PEOPLE: dict[str, set[Right]] = {
    "trimtab-view": {
        ("trimtab.dev", kind, "", "get list watch")
        for kind in ("optimizationpolicies", "optimizationtrials", "nodetunings")
    },
    "trimtab-edit": {("trimtab.dev", "optimizationpolicies", "", "create delete patch update")},
    "trimtab-approve": {("trimtab.dev", "optimizationtrials", "", "get patch")},
}
OPERATOR = {"kind": "ServiceAccount", "name": "trimtab-operator", "namespace": "trimtab-system"}
CLUSTER_ROLE = "ClusterRole/trimtab-system:trimtab-operator"


def rights(role: dict[str, Any]) -> set[Right]:
    """A role as rows of the table."""
    return {
        (group, resource, " ".join(sorted(rule.get("resourceNames", []))), " ".join(sorted(rule["verbs"])))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_watching_the_whole_cluster_gives_the_table_cluster_wide(chart: Chart) -> None:
    rendered = chart.render()
    assert rights(rendered[CLUSTER_ROLE]) == WATCHED | DEFINITIONS
    assert rights(rendered["Role/trimtab-operator"]) == OWN_NAMESPACE
    assert {role["metadata"]["namespace"] for role in rendered.of("Role")} == {"trimtab-system"}


def test_watching_named_namespaces_gives_the_table_in_those_only(chart: Chart) -> None:
    rendered = chart.render({"watchNamespaces": ["prod", "staging"]})
    assert rights(rendered[CLUSTER_ROLE]) == DEFINITIONS
    watched = {
        role["metadata"]["namespace"]: rights(role)
        for role in rendered.of("Role")
        if role["metadata"]["name"] == "trimtab-operator-watch"
    }
    assert watched == {"prod": WATCHED, "staging": WATCHED}
    assert rendered.environment("Deployment/trimtab-operator")["TRIMTAB_WATCH_NAMESPACES"] == "prod,staging"


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["prod"]}], ids=["cluster", "namespaces"])
def test_every_binding_binds_the_operators_account_to_a_role_of_the_chart(chart: Chart, values: dict[str, Any]) -> None:
    rendered = chart.render(values)
    roles = {(role["kind"], role["metadata"]["name"]) for role in rendered.of("Role", "ClusterRole")}
    bindings = rendered.of("RoleBinding", "ClusterRoleBinding")
    assert bindings
    for binding in bindings:
        assert binding["subjects"] == [OPERATOR]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["prod"]}], ids=["cluster", "namespaces"])
def test_no_rule_has_a_wildcard_or_touches_secrets(chart: Chart, values: dict[str, Any]) -> None:
    for role in chart.render(values).of("Role", "ClusterRole"):
        for rule in role["rules"]:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"], *rule.get("resourceNames", [])]
            assert not any("*" in word for word in words), Rendered.key(role)
            assert "secrets" not in rule["resources"]
            assert {"escalate", "bind", "impersonate", "deletecollection"}.isdisjoint(rule["verbs"])


def test_nothing_is_bound_to_the_agents_account(chart: Chart) -> None:
    rendered = chart.render()
    assert rendered.pod("DaemonSet/trimtab-agent")["serviceAccountName"] == "trimtab-agent"
    subjects = [
        subject["name"]
        for binding in rendered.of("RoleBinding", "ClusterRoleBinding")
        for subject in binding["subjects"]
    ]
    assert "trimtab-agent" not in subjects


@pytest.mark.parametrize(
    ("role", "into"),
    [("trimtab-view", "view"), ("trimtab-edit", "edit"), ("trimtab-approve", "admin")],
)
def test_a_role_for_people_adds_to_the_clusters_own(chart: Chart, role: str, into: str) -> None:
    found = chart.render()[f"ClusterRole/{role}"]
    assert rights(found) == PEOPLE[role]
    aggregates = {key for key in found["metadata"]["labels"] if key.startswith("rbac.authorization.k8s.io/")}
    assert aggregates == {f"rbac.authorization.k8s.io/aggregate-to-{into}"}


def test_the_roles_for_people_can_be_left_to_another_release(chart: Chart) -> None:
    names = {role["metadata"]["name"] for role in chart.render({"rbac": {"userRoles": False}}).of("ClusterRole")}
    assert names == {"trimtab-system:trimtab-operator"}
