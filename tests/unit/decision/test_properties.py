"""Whatever the numbers are: no error, inside the bounds, never down on what is not trusted, the same twice."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from fakes.batching import over_time
from fakes.builders import NOW, a_pod, a_policy, a_reading, a_snapshot, a_target
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.decide import decide
from trimtab_operator.decision.replicas import DOWN_UTILIZATION
from trimtab_operator.model.decision import Change
from trimtab_operator.model.signals import Reading, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Pod, Snapshot
from trimtab_operator.trial.advance import advance

ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True)
SENSIBLE = st.floats(0.0, 1.2)
OBJECTIVES = {"latency": {"max": "200ms"}, "gpuMemoryRatio": {"max": "0.9"}, "errorRatio": {"max": "0.01"}}


@st.composite
def pods(draw: st.DrawFn) -> tuple[Pod, ...]:
    made = []
    for number in range(draw(st.integers(0, 6))):
        ready = draw(st.booleans())
        age = draw(st.sampled_from([5.0, 30.0, 120.0, 3600.0]))
        made.append(
            a_pod(
                f"chat-{number}",
                ready=ready,
                deleting=draw(st.booleans()),
                created_at=NOW - age,
                ready_at=NOW - age / 2 if ready else None,
                unschedulable_since=None if ready or draw(st.booleans()) else NOW - age,
                gpus=draw(st.sampled_from([0, 1])),
            )
        )
    return tuple(made)


@st.composite
def readings(draw: st.DrawFn, names: list[str], numbers: st.SearchStrategy[float]) -> dict[Signal, Reading]:
    return {
        signal: a_reading(
            signal,
            {name: draw(numbers) for name in names if draw(st.integers(0, 5))},
            state=draw(st.sampled_from([*[SignalState.OK] * 6, *SignalState])),
            at=draw(st.sampled_from([None, NOW - 2.0, NOW - 2.0, NOW - 500.0])),
        )
        for signal in Signal
        if draw(st.integers(0, 3))
    }


@st.composite
def batches(draw: st.DrawFn, numbers: st.SearchStrategy[float]) -> dict[Signal, Series]:
    """The series of a runtime that batches continuously."""
    signals = (Signal.RUNNING_REQUESTS, Signal.QUEUE_REQUESTS, Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS)
    drawn = {signal: draw(st.lists(numbers, max_size=4)) for signal in signals}
    return {signal: over_time(signal, values * 10, draw(st.integers(0, 3))) for signal, values in drawn.items()}


@st.composite
def snapshots(draw: st.DrawFn, numbers: st.SearchStrategy[float] = ANY_NUMBER) -> Snapshot:
    made = draw(pods())
    target = a_target(
        draw(st.integers(0, 12)),
        pods=made,
        rolling_out=draw(st.booleans()),
        runtime=draw(st.sampled_from(["trimtab", "vllm", "unknown"])),
    )
    snapshot = a_snapshot(target=target, rps=draw(st.floats(0.0, 500.0)), busy=draw(SENSIBLE), queue=draw(SENSIBLE))
    gpu_source: Any = draw(st.sampled_from(["none", "agent", "dcgm"]))
    drawn = draw(readings([pod.name for pod in made], numbers))
    history = snapshot.history | draw(batches(numbers))
    return replace(snapshot, readings=snapshot.readings | drawn, history=history, gpu_source=gpu_source)


@settings(max_examples=60)
@given(snapshot=snapshots(), mode=st.sampled_from(["Apply", "Recommend", "Paused"]))
def test_no_measurement_however_odd_raises_or_leaves_the_bounds(snapshot: Snapshot, mode: str) -> None:
    policy = a_policy(objectives=OBJECTIVES, mode=mode, scaling={"minReplicas": 2, "maxReplicas": 9})
    step = advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)
    assert step == advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)
    assert step.status is not None
    status = PolicyStatus.model_validate(step.status)
    assert status.replicas is not None
    if status.replicas.desired is not None:
        assert 2 <= status.replicas.desired <= 9
    if status.intent is not None:
        assert mode == "Apply"


@settings(max_examples=60)
@given(snapshot=snapshots(numbers=SENSIBLE))
def test_replicas_are_removed_only_on_trusted_measurements_of_a_settled_target(snapshot: Snapshot) -> None:
    policy = a_policy(objectives=OBJECTIVES, scaling={"minReplicas": 1, "maxReplicas": 12, "maxStep": 12})
    analysis = analyze(snapshot, policy)
    found = decide(snapshot, analysis, policy)
    if not isinstance(found, Change) or found.desired > found.current or found.reason == "AboveMaxReplicas":
        return
    target = snapshot.target
    assert analysis.trust.trusted
    assert not isinstance(target, type(None))
    if found.reason != "Unschedulable":
        carried = analysis.capacity
        assert carried is not None
        ready = len(target.ready_pods)  # type: ignore[union-attr]
        assert ready >= found.current
        if carried.load is not None:
            assert carried.load.peak_replicas is not None
            assert carried.load.peak_replicas * carried.load.headroom <= found.desired + 1e-6
        else:
            assert carried.utilization_peak_ratio is not None
            assert ready * carried.utilization_peak_ratio / found.desired <= DOWN_UTILIZATION + 1e-6
        assert not target.rolling_out  # type: ignore[union-attr]


@given(rps=st.floats(0.0, 1e9), busy=st.floats(0.0, 1.0), queue=st.floats(0.0, 1e9))
def test_more_load_never_wishes_for_fewer_replicas(rps: float, busy: float, queue: float) -> None:
    policy = a_policy()

    def wished(scale: float) -> float:
        snapshot = a_snapshot(rps=rps, busy=min(1.0, busy * scale), queue=queue * scale)
        return decide(snapshot, analyze(snapshot, policy), policy).uncapped or math.nan

    assert wished(2.0) >= wished(1.0) - 1.0, "up to the rounding of a whole replica"
