"""execute(): act on what is already in the stored status. Acting twice is the same as once.

The settings of engines in the stored status go to the board, from which the NodeTuning of each node is composed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab_api import OptimizationPolicy
from trimtab_api.policy_spec import Mode
from trimtab_operator.actuation.board import TuningBoard
from trimtab_operator.actuation.fail_point import FailPoint
from trimtab_operator.actuation.scale import scale
from trimtab_operator.analysis.tunable import tunes_engines
from trimtab_operator.errors import KubeNotFound, UnsafeStep
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.port import Kube
from trimtab_operator.kube.resources import TRIALS
from trimtab_operator.model.action import DeleteTrial, Scale, Step
from trimtab_operator.model.snapshot import Snapshot, Target
from trimtab_operator.trial.node_spec import asks_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hands:
    """What execute() acts with."""

    kube: Kube
    switch: ModeSwitch
    board: TuningBoard
    fail_point: FailPoint


async def execute(hands: Hands, policy: OptimizationPolicy, snapshot: Snapshot, step: Step) -> None:
    """Hand the stored settings to the board, and carry out the step's actions if the kill switch allows it.

    Raises:
        UnsafeStep: the step persists a new intent and acts at once, or acts without its intent in the stored status.
        KubeError, LeadershipLost: the write did not happen; the next tick looks again.
    """
    key = (str(policy.metadata.namespace), policy.metadata.name)
    if isinstance(snapshot.target, Target):
        hands.board.put(key, asks_of(policy, snapshot), tunes=_tunes(policy, snapshot.target))
    else:
        hands.board.hear(key)
    for action in step.actions:
        if isinstance(action, DeleteTrial):
            await _delete(hands.kube, action)
        else:
            await _scale(hands, policy, snapshot, step, action)


def _tunes(policy: OptimizationPolicy, target: Target) -> bool:
    return policy.spec.mode is Mode.APPLY and tunes_engines(policy, target)


async def _delete(kube: Kube, action: DeleteTrial) -> None:
    try:
        await kube.delete(TRIALS, action.namespace, action.name)
    except KubeNotFound:
        return
    log.info("old trial deleted", extra={"pairs": {"trial": f"{action.namespace}/{action.name}"}})


async def _scale(hands: Hands, policy: OptimizationPolicy, snapshot: Snapshot, step: Step, action: Scale) -> None:
    expected = _stored_intent(policy, step, action)
    target = snapshot.target
    if not isinstance(target, Target):
        raise UnsafeStep(f"intent {action.intent_id}: there is no target to act on")
    ceiling = await hands.switch.ceiling()
    if ceiling.mode != "Apply":
        log.info("act withheld", extra={"pairs": {"intent": action.intent_id, "reason": ceiling.message}})
        return
    hands.fail_point.reach("before-act")
    outcome = await scale(hands.kube, action, uid=target.uid, expected_replicas=expected)
    hands.fail_point.reach("acted")
    pairs = {
        "target": f"{action.namespace}/{action.name}",
        "from": expected,
        "to": action.replicas,
        "intent": action.intent_id,
        "result": outcome.result,
    }
    log.info("scaled", extra={"pairs": pairs})


def _stored_intent(policy: OptimizationPolicy, step: Step, action: Scale) -> int:
    stored = policy.status.intent
    if stored is None or stored.id != action.intent_id:
        raise UnsafeStep(f"intent {action.intent_id} is not in the stored status: it must be persisted first")
    if step.status is not None and _intent_id(step.status) != stored.id:
        raise UnsafeStep(f"intent {action.intent_id}: the step changes the stored intent and acts at once")
    if stored.to != str(action.replicas):
        raise UnsafeStep(f"intent {action.intent_id}: stored to {stored.to}, asked to write {action.replicas}")
    return int(stored.from_)


def _intent_id(status: Mapping[str, Any]) -> str | None:
    intent = status.get("intent")
    return None if intent is None else str(intent["id"])
