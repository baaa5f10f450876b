"""Writes that the API server refuses for a while, by an admission policy that names just the write that is meant.

An operator whose write is refused stands between the write before and this one, for as long as a test likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template
from typing import Any

from harness.leftovers import OF_A_TEST

REGISTRATION = "admissionregistration.k8s.io/v1"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
MESSAGE = "denied by a test"


@dataclass(frozen=True)
class Denial:
    """Refuses what is written to a resource (its plural, with the subresource) where a sentence in CEL holds.

    `$namespace` in the sentence stands for the namespace of the scenario.
    """

    group: str
    version: str
    resource: str
    sentence: str

    def manifests(self, name: str, namespace: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The admission policy and its binding."""
        rule = {
            "apiGroups": [self.group],
            "apiVersions": [self.version],
            "operations": ["CREATE", "UPDATE"],
            "resources": [self.resource],
        }
        holds = Template(self.sentence).substitute(namespace=namespace)
        policy = {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": f"!({holds})", "message": MESSAGE}],
        }
        binding = {"policyName": name, "validationActions": ["Deny"]}
        return _object(POLICY, name, policy), _object(BINDING, name, binding)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict([OF_A_TEST])}
    return {"apiVersion": REGISTRATION, "kind": kind, "metadata": metadata, "spec": spec}
