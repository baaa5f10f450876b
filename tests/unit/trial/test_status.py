"""What people read: columns, findings, numbers with units, events; and when it is worth a write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import (
    NOW,
    a_distribution,
    a_gpu_reading,
    a_pod,
    a_policy,
    a_reading,
    a_snapshot,
    a_target,
    buckets,
    later,
)
from fakes.ledger import an_intent, replicas, stamp

from trimtab_api.findings import Stage
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.action import Event, Step
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import ReplicasOwner, Snapshot, TargetProblem
from trimtab_operator.trial import texts
from trimtab_operator.trial.advance import advance
from trimtab_operator.trial.materiality import changed, due

PRICES = {"currency": "EUR", "perCpuHour": "0.36"}
GONE = Snapshot(now=NOW, target=TargetProblem("NotFound", "gone"))
PODS = ("chat-0", "chat-1")


def step(snapshot: Snapshot, status: dict[str, Any] | None = None, **spec: Any) -> Step:
    policy = a_policy(status={"phase": "Validation"} if status is None else status, **spec)
    return advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)


def shown(snapshot: Snapshot, status: dict[str, Any] | None = None, **spec: Any) -> PolicyStatus:
    taken = step(snapshot, status, **spec)
    assert taken.status is not None
    return PolicyStatus.model_validate(taken.status)


@pytest.mark.parametrize(
    ("column", "value", "snapshot", "spec"),
    [
        ("objectives_summary", "None", a_snapshot(), {}),
        ("objectives_summary", "1/1", a_snapshot(), {"objectives": {"latency": {"max": "1s"}}}),
        ("objectives_summary", "0/1", a_snapshot(latency=2.0), {"objectives": {"latency": {"max": "1s"}}}),
        ("objectives_summary", "Unknown", GONE, {"objectives": {"latency": {"max": "1s"}}}),
        ("bottleneck_summary", "Compute", a_snapshot(busy=0.95), {}),
        ("bottleneck_summary", "None", a_snapshot(), {}),
        ("bottleneck_summary", "Unknown", GONE, {}),
        ("replicas_summary", "2", a_snapshot(), {}),
        ("replicas_summary", "2→3", a_snapshot(busy=0.95), {"mode": "Recommend"}),
        ("replicas_summary", "2", a_snapshot(), {"scaling": None}),
        ("replicas_summary", "Unknown", GONE, {}),
        ("saving_summary", "75%", a_snapshot(), {"cost": PRICES}),
        ("saving_summary", "Unknown", a_snapshot(), {}),
        ("saving_summary", "Unknown", a_snapshot(), {"cost": PRICES, "scaling": None}),
        ("saving_summary", "Unknown", a_snapshot(), {"cost": {"perGpuHour": "2.50"}}),
        ("trusted_summary", "True", a_snapshot(), {}),
        ("trusted_summary", "Implausible", a_snapshot(busy=9.0), {}),
    ],
)
def test_a_column_says_it_in_a_word(column: str, value: str, snapshot: Snapshot, spec: dict[str, Any]) -> None:
    assert getattr(shown(snapshot, **spec), column) == value


def test_a_status_says_of_which_generation_since_when_and_of_how_many_replicas_it_speaks() -> None:
    first = shown(a_snapshot(busy=0.95), mode="Recommend")
    assert (first.observed_generation, first.phase, first.phase_since) == (3, "Validation", texts.when(NOW))
    assert first.replicas is not None
    assert (first.replicas.current, first.replicas.desired, first.replicas.uncapped) == (2, 3, 3)
    assert first.replicas.at == texts.when(NOW)
    assert first.replicas.reason.startswith("RecommendOnly: spec.mode is Recommend")
    later_on = shown(later(a_snapshot(latency=1.0), 60.0), first.to_body(), objectives={"latency": {"max": "200ms"}})
    assert (later_on.phase, later_on.phase_since) == ("Validation", first.phase_since)
    moved = shown(later(a_snapshot(), 60.0), first.to_body() | {"phase": "Analysis"})
    assert (moved.phase, moved.phase_since) == ("Validation", texts.when(NOW + 60.0))


def test_constraints_are_shown_those_of_the_settings_last() -> None:
    names = [each.name for each in shown(a_snapshot(busy=0.95, replicas=8)).constraints]
    assert "MaxReplicasReached" in names
    assert names[-1] == "NoTokenVolume"


def test_objectives_that_are_met_are_counted_among_all() -> None:
    objectives = {"latency": {"max": "1s"}, "errorRatio": {"max": "0.01"}, "cacheHitRatio": {"min": "0.5"}}
    assert shown(a_snapshot(), objectives=objectives).objectives_summary == "2/3"


def gpu_snapshot() -> Snapshot:
    values = {
        Signal.GPU_UTILIZATION_RATIO: 0.5,
        Signal.GPU_MEMORY_USED_RATIO: 0.7,
        Signal.GPU_POWER_WATTS: 100.0,
        Signal.CACHE_HIT_RATIO: 0.25,
        Signal.CPU_USED_CORES: 0.5,
        Signal.CPU_LIMIT_CORES: 1.0,
    }
    readings = {signal: a_reading(signal, dict.fromkeys(PODS, value)) for signal, value in values.items()}
    base = a_snapshot(target=a_target(pods=tuple(a_pod(name, gpus=1) for name in PODS)), readings=readings)
    template = base.history[Signal.BUSY_RATIO]
    history = {
        signal: replace(template, signal=signal, points=tuple(replace(point, value=value) for point in template.points))
        for signal, value in values.items()
    }
    return replace(base, history=base.history | history, window_distributions=base.distributions)


def test_the_baseline_shows_what_was_measured_and_leaves_out_the_rest() -> None:
    spec = {"cost": {"perGpuHour": "3.60"}, "objectives": {"latency": {"max": "200ms"}}}
    baseline = shown(gpu_snapshot(), {"phase": "Discovery"}, **spec).baseline
    assert baseline is not None
    assert (baseline.requests, baseline.samples, baseline.replicas) == (72000, 121, "2")
    assert (baseline.gpu_utilization_ratio, baseline.cpu_utilization_ratio, baseline.gpu_memory_ratio) == (
        "0.5",
        "0.5",
        "0.7",
    )
    assert (baseline.cache_hit_ratio, baseline.cost_per_hour, baseline.cost_per_thousand_requests) == (
        "0.25",
        "7.2",
        "0.05",
    )
    assert baseline.joules_per_request == "2.5", "100 W on average of both GPUs over 40 requests/s"
    assert [result.met for result in baseline.objectives] == ["Met"]
    assert {peak.signal for peak in baseline.peaks} >= {"gpu_utilization_ratio", "cpu_used_cores", "queue_requests"}
    plain = shown(a_snapshot(), {"phase": "Discovery"}).baseline
    assert plain is not None
    assert (plain.gpu_utilization_ratio, plain.cpu_utilization_ratio, plain.cost_per_hour) == (None, None, None)


def test_findings_keep_since_while_their_state_does() -> None:
    spec = {"objectives": {"latency": {"max": "200ms"}}, "cost": PRICES}
    first = shown(a_snapshot(), **spec)
    second = shown(later(a_snapshot(latency=1.0), 60.0), first.to_body(), **spec)
    assert first.bottleneck is not None
    assert second.bottleneck is not None
    assert first.saving is not None
    assert second.saving is not None
    assert second.bottleneck.since == first.bottleneck.since
    assert second.saving.since == first.saving.since
    assert second.objectives[0].since != first.objectives[0].since
    states = {row.measure: row.since for row in first.scorecard}
    same = [row.measure for row in second.scorecard if row.since == states[row.measure]]
    assert "Throughput" in same
    assert "ResponseTimeP95" not in same


def test_a_value_has_its_unit_and_money_its_currency() -> None:
    objectives = {
        "latency": {"max": "200ms"},
        "requestsPerSecond": {"min": "0.3"},
        "costPerThousandRequests": {"max": "1.00"},
        "errorRatio": {"max": "0.01"},
    }
    found = {each.name: each for each in shown(a_snapshot(), objectives=objectives, cost=PRICES).objectives}
    assert (found["latency"].value, found["latency"].limit) == ("0.055s", "0.2s")
    assert found["requestsPerSecond"].value == "80 requests/s"
    assert found["costPerThousandRequests"].value == "0.005 EUR"
    assert found["errorRatio"].limit == "0.01"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.18349, "s", "0.183s"),
        (123456.0, "requests/h", "123000 requests/h"),
        (0.0, "ratio", "0"),
        (0.8749, "ratio", "0.875"),
        (12.0, "J", "12J"),
        (float("nan"), "ratio", "0"),
        (0.00000123456, "currency", "0.000001230 EUR".replace("0 EUR", " EUR")),
    ],
)
def test_numbers_are_rounded_and_can_be_read_back(value: float, unit: str, text: str) -> None:
    assert texts.with_unit(value, unit, "EUR") == text
    assert texts.leading_number(text) == pytest.approx(float(text.split(" ", maxsplit=1)[0].rstrip("sJ")))
    assert texts.leading_number(None) is None


@pytest.mark.parametrize(("value", "text"), [(1.2, "1"), (-0.1, "0"), (0.33333, "0.3333")])
def test_a_share_stays_between_0_and_1(value: float, text: str) -> None:
    assert texts.share(value) == text


def base(**fields: Any) -> PolicyStatus:
    body = shown(a_snapshot(), objectives={"latency": {"max": "200ms"}}).to_body()
    return PolicyStatus.model_validate(body | fields)


def numbers(value: str, **replica_fields: Any) -> PolicyStatus:
    rows = [{"measure": "Throughput", "reference": "1000 requests/h", "state": "Met", "value": value}]
    return base(scorecard=rows, replicas=replicas(2, at=NOW - 70.0) | replica_fields)


def wished(replicas_wished: int) -> PolicyStatus:
    return numbers("100 x", uncapped=replicas_wished)


GOOD: dict[str, Any] = {"settings": {}, "at": stamp(NOW)}
ANALYSIS = analyze(a_snapshot(rps=4000.0), a_policy())


@pytest.mark.parametrize(
    ("before", "after", "now", "expected"),
    [
        pytest.param(numbers("100 x"), numbers("100 x"), NOW, False, id="nothing-moved"),
        pytest.param(numbers("100 x"), numbers("104 x"), NOW, False, id="less-than-a-twentieth"),
        pytest.param(numbers("100 x"), numbers("150 x"), NOW, True, id="half-more"),
        pytest.param(numbers("100 x"), numbers("150 x"), NOW - 20.0, False, id="within-a-minute"),
        pytest.param(numbers("100 x"), numbers("100 x", uncapped=3), NOW, False, id="one-more-wished"),
        pytest.param(numbers("100 x"), numbers("100 x", uncapped=9), NOW, True, id="many-more-wished"),
        pytest.param(numbers("100 x"), numbers("100 x", uncapped=None), NOW, True, id="nothing-wished-any-more"),
        pytest.param(numbers("100 x"), numbers("100 x", desired=3), NOW - 69.0, True, id="another-number-at-once"),
        pytest.param(numbers("100 x"), numbers("150 x"), NOW - 10.0, True, id="after-just-a-minute"),
        pytest.param(numbers("100 x"), numbers("100 x", uncapped=4), NOW, True, id="two-more-wished"),
        pytest.param(wished(10), wished(12), NOW, False, id="a-fifth-more-wished"),
        pytest.param(wished(10), wished(13), NOW, True, id="more-than-a-fifth-more-wished"),
        pytest.param(wished(13), wished(10), NOW, True, id="fewer-wished"),
        pytest.param(base(phase="Discovery"), base(), NOW, True, id="phase"),
        pytest.param(base(), base(intent=an_intent()), NOW - 69.0, True, id="an-intent-at-once"),
        pytest.param(
            base(lastKnownGood=GOOD | {"trial": "chat-1"}),
            base(lastKnownGood=GOOD),
            NOW - 69.0,
            True,
            id="other-good-settings-at-once",
        ),
        pytest.param(base(replicas=None), base(replicas=None), NOW, False, id="no-replicas-known"),
    ],
)
def test_a_status_is_written_for_what_matters_only(
    before: PolicyStatus, after: PolicyStatus, now: float, expected: bool
) -> None:
    assert due(before, after, ANALYSIS, now) is expected


def test_a_number_that_appears_or_goes_away_is_a_change() -> None:
    assert changed(None, 1.0, 0.05)
    assert changed(1.0, None, 0.05)
    assert not changed(None, None, 0.05)
    assert not changed(0.0, 0.0, 0.05)


def test_a_number_that_moved_by_just_the_share_is_no_change_whichever_way() -> None:
    assert not changed(95.0, 100.0, 0.05)
    assert not changed(100.0, 95.0, 0.05)
    assert changed(94.0, 100.0, 0.05)
    assert changed(100.0, 94.0, 0.05)


def test_a_noisy_number_needs_more_than_its_noise() -> None:
    few = analyze(a_snapshot(rps=2.0), a_policy())
    assert due(numbers("100 x"), numbers("115 x"), ANALYSIS, NOW)
    assert not due(numbers("100 x"), numbers("115 x"), few, NOW)
    assert due(numbers("100 x"), numbers("200 x"), few, NOW)


def events(before: dict[str, Any] | None, snapshot: Snapshot, **spec: Any) -> dict[str, Event]:
    return {event.reason: event for event in step(snapshot, before, **spec).events}


def test_what_goes_wrong_is_a_warning_and_what_recovers_is_told() -> None:
    spec = {"objectives": {"latency": {"max": "200ms"}}}
    healthy = step(a_snapshot(), **spec).status
    broken = step(later(a_snapshot(busy=9.0, latency=1.0), 60.0), healthy, **spec)
    told = {event.reason: event.type for event in broken.events}
    assert told == {"MetricsImplausible": "Warning", "ObjectivesViolated": "Warning"}
    mended = step(later(a_snapshot(), 120.0), broken.status, **spec)
    assert {event.reason: event.type for event in mended.events} == {
        "MetricsTrustedRecovered": "Normal",
        "ObjectivesMetRecovered": "Normal",
    }


def test_a_first_look_at_a_healthy_target_tells_only_its_phase() -> None:
    assert set(events({}, a_snapshot())) == {"PhaseChanged"}


def test_a_missing_target_and_a_conflict_are_told_with_their_reason() -> None:
    hpa = a_target(replicas_owners=(ReplicasOwner("HorizontalPodAutoscaler", "web"),))
    assert {"TargetNotFound", "MetricsNoData"} <= set(events(None, GONE))
    assert "HorizontalPodAutoscaler" in events(None, a_snapshot(target=hpa))


def test_a_new_recommendation_is_told_once() -> None:
    told = step(a_snapshot(busy=0.95), mode="Recommend")
    assert "3 replicas instead of 2" in {event.reason: event.message for event in told.events}["Recommended"]
    again = step(later(a_snapshot(busy=0.95), 15.0), told.status, mode="Recommend")
    assert again.events == ()


def test_a_loud_constraint_is_told_when_it_appears() -> None:
    full = a_snapshot(busy=0.95, replicas=8)
    first = step(full)
    assert "MaxReplicasReached" in {event.reason for event in first.events}
    second = step(later(a_snapshot(busy=0.95, replicas=8, latency=0.5), 90.0), first.status)
    assert "MaxReplicasReached" not in {event.reason for event in second.events}


def test_the_evidence_of_a_bottleneck_is_at_most_eight_facts() -> None:
    found = shown(gpu_snapshot()).bottleneck
    assert found is not None
    assert 0 < len(found.evidence) <= 8
    assert all(fact.query for fact in found.evidence)


def a_pipeline(*active: float) -> Snapshot:
    """Two vLLM pods whose GPUs are so active."""
    signal, names = Signal.GPU_UTILIZATION_RATIO, PODS
    target = a_target(pods=tuple(a_pod(name, gpus=len(active)) for name in names), runtime="vllm")
    readings = {
        signal: a_reading(signal, dict.fromkeys(names, sum(active) / len(active))),
        Signal.KV_CACHE_USED_RATIO: a_reading(Signal.KV_CACHE_USED_RATIO, dict.fromkeys(names, 0.3)),
        Signal.BUSY_RATIO: a_reading(Signal.BUSY_RATIO, {}),
    }
    gpus = {signal: a_gpu_reading(signal, dict.fromkeys(names, active))}
    return a_snapshot(target=target, readings=readings, gpus=gpus)


def test_the_stage_that_limits_is_shown_with_how_active_it_is_beside_the_others() -> None:
    found = shown(a_pipeline(0.5, 0.45, 0.95)).bottleneck
    assert found is not None
    assert found.stage == Stage(name="GPU 2", active_ratio="0.95", others_ratio="0.5")
    assert found.evidence[0].query == "by_gpu(gpu_utilization_ratio)"
    assert found.evidence[0].value == "0.95"


def test_another_stage_is_written_at_once_and_a_busier_one_is_not() -> None:
    first = step(a_pipeline(0.5, 0.45, 0.95)).status
    assert step(later(a_pipeline(0.5, 0.45, 0.97), 15.0), first).status is None
    second = step(later(a_pipeline(0.95, 0.45, 0.5), 15.0), first).status
    assert second is not None
    assert second["bottleneck"]["stage"]["name"] == "GPU 0"


def test_a_runner_up_is_shown() -> None:
    signal = Signal.LATENCY_SECONDS
    histogram = {signal: a_distribution(signal, dict.fromkeys(PODS, buckets(400.0, 1.0)))}
    waiting = a_snapshot(busy=1.0, waiting=0.9, distributions=histogram)
    found = shown(waiting, mode="Recommend").bottleneck
    assert found is not None
    assert (found.kind, found.runner_up) == ("Queue", "Compute")
