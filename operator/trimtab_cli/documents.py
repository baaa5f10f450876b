"""Models -> JSON for scripts, in the API's spelling. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_cli.concerns import concerns


def policies_document(policies: Iterable[OptimizationPolicy]) -> str:
    """Return a Kubernetes List of the policies."""
    return _text({"apiVersion": "v1", "kind": "List", "items": [policy.to_body() for policy in policies]})


def policy_document(policy: OptimizationPolicy) -> str:
    """Return one policy."""
    return _text(policy.to_body())


def explanation_document(policy: OptimizationPolicy, trial: OptimizationTrial | None) -> str:
    """Return the status with the mode, the conditions that are not as they should be (`concerns`) and the trial."""
    return _text(
        {
            "namespace": policy.metadata.namespace,
            "name": policy.metadata.name,
            "mode": policy.spec.mode.value,
            "concerns": [row.to_body() for row in concerns(policy.status)],
            "status": policy.status.to_body(),
            "trial": None if trial is None else trial.to_body(),
        }
    )


def _text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
