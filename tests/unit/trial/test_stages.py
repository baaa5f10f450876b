"""Each stage of a trial, up to the measurement: what becomes of it in one tick."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.arms import some_arms
from fakes.builders import CANARY, NOW, RULES, STABLE, a_pod, a_trial, a_tuning, an_engine, at
from fakes.ledger import an_entry
from fakes.stands import a_stand, a_tuned_policy, attached_pods, attached_target, engines

from trimtab_api.engine_settings import Quantization
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.trial import TrialPhase, TrialStatus
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.signals import Signal
from trimtab_operator.trial.stages import STAGES, next_status

ASKING = RULES | {"approval": "Required"}
FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]  # NOW is a Friday
GIVEN = {"changed": ["uid-chat-0"], "changedAt": at(-10.0), "startedAt": at(-10.0)}
WORSE = GIVEN | {"verdict": "Regressed", "changed": ["uid-chat-0", "uid-chat-1"]}
PROMOTED = a_tuned_policy(status={"tuning": a_tuning(CANARY, trial="chat-1")})  # died before it was taken back
REFUSING = engines(an_engine(refused={"maxBatchSize": "8"}), None)
INT8 = {"knob": "quantization", "from": "None", "to": "Int8"}
IN_INT8 = CANARY.model_copy(update={"quantization": Quantization.INT8})
SEARCHING = engines(an_engine(CANARY, pending={"quantization": "Int8"}), None)
LOW = ShadowedSetting(setting="quantization", value="Int8", accuracy_low="0.97", min_accuracy="0.98", inputs=256)
PASSED = LOW.model_copy(update={"accuracy_low": "0.9871", "speedup": "1.312"})
ALONE: dict[str, Any] = {"pods": [{"uid": "uid-chat-0", "name": "chat-0", "node": "node-a", "arm": "Canary"}]}
NEW = attached_target(pods=attached_pods(1, ready_at=NOW - 100.0))
YOUNG = attached_target(pods=(a_pod("chat-0", attachable=True), a_pod("chat-1", attachable=True, ready_at=NOW - 100.0)))


def trial_in(phase: str, *, status: dict[str, Any] | None = None, **spec: Any) -> Any:
    return a_trial(status={"phase": phase} | (status or {}), **spec)


def after(trial: Any, **stand: Any) -> TrialStatus:
    return next_status(a_stand(trial, **stand))


CASES: list[tuple[str, Any, dict[str, Any], str, str, str]] = [
    ("made", trial_in("Unknown"), {}, "RunIn", "Unknown", ""),
    ("made-asking", trial_in("Unknown", rules=ASKING), {}, "AwaitingApproval", "Unknown", "set spec.approval"),
    ("nobody-said", trial_in("AwaitingApproval", rules=ASKING), {}, "AwaitingApproval", "Unknown", "trial chat-1 to"),
    ("approved", trial_in("AwaitingApproval", rules=ASKING, approval="Approved"), {}, "RunIn", "Unknown", ""),
    ("approved-at-once", trial_in("Unknown", rules=ASKING, approval="Approved"), {}, "RunIn", "Unknown", ""),
    ("denied", trial_in("AwaitingApproval", approval="Denied"), {}, "Finished", "Denied", "denied by a person"),
    ("alike", trial_in("RunIn"), {}, "Starting", "Unknown", ""),
    ("alike-and-alters-answers", trial_in("RunIn", change=INT8), {}, "Shadow", "Unknown",
     "compares the change's answers"),
    ("not-alike-yet", trial_in("RunIn"), {"target": YOUNG}, "RunIn", "Unknown", "until a gain of 15 %"),
    ("not-alone-for-long-yet", trial_in("RunIn", design="Switchback", **ALONE), {"target": NEW}, "RunIn", "Unknown",
     "for a window"),
    ("run-in-untrusted", trial_in("RunIn"), {"busy": 9.0}, "RunIn", "Unknown", ""),
    ("run-in-frozen", trial_in("RunIn"), {"policy": a_tuned_policy(freeze=FREEZE)}, "RunIn", "Unknown", ""),
    ("taken", trial_in("Starting", status=GIVEN), {"engines": engines(CANARY, None)}, "Measuring", "Unknown", ""),
    ("not-taken-yet", trial_in("Starting", status=GIVEN), {}, "Starting", "Unknown", ""),
    ("refused", trial_in("Starting", status=GIVEN), {"engines": REFUSING}, "Reverting", "FailedToStart",
     "refused the change: maxBatchSize 8: too large"),
    ("no-answer", trial_in("Starting", status=GIVEN), {"after": 111.0}, "Reverting", "FailedToStart", "within 120 s"),
    ("asked", trial_in("Shadow", status=GIVEN, change=INT8), {}, "Shadow", "Unknown", ""),
    ("not-even-asked-for-it", trial_in("Shadow", status=GIVEN, change=INT8), {"after": 111.0},
     "Reverting", "FailedToStart", "within 120 s"),
    ("searching", trial_in("Shadow", status=GIVEN, change=INT8), {"engines": SEARCHING, "after": 111.0},
     "Shadow", "Unknown", "before it gives any; quantization Int8: Searching"),
    ("searches-for-ever", trial_in("Shadow", status=GIVEN, change=INT8), {"engines": SEARCHING, "after": 1191.0},
     "Reverting", "FailedToStart", "still at it after 1200 s: quantization Int8: Searching"),
    ("an-earlier-refusal", trial_in("Starting", status=GIVEN),
     {"engines": engines(an_engine(refused={"maxBatchSize": "64"}), None)}, "Starting", "Unknown", ""),
    ("passed", trial_in("Shadow", status=GIVEN, change=INT8), {"engines": engines(CANARY, None)},
     "Measuring", "Unknown", ""),
    ("gate-failed", trial_in("Shadow", status=GIVEN, change=INT8, canary=IN_INT8),
     {"engines": engines(an_engine(refused={"quantization": "Int8"}), None)}, "Reverting", "FailedToStart",
     "refused the change: quantization Int8: too large"),
    ("restored", trial_in("Reverting", status=GIVEN), {"policy": a_tuned_policy(status={"tuning": a_tuning()})},
     "Finished", "Unknown", ""),
    ("restored-without-tuning", trial_in("Reverting", status=GIVEN), {"engines": engines(STABLE, STABLE)},
     "Finished", "Unknown", ""),
    ("not-restored-yet", trial_in("Reverting", status=GIVEN), {"engines": engines(CANARY, None)},
     "Reverting", "Unknown", ""),
    ("never-restored", trial_in("Reverting", status=GIVEN), {"engines": engines(CANARY, None), "after": 111.0},
     "Finished", "Unknown", ""),
    ("gone-while-reverting", trial_in("Reverting", status=GIVEN),
     {"engines": engines(CANARY, None), "target": attached_target(pods=attached_pods()[1:])},
     "Finished", "Unknown", ""),
    ("policy-does-not-say-it-yet", trial_in("Reverting", status=WORSE),
     {"engines": engines(CANARY, CANARY), "policy": PROMOTED}, "Reverting", "Regressed", ""),
    ("policy-does-not-say-it-yet-but-they-run-it", trial_in("Reverting", status=WORSE),
     {"engines": engines(STABLE, STABLE), "policy": PROMOTED}, "Finished", "Regressed", ""),
    ("over", trial_in("Finished"), {}, "Finished", "Unknown", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("trial", "stand", "phase", "verdict", "text"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_a_stage_leads_on_when_its_own_question_is_answered(
    trial: Any, stand: dict[str, Any], phase: str, verdict: str, text: str
) -> None:
    found = after(trial, **stand)
    assert (found.phase, found.verdict) == (phase, verdict)
    assert text in found.reason


def test_every_phase_has_its_stage() -> None:
    assert set(STAGES) == set(TrialPhase)


@pytest.mark.parametrize(("approval", "field"), [("Approved", "anna"), ("Denied", "anna")])
def test_who_said_yes_or_no_is_kept(approval: str, field: str) -> None:
    found = after(trial_in("AwaitingApproval", approval=approval), approvers={"chat-1": field})
    assert found.approved_by == "anna"
    assert ("anna" in found.reason) == (approval == "Denied")


def test_what_it_waited_for_is_no_reason_any_more_once_it_is_approved() -> None:
    waiting = after(trial_in("Unknown", rules=ASKING))
    told = trial_in("AwaitingApproval", status={"reason": waiting.reason}, rules=ASKING, approval="Approved")
    assert after(told).reason == ""


def test_a_start_names_the_canary_alone_and_the_time() -> None:
    found = after(trial_in("RunIn"))
    assert found.changed == ("uid-chat-0",)
    assert found.started_at == found.changed_at
    assert found.started_at is not None
    assert found.started_at.timestamp() == NOW


def test_the_moment_is_kept_at_which_the_canary_is_seen_to_run_with_the_change() -> None:
    found = after(trial_in("Starting", status=GIVEN), engines=engines(CANARY, None))
    assert found.changed_at is not None
    assert found.changed_at.timestamp() == NOW
    assert found.started_at is not None
    assert found.started_at.timestamp() == NOW - 10.0


@pytest.mark.parametrize(("design", "seconds"), [("PairedCanary", None), ("Surge", None), ("Switchback", 30)])
def test_only_turns_have_a_length(design: str, seconds: int | None) -> None:
    found = after(trial_in("Starting", status=GIVEN, design=design), engines=engines(CANARY, None))
    assert (found.phase, found.period_seconds) == ("Measuring", seconds)


@pytest.mark.parametrize(
    ("engine", "phase", "seen"),
    [
        pytest.param(an_engine(IN_INT8, shadowed=(PASSED,)), "Measuring", PASSED, id="in-force"),
        pytest.param(an_engine(refused={"quantization": "Int8"}, shadowed=(LOW,)), "Reverting", LOW, id="refused"),
    ],
)
def test_what_the_engine_found_in_shadow_stands_in_the_trial(
    engine: EngineState, phase: str, seen: ShadowedSetting
) -> None:
    looked_at = trial_in("Shadow", status=GIVEN | {"reason": "compares"}, change=INT8, canary=IN_INT8)
    found = after(looked_at, engines=engines(engine, None))
    assert (found.phase, found.shadow) == (phase, seen)
    assert "compares" not in found.reason


def test_figures_of_another_change_are_not_those_of_this_one() -> None:
    told = an_engine(CANARY, shadowed=(LOW.model_copy(update={"value": "FP8"}),))
    assert after(trial_in("Shadow", status=GIVEN, change=INT8), engines=engines(told, None)).shadow is None


def test_the_measurement_begins_at_the_edge_of_a_slot_after_settling() -> None:
    found = after(trial_in("Starting", status=GIVEN), engines=engines(CANARY, None), after=3.0)
    assert found.measured_from is not None
    assert found.measured_from.timestamp() == NOW + 30.0  # slots of 30 s: a sixth of 2 min, rounded up


def test_a_trial_that_ends_before_any_pod_has_the_change_has_nothing_to_take_back() -> None:
    assert after(trial_in("AwaitingApproval", approval="Denied")).phase is TrialPhase.FINISHED


@pytest.mark.parametrize(
    ("stand", "starts"),
    [
        pytest.param({"trials": (a_trial("chat-0", status={"phase": "Finished", "changedAt": at(-60.0)}),)}, False,
                     id="an older trial has just ended"),
        pytest.param({"trials": (a_trial("chat-0", status={"phase": "Finished", "changedAt": at(-600.0)}),)}, True,
                     id="an older trial ended long ago"),
        pytest.param({"trials": (a_trial("chat-0", status={"phase": "Finished"}),)}, True,
                     id="an older trial changed nothing"),
        pytest.param({"policy": a_tuned_policy(status={"history": [an_entry(what="RolledBack")]})}, False,
                     id="settings were taken back a minute ago"),
        pytest.param({"policy": a_tuned_policy(status={"history": [an_entry()]})}, True,
                     id="replicas were changed a minute ago"),
        pytest.param({"target": attached_target(pods=())}, False, id="no pod serves"),
        pytest.param({"target": attached_target(pods=attached_pods(ready_at=None))}, True,
                     id="since when they serve is not known, when they were made is"),
    ],
)  # fmt: skip
def test_the_run_in_counts_from_when_both_arms_were_last_made_unequal(stand: dict[str, Any], starts: bool) -> None:
    found = after(trial_in("RunIn"), **stand)
    assert (found.phase is TrialPhase.STARTING) is starts


@pytest.mark.parametrize(("design", "starts"), [("PairedCanary", False), ("Switchback", True)])
def test_only_a_canary_beside_others_waits_until_the_run_in_tells_enough(design: str, starts: bool) -> None:
    wild = some_arms({Signal.BUSY_RATIO: lambda number: 0.2 + 0.6 * (number % 2)})
    served = attached_target(pods=attached_pods(ready_at=NOW - 200.0))
    found = after(trial_in("RunIn", design=design), arms=wild, target=served)
    assert (found.phase is TrialPhase.STARTING) is starts


def test_without_a_known_scrape_interval_a_usual_one_is_assumed() -> None:
    taken = {"engines": engines(CANARY, None), "after": 3.0}
    found = after(trial_in("Starting", status=GIVEN), scrape_interval_seconds=None, **taken)
    assert found.measured_from is not None
    assert found.measured_from.timestamp() == NOW + 60.0


def test_an_engine_that_nobody_knows_runs_nothing() -> None:
    stand = a_stand(trial_in("Starting", status=GIVEN), engines={"other": an_engine()})
    assert not stand.all_run(("uid-chat-0",), CANARY)
    assert stand.all_run(("uid-gone",), CANARY)
