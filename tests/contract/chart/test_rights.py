"""What each account may do, as one table: the chart may grant no more and no less."""

from __future__ import annotations

from typing import Any

import pytest
from harness.chart import Chart, Rendered

from trimtab_api import wire

Right = tuple[str, str, str, str]  # API group, resource, names, verbs

WATCHED: set[Right] = {
    ("trimtab.dev", "optimizationpolicies", "", "get list watch"),
    ("trimtab.dev", "optimizationpolicies/status", "", "patch"),
    ("trimtab.dev", "optimizationtrials", "", "create delete list"),
    ("trimtab.dev", "optimizationtrials/status", "", "patch"),
    ("apps", "deployments", "", "get"),
    ("apps", "deployments/scale", "", "get patch"),
    ("", "pods", "", "get list"),
    ("", "configmaps", "trimtab-ca", "get patch"),
    ("", "configmaps", "", "create"),
    ("autoscaling", "horizontalpodautoscalers", "", "list"),
    ("keda.sh", "scaledobjects", "", "list"),
    ("", "events", "", "create patch"),
}
CLUSTER: set[Right] = {
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "nodetunings.trimtab.dev optimizationpolicies.trimtab.dev optimizationtrials.trimtab.dev",
        "get",
    ),
    ("trimtab.dev", "nodetunings", "", "create get list patch"),
    ("", "nodes", "", "get"),
    ("certificates.k8s.io", "certificatesigningrequests", "", "list"),
    ("certificates.k8s.io", "certificatesigningrequests/approval", "", "update"),
    ("certificates.k8s.io", "certificatesigningrequests/status", "", "update"),
    ("certificates.k8s.io", "signers", "trimtab.dev/agent-serving", "approve sign"),
}
OWN_NAMESPACE: set[Right] = {
    ("", "configmaps", "trimtab-mode", "get"),
    ("coordination.k8s.io", "leases", "trimtab-operator", "get update"),
    ("coordination.k8s.io", "leases", "", "create"),
    ("", "secrets", "trimtab-ca", "get patch"),
    ("", "secrets", "", "create"),
}
AGENT: set[Right] = {
    ("certificates.k8s.io", "certificatesigningrequests", "", "create get"),
    ("authentication.k8s.io", "tokenreviews", "", "create"),
    ("trimtab.dev", "nodetunings", "", "get list watch"),
    ("trimtab.dev", "nodetunings/status", "", "patch"),
}
PEOPLE: dict[str, set[Right]] = {
    "trimtab-view": {
        ("trimtab.dev", kind, "", "get list watch")
        for kind in ("optimizationpolicies", "optimizationtrials", "nodetunings")
    },
    "trimtab-edit": {("trimtab.dev", "optimizationpolicies", "", "create delete patch update")},
    "trimtab-approve": {("trimtab.dev", "optimizationtrials", "", "get patch")},
}
ACCOUNTS = {
    program: {"kind": "ServiceAccount", "name": f"trimtab-{program}", "namespace": "trimtab-system"}
    for program in ("operator", "agent")
}
CLUSTER_ROLE = "ClusterRole/trimtab-system:trimtab-operator"
AGENT_ROLE = "ClusterRole/trimtab-system:trimtab-agent"
VALIDATING = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
ADMISSION_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


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
    assert rights(rendered[CLUSTER_ROLE]) == WATCHED | CLUSTER
    assert rights(rendered["Role/trimtab-operator"]) == OWN_NAMESPACE
    assert {role["metadata"]["namespace"] for role in rendered.of("Role")} == {"trimtab-system"}


