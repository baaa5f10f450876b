"""Write the intent, then act: what a stored intent asks of this tick, and what the replicas tell about others.

An intent in status is acted upon while the target still has the number that it starts from, the decision still goes
the same way, and it is younger than a minute. It ends when the target has its number: that is the proof of the write,
whoever saw the answer to it. Acting twice is the same as once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import HistoryEntry, Intent, IntentKind, LedgerEvent
from trimtab_operator.model.action import Event, Scale
from trimtab_operator.model.decision import Change, Decision
from trimtab_operator.model.ledger import why
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, Target, TargetProblem
from trimtab_operator.trial import render, texts

INTENT_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What became of the intent: an action to send now, or entries for the ledger and events; `keep` if it waits."""

    action: Scale | None = None
    entries: tuple[HistoryEntry, ...] = ()
    events: tuple[Event, ...] = ()
    keep: Intent | None = None


def resolve(snapshot: Snapshot, decision: Decision, policy: OptimizationPolicy) -> Outcome:
    """Say what the stored intent, or the lack of one, means for the replicas that the target has now."""
    intent, target = policy.status.intent, snapshot.target
    if isinstance(target, TargetProblem):
        return _without_target(intent, snapshot.now)
    if intent is None:
        return _watch(target, policy, snapshot.now)
    if intent.kind is not IntentKind.SCALE:
        return _dropped(intent, f"this version does not know how to {intent.kind}")
    if target.replicas == int(intent.to):
        return Outcome(entries=(_completed(intent, snapshot.now),))
    if target.replicas != int(intent.from_):
        edit = _foreign(policy, intent.from_, target, snapshot.now)
        return Outcome(entries=(edit,), events=_dropped(intent, "somebody else changed the replicas").events)
    return _pending(intent, target, snapshot.now, decision)


def _pending(intent: Intent, target: Target, now: float, decision: Decision) -> Outcome:
    """Act while the intent is young and still wanted."""
    if now - intent.at.timestamp() > INTENT_SECONDS:
        return _dropped(intent, f"it could not be written within {INTENT_SECONDS:g} s")
    if not _same_way(decision, intent):
        return _dropped(intent, f"no longer wanted: {decision.reason}: {decision.message}")
    return Outcome(action=_scale(intent, target), keep=intent)


def intend(decision: Change, snapshot: Snapshot, target: Target, policy: OptimizationPolicy) -> Intent:
    """Make the intent of a change; its id is the same for the same decision on the same objects at the same time."""
    at = texts.when(snapshot.now)
    source = (
        policy.metadata.uid,
        target.uid,
        str(policy.metadata.generation),
        str(decision.current),
        str(decision.desired),
        at.isoformat(),
    )
    digest = hashlib.sha256("/".join(source).encode()).hexdigest()[:16]
    return Intent(
        id=f"scale-{digest}",
        kind=IntentKind.SCALE,
        from_=str(decision.current),
        to=str(decision.desired),
        reason=why(decision.reason, decision.message),
        evidence=render.evidence(decision.evidence),
        at=at,
    )


def _scale(intent: Intent, target: Target) -> Scale:
    return Scale(
        namespace=target.namespace,
        name=target.name,
        kind=target.kind,
        replicas=int(intent.to),
        resource_version=target.resource_version,
        intent_id=intent.id,
    )


def _same_way(decision: Decision, intent: Intent) -> bool:
    if not isinstance(decision, Change):
        return False
    return (decision.desired > decision.current) == (int(intent.to) > int(intent.from_))


def _completed(intent: Intent, now: float) -> HistoryEntry:
    demand = next((each.value for each in intent.evidence if each.signal == Signal.REQUESTS_PER_SECOND), None)
    return HistoryEntry(
        id=intent.id,
        at=texts.when(now),
        what=LedgerEvent.SCALED,
        from_=intent.from_,
        to=intent.to,
        why=intent.reason,
        requests_per_second=demand,
    )


def _without_target(intent: Intent | None, now: float) -> Outcome:
    if intent is not None and now - intent.at.timestamp() > INTENT_SECONDS:
        return _dropped(intent, "the target is gone")
    return Outcome(keep=intent)


def _dropped(intent: Intent, reason: str) -> Outcome:
    message = f"{intent.kind} from {intent.from_} to {intent.to} was dropped: {reason}"
    return Outcome(events=(Event("Warning", "IntentDropped", message[: texts.SENTENCE]),))


def _watch(target: Target, policy: OptimizationPolicy, now: float) -> Outcome:
    known = policy.status.replicas.current if policy.status.replicas else None
    if known is None or known == target.replicas:
        return Outcome()
    return Outcome(entries=(_foreign(policy, str(known), target, now),))


def _foreign(policy: OptimizationPolicy, before: str, target: Target, now: float) -> HistoryEntry:
    owners = ", ".join(f"{owner.kind} {owner.name}" for owner in target.replicas_owners) or "somebody else"
    digest = hashlib.sha256(f"{policy.metadata.uid}/{target.resource_version}/{before}".encode()).hexdigest()[:16]
    return HistoryEntry(
        id=f"edit-{digest}",
        at=texts.when(now),
        what=LedgerEvent.FOREIGN_EDIT,
        from_=before,
        to=str(target.replicas),
        why=why("ForeignEdit", f"the replicas were changed by {owners}"),
    )
