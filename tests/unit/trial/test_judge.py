"""Verdicts: guards at any time, the goal at looks only, and what is waited for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from trimtab_api.findings import Measure
from trimtab_api.trial import Verdict
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.model.comparison import Beside, Comparison, Effect, GuardComparison, NotMeasured
from trimtab_operator.trial.judge import Judgement, judge
from trimtab_operator.trial.looks import SEARCH_ERROR, Look, last_look, look_at, look_times
from trimtab_operator.trial.observed import change_of, percent

RULES = TrialRules(window="60s", max_window="5m", min_requests=100)
FIRST, LAST, EARLY = Look(1, 4, 60.0, 0.001), Look(4, 4, 300.0, 0.001), Look(0, 4, 30.0, 0.001)
BETTER = Effect("busy seconds per answer", True, math.log(0.62), math.log(0.55), math.log(0.70), 6, 6)


def an_effect(point: float, half: float) -> Effect:
    return replace(BETTER, log_ratio=point, low=point - half, high=point + half)


def a_guard(**fields: Any) -> GuardComparison:
    guard = GuardComparison(
        name="latency",
        canary=0.01,
        stable=0.01,
        limit=0.05,
        breached=False,
        worse=False,
        samples=500.0,
        chance=1.0,
        bad=5.0,
        stable_breached=False,
    )
    return replace(guard, **fields)


def a_comparison(**fields: Any) -> Comparison:
    comparison = Comparison(
        goal=BETTER,
        canary_load_ratio=0.7,
        load_ratio=0.8,
        canary_requests=600.0,
        stable_requests=600.0,
        request_share_ratio=1.0,
        guards=(a_guard(),),
        beside=(
            Beside(Measure.THROUGHPUT, 60.0, 37.0, "answers/busy s", 600.0, 600.0),
            Beside(Measure.LATENCY_P95, 0.1, None, "s", 600.0, 600.0),
        ),
    )
    return replace(comparison, **fields)


def judged(look: Look = FIRST, **fields: Any) -> Judgement:
    return judge(a_comparison(**fields), RULES, look)


@pytest.mark.parametrize(
    ("elapsed", "number", "seconds"),
    [(0.0, 0, 0.0), (59.9, 0, 59.9), (60.0, 1, 60.0), (119.0, 1, 60.0), (120.0, 2, 120.0), (299.0, 3, 240.0),
     (300.0, 4, 300.0), (9000.0, 4, 300.0)],
)  # fmt: skip
def test_looks_are_due_after_each_doubling_of_the_window_and_at_the_end(
    elapsed: float, number: int, seconds: float
) -> None:
    look = look_at(elapsed, RULES)
    assert (look.number, look.of, look.seconds, look.last) == (number, 4, seconds, number == 4)


@pytest.mark.parametrize("trials", [1, 8, 64])
@pytest.mark.parametrize(("window", "longest"), [("60s", "5m"), ("5m", "30m"), ("2m", "2m")])
def test_the_looks_of_all_trials_of_a_search_spend_its_error(trials: int, window: str, longest: str) -> None:
    rules = TrialRules(window=window, max_window=longest, max_trials=trials)
    looks = [look_at(due, rules) for due in look_times(rules)]
    assert trials * sum(look.error for look in looks) == pytest.approx(SEARCH_ERROR)
    assert looks[-1] == last_look(rules)
    assert all(look.confidence == pytest.approx(1.0 - 2.0 * look.error) for look in looks)


def test_a_look_spends_by_how_much_it_adds() -> None:
    assert look_times(RULES) == (60.0, 120.0, 240.0, 300.0)
    first, second, third, last = (look_at(due, RULES).error for due in look_times(RULES))
    assert (second, third, last) == pytest.approx((first, 2.0 * first, first))


def test_a_policy_that_tries_nothing_has_looks_all_the_same() -> None:
    none, one = (TrialRules(max_trials=trials, max_violating_trials=0) for trials in (0, 1))
    assert last_look(none) == last_look(one)


def test_a_clear_improvement_is_improved_with_numbers_in_its_reason() -> None:
    found = judged()
    assert found.verdict is Verdict.IMPROVED
    assert found.reason == (
        "busy seconds per answer -38% (-45% to -30%) over 6 slots after 6 of run-in: better, and no guard is worse"
    )
    assert found.summary == "throughput +61%"
    assert not found.violation


def test_before_the_first_look_only_guards_speak() -> None:
    found = judged(EARLY)
    assert (found.verdict, found.reason) == (None, "30 s measured; the first look is after 60s")
    assert found.observed


@pytest.mark.parametrize(
    ("point", "half", "verdict"),
    [
        pytest.param(-0.2, 0.1, Verdict.IMPROVED, id="better"),
        pytest.param(0.2, 0.1, Verdict.REGRESSED, id="worse"),
        pytest.param(0.0, 0.04, Verdict.INCONCLUSIVE, id="a-difference-is-improbable"),
        pytest.param(-0.04, 0.03, None, id="better-by-less-than-is-worth-it"),
        pytest.param(-0.2, 0.3, None, id="wide"),
        pytest.param(0.2, 0.3, None, id="worse-but-wide"),
        pytest.param(0.04, 0.03, None, id="a-little-worse"),
    ],
)
def test_the_interval_decides(point: float, half: float, verdict: Verdict | None) -> None:
    assert judged(goal=an_effect(point, half)).verdict is verdict
    assert judged(LAST, goal=an_effect(point, half)).verdict is (verdict or Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("point", "half", "needed"),
    [
        pytest.param(-0.2, 0.3, "about 12m would have been needed", id="half-as-wide-again-takes-over-twice-as-long"),
        pytest.param(0.2, 0.8, "about 80m would have been needed", id="four-times-as-wide-takes-sixteen-times-as-long"),
        pytest.param(-0.06, 0.05, "about 6m would have been needed", id="clear-but-not-worth-it-by-the-interval"),
        pytest.param(-0.05, 0.1, "none of up to 24h would tell so little", id="pods-wander-by-more"),
        pytest.param(-0.2, 6.0, "none of up to 24h would tell so little", id="nothing-is-known"),
    ],
)
def test_at_the_last_look_what_is_not_clear_is_inconclusive_and_names_the_window_it_needs(
    point: float, half: float, needed: str
) -> None:
    goal = replace(an_effect(point, half), low=point - half, high=max(point + half, 0.001), least_half_width=0.055)
    found = judged(LAST, goal=goal)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason.endswith(f"not clear yet, and spec.trial.maxWindow is over: {needed}")


def test_a_change_that_most_probably_is_worth_nothing_is_given_up_though_the_interval_is_wider() -> None:
    assert judged(goal=an_effect(0.0, 0.08)).verdict is Verdict.INCONCLUSIVE
    assert judged(goal=an_effect(0.0, 0.08)).reason.endswith("a difference of 0.05 (minEffect) is improbable")
    assert judged(goal=an_effect(-0.04, 0.08)).verdict is None


@pytest.mark.parametrize("look", [EARLY, FIRST, LAST])
def test_a_guard_that_is_breached_and_worse_ends_the_trial_at_once(look: Look) -> None:
    broken = a_guard(canary=0.5, breached=True, worse=True)
    found = judged(look, guards=(a_guard(), broken))
    assert (found.verdict, found.violation) == (Verdict.REGRESSED, True)
    assert found.reason == "latency: 50.0% in the canary against 1.0% beside it, 5.0% allowed, over 500 requests"


@pytest.mark.parametrize(
    "guard",
    [
        pytest.param(a_guard(breached=True, stable_breached=True), id="breached-in-both"),
        pytest.param(a_guard(worse=True), id="worse-inside-the-limit"),
        pytest.param(a_guard(breached=True, worse=True, samples=19.0), id="few-requests"),
        pytest.param(a_guard(name="errorRatio", breached=True, chance=0.01, bad=2.0), id="two-requests-failed"),
        pytest.param(
            a_guard(name="errorRatio", breached=True, chance=0.01, bad=9.0, stable_breached=True), id="fail-in-both"
        ),
        pytest.param(a_guard(breached=True, chance=0.01, bad=9.0), id="late-is-not-failed"),
        pytest.param(a_guard(name="errorRatio", breached=True, chance=0.06, bad=9.0), id="failed-before-too"),
    ],
)
def test_a_guard_alone_does_not_end_a_trial(guard: GuardComparison) -> None:
    found = judged(EARLY, guards=(guard,))
    assert (found.verdict, found.violation) == (None, False)


def test_requests_that_fail_in_the_canary_only_end_the_trial_at_once() -> None:
    found = judged(
        EARLY, guards=(a_guard(name="errorRatio", canary=0.15, breached=True, chance=0.01, bad=3.0, samples=20.0),)
    )
    assert (found.verdict, found.violation) == (Verdict.REGRESSED, True)


def test_a_guard_that_may_be_worse_holds_a_promotion_back() -> None:
    doubtful = (a_guard(canary=0.04, chance=0.03),)
    found = judged(guards=doubtful)
    assert found.verdict is None
    assert "better, but latency seems worse (4.0% against 1.0%)" in found.reason
    assert judged(LAST, guards=doubtful).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("share", [0.4, 2.1])
def test_a_canary_without_its_share_of_the_requests_is_not_comparable(share: float) -> None:
    found = judged(request_share_ratio=share)
    assert found.verdict is Verdict.NOT_COMPARABLE
    assert f"{share:.2f} times its fair share" in found.reason


def test_a_busy_canary_that_ends_few_requests_is_slow_and_is_judged() -> None:
    few: dict[str, Any] = {"request_share_ratio": 0.4, "canary_requests": 240.0}
    worse = replace(BETTER, log_ratio=1.4, low=1.0, high=1.8)
    assert judged(**few, canary_load_ratio=0.9, load_ratio=0.9, goal=worse).verdict is Verdict.REGRESSED
    assert judged(**few, canary_load_ratio=0.5, load_ratio=0.5).verdict is Verdict.NOT_COMPARABLE, "it has time left"
    assert judged(**few, canary_load_ratio=0.7, load_ratio=0.9).verdict is Verdict.NOT_COMPARABLE, "others are busier"
    assert judged(**few, canary_load_ratio=None).verdict is Verdict.NOT_COMPARABLE
    many: dict[str, Any] = {"request_share_ratio": 2.1, "canary_load_ratio": 0.9, "load_ratio": 0.9}
    assert judged(**many).verdict is Verdict.NOT_COMPARABLE


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"canary_requests": 90.0}, id="canary"),
        pytest.param({"stable_requests": 90.0}, id="stable"),
        pytest.param(
            {"canary_requests": 10.0, "stable_requests": 40.0, "request_share_ratio": 0.4}, id="share-by-chance"
        ),
        pytest.param({"canary_requests": 0.0, "stable_requests": 0.0, "request_share_ratio": None}, id="none"),
    ],
)
def test_too_few_requests_wait_and_in_the_end_are_inconclusive(fields: dict[str, Any]) -> None:
    assert judged(**fields).verdict is None
    assert "100 are needed" in judged(**fields).reason
    assert judged(LAST, **fields).verdict is Verdict.INCONCLUSIVE


def test_too_few_requests_name_the_window_in_which_enough_would_have_come() -> None:
    few, none = judged(LAST, canary_requests=40.0), judged(LAST, canary_requests=0.0, request_share_ratio=None)
    assert few.reason.endswith("maxWindow is over: about 13m would have been needed")
    assert none.reason.endswith("spec.trial.maxWindow is over")


@pytest.mark.parametrize("load", [0.59, None])
def test_capacity_without_load_is_not_identifiable(load: float | None) -> None:
    assert judged(load_ratio=load).verdict is Verdict.NOT_IDENTIFIABLE


@pytest.mark.parametrize(("least", "verdict"), [(0.0, Verdict.IMPROVED), (0.6, Verdict.NOT_IDENTIFIABLE)])
def test_how_much_load_capacity_needs_depends_on_what_was_changed(least: float, verdict: Verdict) -> None:
    assert judge(a_comparison(load_ratio=0.3), RULES, FIRST, least).verdict is verdict


def test_energy_needs_no_load() -> None:
    joules = replace(BETTER, what="GPU joules per answer", of_capacity=False)
    rows = (Beside(Measure.ENERGY_PER_REQUEST, 6.2, 10.0, "J", 600.0, 600.0),)
    found = judged(goal=joules, load_ratio=0.2, beside=rows)
    assert found.verdict is Verdict.IMPROVED
    assert found.summary == "GPU joules per answer -38%"
    assert (found.observed[0].effect, found.observed[0].low, found.observed[0].high) == ("-0.38", "-0.45", "-0.3")


def test_late_requests_have_no_slots_and_no_measure_of_their_own() -> None:
    late = replace(BETTER, what="share of requests over 200ms", of_capacity=False, slots=0, run_in_slots=0)
    found = judged(goal=late)
    assert found.reason.startswith("share of requests over 200ms -38% (-45% to -30%): better")
    assert [each.effect for each in found.observed] == [None, None]


def test_a_goal_that_is_not_measured_is_not_identifiable_unless_more_time_may_help() -> None:
    absent = NotMeasured("no power")
    assert (judged(goal=absent).verdict, judged(goal=absent).reason) == (Verdict.NOT_IDENTIFIABLE, "no power")
    soon = NotMeasured("4 slots", passing=True)
    assert judged(goal=soon).verdict is None
    assert judged(LAST, goal=soon).verdict is Verdict.NOT_IDENTIFIABLE
    assert judged(goal=soon).summary == "Unknown"


def test_observed_rows_carry_the_effect_on_the_goals_measure() -> None:
    throughput, latency = judged().observed
    assert (throughput.measure, throughput.unit) == (Measure.THROUGHPUT, "answers/busy s")
    assert (throughput.canary, throughput.stable) == ("60", "37")
    assert (throughput.effect, throughput.low, throughput.high) == ("0.613", "0.429", "0.818")
    assert (throughput.canary_samples, throughput.stable_samples) == (600, 600)
    assert (latency.canary, latency.stable, latency.effect) == ("0.1", None, None)


def test_changes_beyond_all_measure_are_written_in_words() -> None:
    assert percent(0.5) == "+50%"
    assert percent(change_of(400.0)) == "over +1000%"
    assert change_of(-400.0) == pytest.approx(-1.0)
