"""Mistakes that the product could hold, each a small patch of it by name: the machine has to find every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from trimtab_api.conditions import MetricsTrustedReason
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import Phase
from trimtab_api.trial import TrialDesign, TrialPhase, TrialStatus
from trimtab_operator.actuation import execute
from trimtab_operator.actuation.scale import ScaleOutcome
from trimtab_operator.analysis import analyze, baseline, drift
from trimtab_operator.controllers import reconcile
from trimtab_operator.decision import decide, design, guardrails
from trimtab_operator.decision.proposal import Proposal, Tick
from trimtab_operator.decision.surge import standing_surge
from trimtab_operator.kube.port import Kube
from trimtab_operator.model.action import Scale, Step
from trimtab_operator.model.analysis import Analysis, Trust
from trimtab_operator.model.decision import Decision
from trimtab_operator.model.signals import Point, Reading, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot, Target
from trimtab_operator.observation import look
from trimtab_operator.observation.history import Grid
from trimtab_operator.observation.readings import Scope, reading, series
from trimtab_operator.trial import advance, interruptions, reopening, stages, status, tuning
from trimtab_operator.trial.intent import Outcome, resolve
from trimtab_operator.trial.stand import Stand

Seed = Callable[[pytest.MonkeyPatch], None]

SURE = Trust(True, MetricsTrustedReason.FRESH, "")


def inverted_window(patch: pytest.MonkeyPatch) -> None:
    """The stabilisation time asks what its quietest moment needs, not its busiest."""
    patch.setattr(guardrails, "needed_at_peak", lambda *_: 1)


def no_data_read_as_zero(patch: pytest.MonkeyPatch) -> None:
    """A pod without fresh samples counts as idle, now and in the past."""

    def idle_now(*facts: Any, scope: Scope, **more: Any) -> Reading:
        found = reading(*facts, scope=scope, **more)
        if found.state in (SignalState.OK, SignalState.PARTIAL):
            return found
        idle = dict.fromkeys((pod.name for pod in scope.pods), 0.0)
        return replace(found, state=SignalState.OK, at=scope.now, by_pod=idle)

    def idle_before(query: Any, text: str, grid: Grid, scope: Scope) -> Series:
        found = series(query, text, grid, scope)
        known = {point.at: point.value for point in found.points}
        points = tuple(Point(float(at), known.get(float(at), 0.0)) for at in grid.times)
        return replace(found, state=SignalState.OK, points=points)

    patch.setattr(look, "reading", idle_now)
    patch.setattr(look, "series", idle_before)


def double_write(patch: pytest.MonkeyPatch) -> None:
    """The answer to a write, not the number that the target has, is taken for its proof: it is done twice."""

    def again(snapshot: Snapshot, decision: Decision, policy: OptimizationPolicy) -> Outcome:
        stored, target = policy.status.intent, snapshot.target
        if stored is None or not isinstance(target, Target) or target.replicas != int(stored.to):
            return resolve(snapshot, decision, policy)
        return Outcome(action=_scale(target, stored.to, stored.id), keep=stored)

    async def blindly(kube: Kube, action: Scale, **_: Any) -> ScaleOutcome:
        live = await kube.get_scale(action.namespace, action.name)
        await kube.patch_scale(action.namespace, action.name, action.replicas, live["metadata"]["resourceVersion"])
        return ScaleOutcome("Done", action.replicas)

    patch.setattr(advance, "resolve", again)
    patch.setattr(execute, "scale", blindly)


def bounds_ignored(patch: pytest.MonkeyPatch) -> None:
    """What a person allows at most and at least is not looked at."""
    _drop_guardrail(patch, "bounds")


def cool_down_ignored(patch: pytest.MonkeyPatch) -> None:
    """Replicas are removed right after a change, during a rollout, and while pods are on their way."""
    _drop_guardrail(patch, "calm")


def replicas_removed_during_a_trial(patch: pytest.MonkeyPatch) -> None:
    """A trial loses a pod of an arm to the scaling law."""
    _drop_guardrail(patch, "trial_running")


def refusals_ignored(patch: pytest.MonkeyPatch) -> None:
    """Mode, ceiling, calendar and other owners are not asked before replicas change."""
    patch.setattr(decide, "refusal", lambda *_, **__: None)


def everything_trusted(patch: pytest.MonkeyPatch) -> None:
    """Whatever was measured, or was not, may be acted upon."""
    patch.setattr(analyze, "trust", lambda _: SURE)


def engines_changed_on_untrusted_metrics(patch: pytest.MonkeyPatch) -> None:
    """A trial starts, and is rolled out, while nothing that may be trusted is measured."""
    for phase in (TrialPhase.RUN_IN, TrialPhase.ROLLING_OUT):
        _trusting(patch, phase)


def intent_not_written_before_acting(patch: pytest.MonkeyPatch) -> None:
    """The step that makes an intent acts on it before it is stored."""

    def hastily(phase: Phase | None, snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy) -> Step:
        step, target = advance.advance(phase, snapshot, analysis, policy), snapshot.target
        intent = (step.status or {}).get("intent")
        if intent is None or policy.status.intent is not None or not isinstance(target, Target):
            return step
        return replace(step, actions=(_scale(target, intent["to"], intent["id"]),))

    def planned(policy: OptimizationPolicy, step: Step, _: Scale) -> int:
        stored = policy.status.intent
        return int(stored.from_ if stored is not None else (step.status or {})["intent"]["from"])

    patch.setattr(reconcile, "advance", hastily)
    patch.setattr(execute, "_stored_intent", planned)


def trial_that_never_ends(patch: pytest.MonkeyPatch) -> None:
    """Measurements are never judged, and the time of a trial never runs out."""
    patch.setitem(stages.STAGES, TrialPhase.MEASURING, lambda stand: stand.status)
    rules = tuple(rule for rule in interruptions._RULES if rule.__name__ != "_expired")
    patch.setattr(interruptions, "_RULES", rules)


def roll_back_that_does_nothing(patch: pytest.MonkeyPatch) -> None:
    """A trial that failed leaves its change where it is."""
    patch.setattr(tuning, "_taken_back", lambda _, before, __: before)


def baseline_kept_of_a_load_that_is_no_more(patch: pytest.MonkeyPatch) -> None:
    """A changed load leads to Discovery, but its baseline stays, so that it leads there for ever."""
    patch.setattr(status, "reopens", lambda *_: False)


def lengths_of_the_first_baseline(patch: pytest.MonkeyPatch) -> None:
    """Each baseline says of requests what the first one did."""
    measured, first = drift.lengths, dict[Signal, float]()

    def remembered(snapshot: Snapshot, start: float) -> dict[Signal, float]:
        first.update(first or measured(snapshot, start))
        return first

    patch.setattr(baseline, "lengths", remembered)


def drift_not_seen(patch: pytest.MonkeyPatch) -> None:
    """Whatever requests become, they are like those of the baseline."""
    patch.setattr(analyze, "drift", lambda *_: None)


def drift_looked_at_during_a_trial(patch: pytest.MonkeyPatch) -> None:
    """A changed load takes away the baseline of a trial that is under way."""
    patch.setattr(reopening, "load_changed", lambda analysis, _: analysis.drift)


def surged_replica_kept(patch: pytest.MonkeyPatch) -> None:
    """A replica that was added for a trial stays when the trial is over."""

    def awaited(proposal: Proposal, tick: Tick) -> Proposal:
        surge = standing_surge(tick.policy.status, tick.target.replicas)
        if surge is None or not proposal.down:
            return proposal
        return proposal.held("SurgeAwaited", f"a replica was added for a trial: {surge.why}")

    _replace_guardrail(patch, "surge_awaited", awaited)


def surge_in_vain_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A replica for a trial that found no node is asked for again and again."""
    patch.setattr(design, "vain_surge", lambda *_: None)


