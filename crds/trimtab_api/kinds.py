"""The three kinds as CustomResourceDefinitions: names, scope, printer columns and rules on the whole object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab_api.base import GROUP, VALIDATIONS, VERSION, ApiModel, Cel, cel
from trimtab_api.node_tuning import NodeTuning
from trimtab_api.policy import MAX_POLICY_NAME, OptimizationPolicy
from trimtab_api.structural import structural_schema
from trimtab_api.trial import OptimizationTrial

REVISION_ANNOTATION = "trimtab.dev/schema-revision"
CATEGORY = "trimtab"


@dataclass(frozen=True)
class Kind:
    """One custom resource."""

    model: type[ApiModel]
    plural: str
    singular: str
    short_name: str
    scope: str
    columns: Mapping[str, str]
    rules: tuple[Cel, ...] = ()

    @property
    def name(self) -> str:
        """The kind, as manifests spell it."""
        return self.model.__name__

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


KINDS = (
    Kind(
        model=OptimizationPolicy,
        plural="optimizationpolicies",
        singular="optimizationpolicy",
        short_name="optpol",
        scope="Namespaced",
        columns={
            "Phase": ".status.phase",
            "Mode": ".spec.mode",
            "Objectives": ".status.objectivesSummary",
            "Bottleneck": ".status.bottleneckSummary",
            "Replicas": ".status.replicasSummary",
            "Saving": ".status.savingSummary",
            "Trusted": ".status.trustedSummary",
        },
        rules=(
            Cel(
                f"size(self.metadata.name) <= {MAX_POLICY_NAME}",
                f"metadata.name must have at most {MAX_POLICY_NAME} characters: trials are named after it",
            ),
        ),
    ),
    Kind(
        model=OptimizationTrial,
        plural="optimizationtrials",
        singular="optimizationtrial",
        short_name="opttrial",
        scope="Namespaced",
        columns={
            "Policy": ".spec.policy",
            "Change": ".spec.changeSummary",
            "Design": ".spec.design",
            "Predicted": ".spec.predictedSummary",
            "Observed": ".status.observedSummary",
            "Verdict": ".status.verdict",
        },
    ),
    Kind(
        model=NodeTuning,
        plural="nodetunings",
        singular="nodetuning",
        short_name="nodetune",
        scope="Cluster",
        columns={"Applied": ".status.summary"},
    ),
)


def crd_of(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind, without its revision annotation. Raises SchemaError."""
    columns = [{"name": name, "type": "string", "jsonPath": path} for name, path in kind.columns.items()]
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name, "annotations": {}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "scope": kind.scope,
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": _object_schema(kind)},
                }
            ],
        },
    }


def _object_schema(kind: Kind) -> dict[str, Any]:
    fields = kind.model.model_fields
    parts = kind.model.model_json_schema(by_alias=True)
    definitions = parts["$defs"]
    spec_and_status = {
        "type": "object",
        "properties": {name: parts["properties"][name] for name in ("spec", "status")},
        "required": ["spec"],
        "$defs": definitions,
    }
    converted = structural_schema(spec_and_status, kind.name)
    schema: dict[str, Any] = {
        "description": str(kind.model.__doc__),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": fields["api_version"].description, "type": "string"},
            "kind": {"description": fields["kind"].description, "type": "string"},
            "metadata": {"type": "object"},
            **converted["properties"],
        },
    }
    if kind.rules:
        schema[VALIDATIONS] = cel(*kind.rules)[VALIDATIONS]
    return schema
