"""The trials of one policy: the ledger of every change ever tried, read live."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import TRIALS
from trimtab_operator.trial.draft import POLICY_LABEL, number_of


@dataclass(frozen=True)
class Trials:
    """Trials, oldest first, and who approved or denied them (field manager, by trial)."""

    items: tuple[OptimizationTrial, ...] = ()
    approvers: dict[str, str] = field(default_factory=dict)


async def read_trials(kube: Kube, policy: OptimizationPolicy) -> Trials:
    """Return the trials that this very policy owns; one that this version cannot read is left out.

    Raises:
        KubeError: the API server did not answer, or may not be asked.
    """
    namespace, name = policy.metadata.namespace, policy.metadata.name
    found: list[OptimizationTrial] = []
    approvers: dict[str, str] = {}
    for body in await kube.list_all(TRIALS, namespace, f"{POLICY_LABEL}={name}"):
        trial = _read(body)
        if trial is None or policy.metadata.uid not in {owner.uid for owner in trial.metadata.owner_references}:
            continue
        found.append(trial)
        if trial.spec.approval is not None:
            approvers[trial.metadata.name] = _approver(body)
    return Trials(tuple(sorted(found, key=number_of)), approvers)


def _read(body: Json) -> OptimizationTrial | None:
    try:
        return OptimizationTrial.model_validate(body)
    except ValidationError:
        return None


def _approver(body: Json) -> str:
    """Return the field manager that owns spec.approval."""
    for entry in body["metadata"].get("managedFields") or ():
        if "f:approval" in ((entry.get("fieldsV1") or {}).get("f:spec") or {}):
            return str(entry.get("manager", "unknown"))[:64]
    return "unknown"