def design_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    """What a person says of how trials are made is not looked at."""
    patch.setattr(design, "_in_order", lambda _: tuple(TrialDesign))


def _scale(target: Target, replicas: str, intent: str) -> Scale:
    return Scale(target.namespace, target.name, target.kind, int(replicas), target.resource_version, intent)


def _drop_guardrail(patch: pytest.MonkeyPatch, name: str) -> None:
    _replace_guardrail(patch, name, lambda proposal, _: proposal)


def _replace_guardrail(patch: pytest.MonkeyPatch, name: str, instead: guardrails.Guardrail) -> None:
    rules = tuple(instead if rule.__name__ == name else rule for rule in guardrails.GUARDRAILS)
    patch.setattr(decide, "GUARDRAILS", rules)


def _trusting(patch: pytest.MonkeyPatch, phase: TrialPhase) -> None:
    stage = stages.STAGES[phase]

    def trustingly(stand: Stand) -> TrialStatus:
        return stage(replace(stand, analysis=replace(stand.analysis, trust=SURE)))

    patch.setitem(stages.STAGES, phase, trustingly)


SEEDED_BUGS: dict[Seed, str] = {
    inverted_window: "the rest carries the largest load of the window",
    no_data_read_as_zero: "metrics that nobody saw",
    double_write: "an intent is written once",
    bounds_ignored: "replicas stay within the bounds",
    cool_down_ignored: "no replica is removed right after a change",
    replicas_removed_during_a_trial: "no replica is removed during a trial",
    refusals_ignored: "only mode Apply scales",
    everything_trusted: "metrics that nobody saw",
    engines_changed_on_untrusted_metrics: "no engine is changed on metrics that nobody saw",
    intent_not_written_before_acting: "the intent of a write stands in status",
    trial_that_never_ends: "a trial does not end",
    roll_back_that_does_nothing: "a trial is over and its change is not|a change is left at rest",
    baseline_kept_of_a_load_that_is_no_more: "the baseline of a changed load goes",
    lengths_of_the_first_baseline: "no load is called changed twice",
    drift_not_seen: "tokens are called normal",
    drift_looked_at_during_a_trial: "no load is called changed during a trial",
    surged_replica_kept: "more replicas than the load needs",
    surge_in_vain_forgotten: "a replica that was of no use is not asked for again",
    design_not_asked_for: "only the allowed design is tried",
}
"""With the rule that each breaks."""
