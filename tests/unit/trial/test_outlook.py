"""What a written status tells of where things go, and that none of it is a reason to write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import NOW, a_distribution, a_policy, a_reading, a_snapshot, buckets, later
from fakes.pasts import a_past, a_ramp

from trimtab_api.findings import Measure, ObjectiveResult, ScorecardRow, TrendSpan
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.action import Step
from trimtab_operator.model.past import Past
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot
from trimtab_operator.trial.advance import advance

PODS = ("chat-0", "chat-1")
MEMORY = {"gpuMemoryRatio": {"max": "0.90"}}
LATENCY = {"latency": {"max": "200ms"}}
RISING = a_past({Signal.GPU_MEMORY_USED_RATIO: a_ramp(0.84, 0.12)})
FLAT = a_past({Signal.GPU_MEMORY_USED_RATIO: 0.84})


def with_memory(past: Past | None) -> Snapshot:
    signal = Signal.GPU_MEMORY_USED_RATIO
    return a_snapshot(readings={signal: a_reading(signal, dict.fromkeys(PODS, 0.84))}, past=past)


def with_latency(now: float, before: float) -> Snapshot:
    signal = Signal.LATENCY_SECONDS
    shape = a_distribution(signal, dict.fromkeys(PODS, buckets(500.0, 0.05, before)))
    return a_snapshot(slow=now, five_minutes={signal: shape}, hour={signal: shape})


def step(snapshot: Snapshot, objectives: dict[str, Any], status: dict[str, Any] | None = None) -> Step:
    policy = a_policy(objectives=objectives, status=status or {"phase": "Validation"})
    return advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)


def written(snapshot: Snapshot, objectives: dict[str, Any], status: dict[str, Any] | None = None) -> dict[str, Any]:
    found = step(snapshot, objectives, status).status
    assert found is not None
    return found


def objective(status: dict[str, Any]) -> ObjectiveResult:
    (found,) = PolicyStatus.model_validate(status).objectives
    return found


def row(status: dict[str, Any], measure: Measure) -> ScorecardRow:
    return next(each for each in PolicyStatus.model_validate(status).scorecard if each.measure is measure)


def condition(status: dict[str, Any]) -> tuple[str, str, str]:
    found = next(each for each in status["conditions"] if each["type"] == "ObjectivesMet")
    return found["status"], found["reason"], found["message"]


def test_what_will_be_missed_is_told_with_value_slope_limit_and_time() -> None:
    status = written(with_memory(RISING), MEMORY)
    told, reason, message = condition(status)
    assert (told, reason) == ("True", "WillMiss")
    assert message.startswith("gpuMemoryRatio is 0.84 and changes by 0.12 (0.12 to 0.12) an hour, as seen over 1h: ")
    assert message.endswith("it will miss its limit of 0.9 at about 2027-01-15 08:30 UTC")
    when = objective(status).will_miss_at
    assert when is not None
    assert when.timestamp() == pytest.approx(NOW + 1800.0, abs=1.0)


def test_a_percentile_that_the_histogram_does_not_resolve_is_told_without_a_number() -> None:
    signal = Signal.LATENCY_SECONDS
    fast = a_distribution(signal, dict.fromkeys(PODS, buckets(500.0, 0.001)))
    past = a_past({signal: a_ramp(0.14, 0.12)}, percentiles={signal: 95})
    told = condition(written(a_snapshot(distributions={signal: fast}, past=past), LATENCY))
    assert told[:2] == ("True", "WillMiss")
    assert "latency is outside of what its histogram resolves and changes by 0.12s" in told[2]


def test_what_is_met_now_and_was_missed_too_often_is_not_called_met() -> None:
    told = condition(written(with_latency(0.0, 0.1), LATENCY))
    assert told == (
        "False",
        "Burning",
        "latency: more requests missed it than may: 2.0 times over 5m and 2.0 times over 1h",
    )
    assert condition(written(with_latency(0.1, 0.1), LATENCY))[1] == "Violated"


def test_where_none_may_fail_a_lasting_miss_has_no_rate() -> None:
    rates = {Signal.REQUESTS_PER_SECOND: 40.0, Signal.ERRORS_PER_SECOND: 4.0}
    snapshot = a_snapshot(errors=0.0, past=a_past(rates))
    failed = replace(snapshot.history[Signal.REQUESTS_PER_SECOND], signal=Signal.ERRORS_PER_SECOND)
    lately = replace(snapshot, history=snapshot.history | {Signal.ERRORS_PER_SECOND: failed})
    assert condition(written(lately, {"errorRatio": {"max": "0"}}))[2].endswith("than may: none may")


def test_the_details_of_an_objective_are_shown_with_units() -> None:
    found = objective(written(with_latency(0.02, 0.04), LATENCY))
    assert found.low is not None
    assert found.high is not None
    assert (found.low.endswith("s"), found.high.endswith("s")) == (True, True)
    assert float(found.margin_ratio or "nan") == pytest.approx(0.74, abs=0.05)
    assert found.burn_rate is not None
    assert (found.burn_rate.short, found.burn_rate.long, found.burn_rate.lasting) == ("0.8", "0.8", False)
    assert 0.5 < float(found.confidence or "nan") < 1.0


def test_the_trends_of_a_row_are_shown_and_why_one_is_absent() -> None:
    signal = Signal.GPU_MEMORY_USED_RATIO
    steps = RISING.steps | {TrendSpan.WEEK: {signal: (None,) * 5 + (0.8, 0.9)}}
    shown = row(written(with_memory(replace(RISING, steps=steps)), MEMORY), Measure.GPU_MEMORY)
    assert [(each.over, each.per_hour, each.low, each.high) for each in shown.trends] == [
        (TrendSpan.HOUR, "0.12", "0.12", "0.12"),
        (TrendSpan.DAY, "0.12", "0.12", "0.12"),
    ]
    assert shown.trend_reason == "7d: 2 of 7 steps of 24 h are known, 5 needed"


def test_the_errors_of_a_row_are_shown_by_reason_the_eight_largest() -> None:
    rates = {f"{500 + kind}": float(kind) for kind in range(1, 11)}
    shown = row(written(a_snapshot(rps=100.0, history={}, error_reasons=rates), MEMORY), Measure.ERRORS)
    assert [(each.reason, each.ratio) for each in shown.errors][:2] == [("510", "0.1"), ("509", "0.09")]
    assert len(shown.errors) == 8


@pytest.mark.parametrize(
    ("before", "after", "objectives"),
    [
        pytest.param(with_memory(FLAT), with_memory(RISING), MEMORY, id="a-warning-begins"),
        pytest.param(with_memory(RISING), with_memory(FLAT), MEMORY, id="a-warning-ends"),
        pytest.param(with_latency(0.0, 0.0), with_latency(0.0, 0.1), LATENCY, id="a-lasting-miss-begins"),
        pytest.param(with_latency(0.0, 0.1), with_latency(0.0, 0.0), LATENCY, id="a-lasting-miss-ends"),
    ],
)
def test_what_begins_or_ends_is_written_at_once(before: Snapshot, after: Snapshot, objectives: dict[str, Any]) -> None:
    standing = written(before, objectives)
    assert step(later(before, 5.0), objectives, standing).status is None
    assert step(later(after, 5.0), objectives, standing).status is not None


def test_a_second_objective_that_will_be_missed_is_written_beside_the_first() -> None:
    signal = Signal.LATENCY_SECONDS
    objectives = MEMORY | LATENCY
    one = with_memory(a_past({Signal.GPU_MEMORY_USED_RATIO: a_ramp(0.84, 0.12), signal: 0.05}))
    both = with_memory(a_past({Signal.GPU_MEMORY_USED_RATIO: a_ramp(0.84, 0.12), signal: a_ramp(0.14, 0.12)}))
    standing = written(one, objectives)
    told = written(later(both, 5.0), objectives, standing)
    assert [bool(each.get("willMissAt")) for each in told["objectives"]] == [True, True]


def test_slopes_burn_rates_and_errors_that_move_are_no_reason_to_write() -> None:
    calm = replace(with_latency(0.01, 0.01), past=FLAT, error_reasons={"rejected": 0.1})
    moved = replace(with_latency(0.01, 0.03), past=a_past({Signal.GPU_MEMORY_USED_RATIO: a_ramp(0.5, -0.2)}))
    standing = written(calm, LATENCY)
    assert step(later(replace(moved, error_reasons={"error": 0.4}), 300.0), LATENCY, standing).status is None
