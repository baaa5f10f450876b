"""The measurement in one tick: looks, verdicts, and what happens without data."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.arms import SETTLED_AT, UNTIL, Level, after_change, some_arms, with_recent
from fakes.builders import NOW, RULES, a_trial, an_engine, at
from fakes.periods import turns, with_turn
from fakes.stands import a_stand, a_tuned_policy, attached_pods, attached_target, engines

from trimtab_api.trial import TrialPhase, TrialStatus
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.comparison import GuardComparison, SuddenBreach
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.trial.abort import aborted
from trimtab_operator.trial.measuring import measure
from trimtab_operator.trial.texts import when

GIVEN = {"phase": "Measuring", "changed": ["uid-chat-0"], "changedAt": at(), "startedAt": at()}
SETTLED = GIVEN | {"measuredFrom": at(SETTLED_AT - NOW)}
AT_LOOK = UNTIL - NOW
GUARDED = a_tuned_policy(objectives={"errorRatio": {"max": "0.01"}})


def changing(before: float, after: float) -> Level:
    """A busy share that changes with the change, and a little from slot to slot."""
    return lambda slot: (after if slot >= 0 else before) * (1.0 + 0.01 * (slot % 2))


def arms(busy: Level, **levels: Level) -> Arms:
    return some_arms({Signal.BUSY_RATIO: busy} | {Signal(name): level for name, level in levels.items()})


def measured(seen: Arms | None, *, after: float = AT_LOOK, status: dict[str, Any] | None = None, **fields: Any) -> Any:
    trial = a_trial(status=SETTLED | (status or {}))
    return measure(a_stand(trial, arms=seen, after=after, engines=engines(an_engine(), None), **fields))


def test_a_clear_gain_at_a_look_is_rolled_out() -> None:
    found: TrialStatus = measured(arms(changing(0.8, 0.5)))
    assert (found.phase, found.verdict) == ("RollingOut", "Improved")
    assert found.changed == ("uid-chat-0",), "one pod has it; the others follow"
    assert found.ended_at == found.changed_at == when(NOW + AT_LOOK)
    assert found.observed
    assert "throughput" in found.observed_summary
    assert "busy seconds per answer" in found.reason


@pytest.mark.parametrize(("knob", "verdict"), [("cacheMemory", "Improved"), ("maxBatchSize", "NotIdentifiable")])
def test_a_cache_is_told_without_load_and_a_batch_is_not(knob: str, verdict: str) -> None:
    trial = a_trial(status=SETTLED, change={"knob": knob, "from": "a", "to": "b"})
    idle = some_arms({Signal.BUSY_RATIO: changing(0.4, 0.25)}, {Signal.BUSY_RATIO: 0.4})
    stand = a_stand(trial, arms=idle, after=AT_LOOK, engines=engines(an_engine(), None))
    assert measure(stand).verdict == verdict


def test_a_clear_loss_at_a_look_is_taken_back() -> None:
    found: TrialStatus = measured(arms(changing(0.6, 0.9)))
    assert (found.phase, found.verdict, found.violations, found.looks) == ("Reverting", "Regressed", 0, 1)


def test_a_guard_in_breach_ends_it_between_looks_and_counts_as_a_violation() -> None:
    found: TrialStatus = measured(arms(0.8, errors_per_second=after_change(0.0, 3.0)), after=60.0, policy=GUARDED)
    assert (found.phase, found.verdict, found.violations) == ("Reverting", "Regressed", 1)
    assert found.observed


def test_a_look_without_an_answer_is_noted_once() -> None:
    noisy = arms(lambda slot: 0.8 + (0.15 if slot % 2 else -0.15) - (0.03 if slot > 0 else 0.0))
    first: TrialStatus = measured(noisy)
    assert (first.phase, first.looks, first.verdict) == ("Measuring", 1, "Unknown")
    assert first.reason
    assert first.observed_summary
    again = measured(noisy, status=first.to_body())
    assert again == first


def test_before_the_first_look_nothing_is_noted() -> None:
    found = measured(arms(changing(0.8, 0.5)), after=60.0)
    assert (found.phase, found.looks, found.observed) == (TrialPhase.MEASURING, 0, ())


def test_before_the_arms_have_settled_nothing_is_judged() -> None:
    broken = arms(0.8, errors_per_second=30.0)
    assert measured(broken, after=5.0, policy=GUARDED).phase is TrialPhase.MEASURING


def test_a_sudden_breach_ends_it_before_the_arms_have_settled_and_counts_as_a_violation() -> None:
    broken = with_recent(arms(0.8), errors=(3.0, 0.0))
    found: TrialStatus = measured(broken, after=5.0)
    assert (found.phase, found.verdict, found.violations) == ("Reverting", "Regressed", 1)
    assert found.reason.startswith("errorRatio: 10.0% in the canary against 0.0% beside it, 5.0% allowed")
    assert found.reason.endswith(", in the last two scrapes of canary-0")


def test_a_sudden_breach_before_the_first_look_shows_what_was_seen() -> None:
    slow, usual = (Buckets((0.1, 1.0, float("inf")), (fast, 300.0, 300.0)) for fast in (0.0, 150.0))
    broken = with_recent(arms(0.8), errors=(3.0, 0.0), durations=(slow, usual))
    found: TrialStatus = measured(broken, after=5.0)
    shown = {row.measure: (row.canary, row.stable, row.unit, row.canary_samples) for row in found.observed}
    assert shown == {"LatencyP95": ("0.955", "0.91", "s", 300), "Errors": ("0.1", "0", "ratio", 300)}
    assert found.observed_summary == "errorRatio: 10.0% against 0.0%, 5.0% allowed"


def test_a_sudden_breach_after_a_look_keeps_what_only_the_look_measured() -> None:
    before = [
        {"measure": "Throughput", "canary": "60", "stable": "30", "unit": "answers/busy s", "effect": "1"},
        {"measure": "Errors", "canary": "0", "stable": "0", "unit": "ratio"},
    ]
    broken = with_recent(arms(0.8), errors=(3.0, 0.0))
    found: TrialStatus = measured(broken, after=5.0, status={"observed": before, "looks": 1})
    assert [(row.measure, row.canary) for row in found.observed] == [("Throughput", "60"), ("Errors", "0.1")]


def test_of_many_pods_that_break_a_guard_the_first_are_named() -> None:
    pods = tuple(f"chat-{number}" for number in range(5))
    guard = GuardComparison("errorRatio", 0.1, 0.0, 0.01, True, True, 300.0, 0.0, 30.0, False)
    found = aborted(a_stand(a_trial(status=SETTLED)), SuddenBreach(guard, ()), pods)
    assert found.reason.endswith("of chat-0, chat-1, chat-2 and 2 more")


@pytest.mark.parametrize(
    ("after", "fields", "phase"),
    [
        pytest.param(100.0, {}, "Measuring", id="no-arms"),
        pytest.param(100.0, {"busy": 9.0}, "Measuring", id="untrusted"),
        pytest.param(491.0, {}, "Reverting", id="no-arms-until-the-end"),
        pytest.param(491.0, {"busy": 9.0}, "Reverting", id="untrusted-until-the-end"),
    ],
)
def test_without_trusted_measurements_it_waits_until_its_time_is_over(
    after: float, fields: dict[str, Any], phase: str
) -> None:
    seen = arms(changing(0.8, 0.5)) if fields else None
    found = measured(seen, after=after, **fields)
    assert (found.phase, found.verdict) == (phase, "Unknown" if phase == "Measuring" else "Inconclusive")


@pytest.mark.parametrize(
    ("rules", "ready_at", "slots"),
    [
        pytest.param(RULES | {"window": "15s", "maxWindow": "30s"}, -3600.0, 3, id="maxWindow at most"),
        pytest.param(RULES, -45.0, 3, id="no longer than the pods have served"),
    ],
)
def test_the_run_in_holds_only_slots_in_which_the_arms_were_alike(
    rules: dict[str, Any], ready_at: float, slots: int
) -> None:
    target = attached_target(pods=attached_pods(ready_at=NOW + ready_at))
    trial = a_trial(status=SETTLED, rules=rules)
    found = measure(a_stand(trial, arms=arms(changing(0.8, 0.5)), after=AT_LOOK, target=target))
    assert found.reason == f"{slots} slots of the run-in have data of both arms; 4 are needed"


def test_the_rules_of_the_trial_count_and_not_those_of_the_policy_now() -> None:
    later = a_tuned_policy(trial=RULES | {"window": "30m", "maxWindow": "60m"})
    assert measured(arms(changing(0.8, 0.5)), policy=later).phase is TrialPhase.ROLLING_OUT


def test_a_sudden_breach_by_turns_ends_a_switchback() -> None:
    """The periods without the change show nothing like it."""
    trial = a_trial(status=SETTLED | {"changed": ["uid-chat-0"]}, design="Switchback")
    broken: TrialStatus = measure(a_stand(trial, arms=with_turn(turns(), errors=3.0), after=5.0))
    assert (broken.phase, broken.verdict, broken.violations) == ("Reverting", "Regressed", 1)
    assert broken.reason.endswith(", in the last two scrapes of chat-0")
    assert measure(a_stand(trial, arms=with_turn(turns()), after=5.0)).phase is TrialPhase.MEASURING
