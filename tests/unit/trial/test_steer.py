"""Where the tuning of a policy stands after a tick: what follows from the trial, and what heals a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import CANARY, NOW, STABLE, a_series, a_target, a_trial, a_tuning, an_engine, at
from fakes.ledger import an_intent
from fakes.stands import BASELINE, a_tuned_policy, a_tuned_snapshot, attached_pods, attached_target, engines

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.node_tuning import EngineEntry
from trimtab_api.policy_status import LastKnownGood, Tuning
from trimtab_api.trial import OptimizationTrial
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.switch_schedule import has_change
from trimtab_operator.model.action import DeleteTrial
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.ledger import reason_of
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.trial.advance import advance
from trimtab_operator.trial.stages import RUN_IN
from trimtab_operator.trial.steer import Course, steer
from trimtab_operator.trial.texts import when

GIVEN: dict[str, Any] = {"changed": ["uid-chat-0"], "changedAt": at(-60.0), "startedAt": at(-60.0)}
OVER: dict[str, Any] = GIVEN | {"phase": "Finished", "endedAt": at(-30.0)}
UNDER_TEST = a_tuning(STABLE, change={})
GOOD = LastKnownGood(settings=STABLE, trial=None, at=when(NOW - 60.0))
AWAY = engines(None, an_engine(pod="chat-1", attached=False))
UNDER_TRIAL = EngineState(
    EngineEntry(pod_uid="uid-chat-0", namespace="prod", pod="chat-0", settings=CANARY, fallback=STABLE),
    an_engine(CANARY).report,
)
HELD_BY = {"status": {"intent": an_intent()}}  # replicas are being changed: no new trial


def steered(*, status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **seen: Any) -> Course:
    snapshot = a_tuned_snapshot(**{"busy": 0.95, **seen})
    policy = a_tuned_policy(status=status, **(spec or {}))
    return steer(snapshot, analyze(snapshot, policy), policy)


def test_without_a_target_everything_stays_as_it_was_said() -> None:
    gone = Snapshot(NOW, TargetProblem("NotFound", "gone"))
    policy = a_tuned_policy(status={"tuning": UNDER_TEST, "currentTrial": "chat-1", "lastKnownGood": GOOD})
    assert steer(gone, analyze(gone, policy), policy) == Course(tuning=UNDER_TEST, good=GOOD, current_trial="chat-1")


def test_without_a_knob_and_nothing_tuned_nothing_is_looked_at() -> None:
    found = steered(spec={"knobs": {}})
    assert found.held is not None
    assert found.held == ("NoKnobs", "no knob of this runtime may be turned: see spec.knobs")
    assert (found.tuning, found.record, found.constraint) == (None, None, None)


def test_a_new_trial_is_written_before_anything_moves() -> None:
    found = steered(status={"tuning": a_tuning()})
    assert found.record is not None
    assert found.record.body is not None
    assert (found.record.name, found.current_trial, found.tuning) == ("chat-1", "chat-1", a_tuning())
    assert found.phase is None


def test_a_replica_that_a_trial_waits_for_is_told_and_is_no_constraint() -> None:
    spec = {"knobs": {"cache": {"memory": {"max": "64Mi"}}}, "scaling": {"maxReplicas": 2}}
    found = steered(target=attached_target(1), spec=spec, busy=0.6)
    why = "cacheMemory 0→16Mi is to be tried on one replica more, beside what serves now"
    assert (found.record, found.held, found.constraint) == (None, ("Surge", why), None)


def test_a_trial_that_moves_is_stored_whole_against_the_version_that_was_read() -> None:
    found = steered(trials=(a_trial(status={"phase": "RunIn"}),), status={"currentTrial": "chat-1"})
    assert found.record is not None
    assert (found.record.namespace, found.record.name) == ("prod", "chat-1")
    assert found.record.body is None
    assert found.record.status is not None
    assert (found.record.status["phase"], found.record.status["observedGeneration"]) == ("Starting", 1)
    assert (found.record.before["phase"], found.record.resource_version) == ("RunIn", "7")
    assert found.phase == "Starting"
    assert found.tuning is not None
    assert found.tuning.change is not None
    assert found.tuning.change.pods == ("uid-chat-0",)
    assert [entry.what for entry in found.entries] == ["TrialStarted"]


def test_a_trial_that_stands_still_is_not_stored_again_but_still_told() -> None:
    starting = a_trial(status=GIVEN | {"phase": "Starting"})
    found = steered(trials=(starting,), status={"tuning": UNDER_TEST})
    assert (found.record, found.trial, found.current_trial) == (None, starting, "chat-1")


def test_a_trial_stored_by_a_process_that_died_before_the_policy_is_found_again() -> None:
    found = steered(trials=(a_trial(status=GIVEN | {"phase": "Measuring", "measuredFrom": at()}),), status={})
    assert found.current_trial == "chat-1"
    assert found.tuning == a_tuning(STABLE, change={"expiresAt": at(610.0)})
    assert found.good is not None
    assert found.good.settings == STABLE


def test_a_trial_that_ends_now_is_told_as_ended() -> None:
    found = steered(trials=(a_trial(status={"phase": "RunIn"}),), spec={"mode": "Recommend"})
    assert (found.trial, found.current_trial, found.phase) == (None, None, None)
    assert found.ended is not None
    assert (found.ended.status.phase, found.ended.status.verdict) == ("Finished", "Inconclusive")


@pytest.mark.parametrize(
    ("verdict", "settings", "trial"), [("Improved", CANARY, "chat-1"), ("Regressed", STABLE, None)]
)
def test_a_trial_that_was_over_before_the_policy_said_so_is_concluded(
    verdict: str, settings: Any, trial: str | None
) -> None:
    said = {"currentTrial": "chat-1", "tuning": UNDER_TEST, "lastKnownGood": GOOD}
    found = steered(trials=(a_trial(status=OVER | {"verdict": verdict}),), status=said | HELD_BY["status"])
    assert found.current_trial is None
    assert found.tuning == a_tuning(settings, trial=trial)
    assert "TrialEnded" in [entry.what for entry in found.entries]
    assert found.good is not None
    assert found.good.trial == trial


def test_a_trial_that_somebody_deleted_is_forgotten_and_its_change_taken_back() -> None:
    said = {"currentTrial": "chat-1", "tuning": UNDER_TEST} | HELD_BY["status"]
    found = steered(status=said)
    assert (found.current_trial, found.tuning) == (None, a_tuning(STABLE))
    assert steered(status={"currentTrial": "chat-1"} | HELD_BY["status"]).tuning is None


@pytest.mark.parametrize(
    ("status", "tuning"),
    [
        pytest.param({}, a_tuning(), id="the first time: engines are asked to run as started"),
        pytest.param({"tuning": a_tuning(CANARY)}, a_tuning(CANARY), id="later: what was tuned stays"),
    ],
)
def test_engines_that_are_waited_for_are_asked_for_something(status: dict[str, Any], tuning: Tuning) -> None:
    found = steered(engines=AWAY, status=status)
    assert found.held is not None
    assert (found.held[0], found.tuning, found.constraint) == ("Attaching", tuning, None)


@pytest.mark.parametrize(
    ("entered", "settings"),
    [
        pytest.param((CANARY, CANARY), CANARY, id="alike: goes on from there"),
        pytest.param((CANARY, STABLE), a_tuning().settings, id="unlike"),
        pytest.param((CANARY, None), CANARY, id="one pod has none yet"),
    ],
)
def test_a_policy_made_anew_begins_with_what_its_pods_were_given_before(
    entered: tuple[EngineSettings | None, ...], settings: EngineSettings
) -> None:
    away = [an_engine(each, pod=f"chat-{number}", attached=False) for number, each in enumerate(entered)]
    known = [EngineState() if wish is None else state for wish, state in zip(entered, away, strict=True)]
    assert steered(engines=engines(*known)).tuning == a_tuning(settings)


def test_a_policy_made_anew_in_the_middle_of_a_trial_begins_with_what_its_pods_go_back_to() -> None:
    tried, beside = (an_engine(each, pod=f"chat-{n}", attached=False) for n, each in enumerate((CANARY, STABLE)))
    assert tried.entry is not None
    under_trial = tried.entry.model_copy(update={"fallback": STABLE, "trial": "chat-1", "expires_at": when(NOW)})
    assert steered(engines=engines(replace(tried, entry=under_trial), beside)).tuning == a_tuning(STABLE)


@pytest.mark.parametrize(
    ("seen", "settings"),
    [
        pytest.param(engines(CANARY, STABLE), a_tuning().settings, id="in mid rollout: as they started"),
        pytest.param(engines(UNDER_TRIAL, STABLE), STABLE, id="in mid trial: as before it"),
        pytest.param(
            engines(CANARY, an_engine(STABLE, pod="chat-1", attached=False)), a_tuning().settings, id="one is away"
        ),
    ],
)
def test_engines_that_a_policy_left_with_unlike_settings_are_asked_for_the_same(
    seen: dict[str, EngineState], settings: EngineSettings
) -> None:
    found = steered(engines=seen)
    assert found.tuning == Tuning(settings=settings)
    assert [(entry.what, reason_of(entry)) for entry in found.entries] == [("RolledBack", "SettingsDiffer")]
    later = steered(engines=seen, status={"tuning": a_tuning(CANARY)})
    assert (later.tuning, later.entries) == (a_tuning(CANARY), ())


@pytest.mark.parametrize(
    ("change", "seen", "dropped"),
    [
        pytest.param({}, {}, False, id="its pods live and its time is not over"),
        pytest.param({"pods": ["uid-old"]}, {}, True, id="its pods are gone"),
        pytest.param({}, {"after": 600.0}, True, id="its time is over"),
        pytest.param({"expiresAt": None}, {"after": 600.0}, False, id="a rollout has no end"),
    ],
)
def test_the_change_of_a_trial_that_a_new_template_ended_is_dropped_when_nobody_has_it_any_more(
    change: dict[str, Any], seen: dict[str, Any], dropped: bool
) -> None:
    left = a_tuning(STABLE, change=change)
    over = a_trial(status=OVER | {"verdict": "TargetChanged"})
    found = steered(trials=(over,), status={"tuning": left} | HELD_BY["status"], **seen)
    assert found.tuning == (a_tuning(STABLE) if dropped else left)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(OVER | {"verdict": "TargetChanged"}, True, id="just now"),
        pytest.param(OVER | {"verdict": "TargetChanged", "endedAt": at(-1800.0)}, False, id="a whole window ago"),
        pytest.param(OVER | {"verdict": "TargetChanged", "endedAt": None}, False, id="nobody knows when"),
        pytest.param(OVER | {"verdict": "Regressed"}, False, id="another verdict"),
    ],
)
def test_after_a_changed_target_what_is_normal_is_learned_anew(status: dict[str, Any], expected: bool) -> None:
    assert steered(trials=(a_trial(status=status),), status=HELD_BY["status"]).rediscover is expected


def test_the_tick_in_which_the_target_changes_already_leads_to_discovery() -> None:
    trial = a_trial(status=GIVEN | {"phase": "Measuring", "measuredFrom": at()})
    found = steered(trials=(trial,), target=attached_target(template_hash="new"), status={"tuning": UNDER_TEST})
    assert found.rediscover
    assert found.tuning == UNDER_TEST, "no write to pods that are not those of the trial"


# spec.rollbackTo

ASKED = {"spec": {"rollbackTo": "chat-1"}}


def kept(name: str, verdict: str) -> OptimizationTrial:
    return a_trial(name, status=OVER | {"verdict": verdict})


@pytest.mark.parametrize(("verdict", "settings"), [("Improved", CANARY), ("Regressed", STABLE)])
def test_the_settings_after_the_named_trial_are_restored_and_held(verdict: str, settings: Any) -> None:
    now = a_tuning(STABLE if settings is CANARY else CANARY, trial="chat-2")
    found = steered(trials=(kept("chat-1", verdict), kept("chat-2", "Improved")), status={"tuning": now}, **ASKED)
    assert found.tuning == a_tuning(settings, trial="chat-1")
    assert found.good is not None
    assert (found.good.settings, found.good.trial) == (settings, "chat-1")
    (entry,) = found.entries
    assert (entry.id, entry.what, entry.from_, entry.to) == ("RolledBack-3-chat-1", "RolledBack", "chat-2", "chat-1")
    assert entry.why == "RollbackTo: spec.rollbackTo asks for the settings after trial chat-1"
    assert entry.at == found.good.at == when(NOW)
    assert found.constraint is not None
    assert found.constraint.name == "RolledBackByUser"


def test_a_roll_back_is_done_once() -> None:
    found = steered(trials=(kept("chat-1", "Improved"),), status={"tuning": a_tuning(CANARY, trial="chat-1")}, **ASKED)
    assert (found.entries, found.record) == ((), None)
    assert found.constraint is not None


def test_the_entry_of_a_roll_back_has_an_id_that_the_api_takes_however_long_the_trials_name_is() -> None:
    name = "chat-" + "x" * 58
    asked = {"spec": {"rollbackTo": name}}
    (entry,) = steered(trials=(kept(name, "Improved"),), status={"tuning": a_tuning()}, **asked).entries
    assert (entry.id, entry.to) == (f"RolledBack-3-{name}"[:64], name)


def test_a_roll_back_from_the_first_settings_says_so() -> None:
    (entry,) = steered(trials=(kept("chat-1", "Improved"),), status={"tuning": a_tuning()}, **ASKED).entries
    assert entry.from_ == "the first settings"


def test_a_trial_that_does_not_exist_is_told() -> None:
    found = steered(status={"tuning": a_tuning()}, **ASKED)
    assert found.constraint is not None
    assert found.constraint.name == "RollbackTargetUnknown"
    assert "chat-1" in found.constraint.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"status": {}}, "RolledBackByUser", id="nothing tuned"),
        pytest.param({"status": {"tuning": a_tuning()}, "max_mode": "Recommend"}, "MaxModeRecommend", id="kill-switch"),
    ],
)
def test_nothing_is_restored_where_nothing_was_tuned_or_may_be_changed(fields: dict[str, Any], reason: str) -> None:
    found = steered(trials=(kept("chat-1", "Improved"),), **ASKED, **fields)
    assert found.held is not None
    assert (found.held[0], found.entries, found.tuning) == (reason, (), fields["status"].get("tuning"))


# What the step makes of it


def stepped(*, status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **seen: Any) -> Any:
    snapshot = a_tuned_snapshot(**{"busy": 0.95, **seen})
    policy = a_tuned_policy(status=status, **(spec or {}))
    return advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)


def test_after_a_trial_moved_it_is_looked_at_again_at_once() -> None:
    step = stepped(trials=(a_trial(status={"phase": "RunIn"}),))
    assert step.requeue_seconds == 0.0
    assert step.trial is not None
    assert step.status["currentTrial"] == "chat-1"
    assert step.status["phase"] == "Strategy"


@pytest.mark.parametrize(
    ("phase", "seconds"),
    [("Starting", 1.0), ("Reverting", 1.0), ("RunIn", 15.0), ("Shadow", 15.0), ("Measuring", 15.0)],
)
def test_an_engine_that_is_waited_for_is_looked_at_soon_but_for_what_takes_it_minutes(
    phase: str, seconds: float
) -> None:
    given = GIVEN if phase != "RunIn" else {"reason": RUN_IN}
    target = attached_target(pods=attached_pods(ready_at=NOW - 61.0))
    seen: dict[str, Any] = {"target": target, "engines": engines(CANARY if phase == "Reverting" else None, None)}
    trial = a_trial(status=given | {"phase": phase, "measuredFrom": at()})
    step = stepped(trials=(trial,), status={"tuning": UNDER_TEST, "currentTrial": "chat-1"}, **seen)
    assert step.trial is None
    assert step.requeue_seconds == seconds


@pytest.mark.parametrize(("after", "seconds"), [(2.0, 15.0), (50.0, 10.0), (61.0, 1.0)])
def test_a_switchback_is_looked_at_again_when_its_next_period_begins(after: float, seconds: float) -> None:
    pods = [{"uid": "uid-chat-0", "name": "chat-0", "node": "node-a", "arm": "Canary"}]
    first = has_change("uid-chat-1", 0)
    periods = [{"arm": "Canary" if first else "Stable", "from": at()}]
    status = GIVEN | {"phase": "Measuring", "measuredFrom": at(), "periods": periods}
    status |= {"changed": ["uid-chat-0"] if first is (after < 60.0) else []}
    trial = a_trial(status=status, design="Switchback", pods=pods, rules={"window": "2m", "maxWindow": "20m"})
    step = stepped(trials=(trial,), target=attached_target(1), after=after)
    assert step.requeue_seconds == seconds


def test_a_trial_under_way_is_shown_as_progress() -> None:
    step = stepped(trials=(a_trial(status=GIVEN | {"phase": "Starting"}),), status={"tuning": UNDER_TEST})
    rows = {row["type"]: row for row in step.status["conditions"]}
    assert (rows["Progressing"]["reason"], rows["Progressing"]["status"]) == ("TrialRunning", "True")
    assert rows["Progressing"]["message"] == "trial chat-1: maxBatchSize 1→8 by PairedCanary"


def test_a_load_that_changes_while_a_trial_is_under_way_waits_for_its_end() -> None:
    known = BASELINE | {"inputTokens": "25"}
    longer = {"history": {Signal.INPUT_TOKENS: a_series(Signal.INPUT_TOKENS, 100.0)}}
    before = {"tuning": UNDER_TEST, "baseline": known}
    under_way = stepped(trials=(a_trial(status=GIVEN | {"phase": "Starting"}),), status=before, **longer).status
    assert (under_way["phase"], under_way["baseline"]["inputTokens"]) == ("Strategy", "25")
    assert "LoadChanged" not in [entry["what"] for entry in under_way["history"]]
    over = stepped(trials=(a_trial(status=OVER | {"verdict": "Regressed"}),), status=before, **longer).status
    assert (over["phase"], over.get("baseline")) == ("Discovery", None)
    assert "LoadChanged" in [entry["what"] for entry in over["history"]]


def test_why_no_setting_is_tried_is_a_constraint_where_it_lasts() -> None:
    step = stepped(target=a_target())
    assert "NoTokenVolume" in [each["name"] for each in step.status["constraints"]]
    waiting = stepped(engines=AWAY)
    assert "Attaching" not in [each["name"] for each in waiting.status["constraints"]]


def test_engines_that_are_waited_for_are_looked_at_soon() -> None:
    told = stepped(engines=AWAY).status
    again = stepped(engines=AWAY, status=told)
    assert (again.status, again.requeue_seconds) == (None, 1.0)


def test_an_old_trial_is_deleted_in_a_tick_in_which_nothing_else_is_written() -> None:
    old = tuple(a_trial(f"chat-{number}", status={"phase": "Finished"}, created=-9000.0) for number in range(1, 22))
    made = a_trial("chat-22", status={"phase": "Unknown"}, created=-1.0)
    first = stepped(trials=(*old, made))
    assert (first.status is not None, first.actions) == (True, ())
    again = stepped(trials=(*old, made), status=first.status)
    assert (again.status, again.trial is not None, again.actions) == (None, True, ())
    moved = a_trial("chat-22", status=GIVEN | {"phase": "Starting"}, created=-1.0)
    told = stepped(trials=(*old, moved)).status
    assert stepped(trials=(*old, moved), status=told).actions == (DeleteTrial("prod", "chat-1"),)
