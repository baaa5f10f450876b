"""A new trial as an object: what is tried, why, and on which pods; written before anything moves."""

from __future__ import annotations

from collections.abc import Iterable

from trimtab_api.base import API_VERSION
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.trial import MAX_TRIAL_PODS, Arm, OptimizationTrial, TrialDesign, TrialPod, TrialSpec, TrialTarget
from trimtab_operator.decision.strategy import TrialProposal
from trimtab_operator.model.action import TrialRecord
from trimtab_operator.model.snapshot import Snapshot, Target

POLICY_LABEL = "trimtab.dev/policy"


def draft(found: TrialProposal, snapshot: Snapshot, target: Target, policy: OptimizationPolicy) -> TrialRecord:
    """Return the trial of a candidate; its name is the next number, so that making it twice makes it once."""
    candidate = found.candidate
    name = f"{policy.metadata.name}-{next_number(snapshot.trials)}"
    spec = TrialSpec(
        policy=policy.metadata.name,
        target=TrialTarget(**policy.spec.target_ref.model_dump(), uid=target.uid, template_hash=target.template_hash),
        change=candidate.change,
        change_summary=candidate.change_summary,
        hypothesis=candidate.hypothesis,
        predicted=candidate.predicted,
        predicted_summary=candidate.predicted_summary,
        design=found.design,
        pods=_arms(found),
        canary=candidate.settings,
        stable=found.current,
        rules=policy.spec.trial,
    )
    body = {
        "apiVersion": API_VERSION,
        "kind": "OptimizationTrial",
        "metadata": {
            "name": name,
            "namespace": policy.metadata.namespace,
            "labels": {POLICY_LABEL: policy.metadata.name},
            "ownerReferences": [_owner(policy)],
        },
        "spec": spec.to_body(),
    }
    return TrialRecord(namespace=str(policy.metadata.namespace), name=name, body=body)


def next_number(trials: Iterable[OptimizationTrial]) -> int:
    """Return the number after the largest that a trial of this policy bears."""
    return 1 + max(map(number_of, trials), default=0)


def number_of(trial: OptimizationTrial) -> int:
    """Return the number at the end of a trial's name; 0 where somebody named it otherwise."""
    digits = trial.metadata.name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _arms(found: TrialProposal) -> tuple[TrialPod, ...]:
    """Give the change to one pod, the newest in a surge, else the first by name; the others are measured beside it."""
    by_name = sorted(found.pods, key=lambda pod: pod.name)
    if found.design is TrialDesign.SURGE:
        by_name.sort(key=lambda pod: pod.created_at, reverse=True)
    return tuple(
        TrialPod(uid=pod.uid, name=pod.name, node=str(pod.node), arm=Arm.CANARY if number == 0 else Arm.STABLE)
        for number, pod in enumerate(by_name[:MAX_TRIAL_PODS])
    )


def _owner(policy: OptimizationPolicy) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": "OptimizationPolicy",
        "name": policy.metadata.name,
        "uid": policy.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