def test_watching_named_namespaces_gives_the_table_in_those_only(chart: Chart) -> None:
    rendered = chart.render({"watchNamespaces": ["prod", "staging"]})
    assert rights(rendered[CLUSTER_ROLE]) == CLUSTER
    watched = {
        role["metadata"]["namespace"]: rights(role)
        for role in rendered.of("Role")
        if role["metadata"]["name"] == "trimtab-operator-watch"
    }
    assert watched == {"prod": WATCHED, "staging": WATCHED}
    assert rendered.environment("Deployment/trimtab-operator")["TRIMTAB_WATCH_NAMESPACES"] == "prod,staging"


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["prod"]}], ids=["cluster", "namespaces"])
def test_every_binding_binds_an_account_to_its_own_role_of_the_chart(chart: Chart, values: dict[str, Any]) -> None:
    rendered = chart.render(values)
    roles = {(role["kind"], role["metadata"]["name"]) for role in rendered.of("Role", "ClusterRole")}
    bindings = rendered.of("RoleBinding", "ClusterRoleBinding")
    assert bindings
    for binding in bindings:
        program = "agent" if binding["metadata"]["name"].endswith("agent") else "operator"
        assert binding["subjects"] == [ACCOUNTS[program]]
        assert program in binding["roleRef"]["name"]
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["prod"]}], ids=["cluster", "namespaces"])
def test_no_rule_has_a_wildcard_and_only_the_secret_of_the_authority_is_read(
    chart: Chart, values: dict[str, Any]
) -> None:
    for role in chart.render(values).of("Role", "ClusterRole"):
        for rule in role["rules"]:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"], *rule.get("resourceNames", [])]
            assert not any("*" in word for word in words), Rendered.key(role)
            if "secrets" in rule["resources"]:
                assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "trimtab-system")
                assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["trimtab-ca"]
            assert {"escalate", "bind", "impersonate", "deletecollection"}.isdisjoint(rule["verbs"])


def test_the_agent_has_its_table_and_none_where_it_is_left_out(chart: Chart) -> None:
    rendered = chart.render()
    assert rendered.pod("DaemonSet/trimtab-agent")["serviceAccountName"] == "trimtab-agent"
    assert rights(rendered[AGENT_ROLE]) == AGENT
    without = chart.render({"agent": {"enabled": False}}, api_versions=[VALIDATING])
    assert AGENT_ROLE not in without
    assert {entry["metadata"]["name"] for entry in without.of(*ADMISSION_KINDS)} == {
        "trimtab-operator-writes.trimtab-system"
    }


@pytest.mark.parametrize(
    ("policy", "account", "rule"),
    [
        (
            "trimtab-agent-own-node.trimtab-system",
            "system:serviceaccount:trimtab-system:trimtab-agent",
            {
                "apiGroups": ["trimtab.dev"], "apiVersions": ["v1alpha1"],
                "operations": ["UPDATE"], "resources": ["nodetunings/status"],
            },
        ),
        (
            "trimtab-operator-writes.trimtab-system",
            "system:serviceaccount:trimtab-system:trimtab-operator",
            {
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["configmaps", "secrets"],
            },
        ),
    ],
)  # fmt: skip
def test_what_roles_cannot_say_an_admission_policy_denies(
    chart: Chart, policy: str, account: str, rule: dict[str, Any]
) -> None:
    rendered = chart.render(api_versions=[VALIDATING])
    spec = rendered[f"ValidatingAdmissionPolicy/{policy}"]["spec"]
    assert spec["failurePolicy"] == "Fail"
    assert spec["matchConstraints"]["resourceRules"] == [rule]
    (condition,) = spec["matchConditions"]
    assert condition["expression"] == f"request.userInfo.username == '{account}'"
    binding = rendered[f"ValidatingAdmissionPolicyBinding/{policy}"]["spec"]
    assert binding == {"policyName": policy, "validationActions": ["Deny"]}


def test_a_server_without_such_policies_gets_none(chart: Chart) -> None:
    assert chart.render(kube_version="1.29.0").of(*ADMISSION_KINDS) == []


def test_the_operator_signs_for_the_signer_and_by_the_names_that_both_programs_know(chart: Chart) -> None:
    rules = chart.render()[CLUSTER_ROLE]["rules"]
    named = {name for rule in rules for name in rule.get("resourceNames", [])}
    assert {wire.SIGNER, wire.CA_CONFIG_MAP} <= named


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
    assert names == {"trimtab-system:trimtab-operator", "trimtab-system:trimtab-agent"}
