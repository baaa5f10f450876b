"""execute(): act on intents that are already in the stored status. Acting twice is the same as once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from trimtab_api import OptimizationPolicy
from trimtab_operator.actuation.scale import scale
from trimtab_operator.errors import UnsafeStep
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.port import Kube
from trimtab_operator.model.action import Action, Step
from trimtab_operator.model.snapshot import Snapshot, Target

log = logging.getLogger(__name__)


async def execute(kube: Kube, switch: ModeSwitch, policy: OptimizationPolicy, snapshot: Snapshot, step: Step) -> None:
    """Carry out the step's actions, if their intent was stored by an earlier tick and the kill switch allows it.

    Raises:
        UnsafeStep: the step persists a new intent and acts at once, or acts without its intent in the stored status.
        KubeError, LeadershipLost: the write did not happen; the next tick looks again.
    """
    for action in step.actions:
        expected = _stored_intent(policy, step, action)
        target = snapshot.target
        if not isinstance(target, Target):
            raise UnsafeStep(f"intent {action.intent_id}: there is no target to act on")
        ceiling = await switch.ceiling()
        if ceiling.mode != "Apply":
            log.info("act withheld", extra={"pairs": {"intent": action.intent_id, "reason": ceiling.message}})
            return
        outcome = await scale(kube, action, uid=target.uid, expected_replicas=expected)
        log.info(
            "scaled",
            extra={
                "pairs": {
                    "target": f"{action.namespace}/{action.name}",
                    "from": expected,
                    "to": action.replicas,
                    "intent": action.intent_id,
                    "result": outcome.result,
                }
            },
        )


def _stored_intent(policy: OptimizationPolicy, step: Step, action: Action) -> int:
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
