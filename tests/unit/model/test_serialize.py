"""A recorded tick reads back as it was, to the last bit."""

from __future__ import annotations

import json

import pytest
from fakes.builders import a_gpu_reading, a_policy, a_snapshot, a_target
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.serialize import read_line, record_line
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.trial.advance import advance


@given(rps=st.floats(0.0, 1e6), busy=st.floats(0.0, 1.0), queue=st.floats(0.0, 1e4))
def test_a_recorded_tick_replays_to_the_identical_step(rps: float, busy: float, queue: float) -> None:
    snapshot, policy = a_snapshot(rps=rps, busy=busy, queue=queue), a_policy(objectives={"latency": {"max": "1s"}})
    step = advance(None, snapshot, analyze(snapshot, policy), policy)
    read, read_policy, read_step = read_line(record_line(snapshot, policy, step))
    assert (read, read_policy, read_step) == (snapshot, policy, step)
    assert advance(None, read, analyze(read, read_policy), read_policy) == step


def test_what_each_gpu_of_a_pod_does_survives_and_a_recording_from_before_has_none_of_it() -> None:
    signal, policy = Signal.GPU_UTILIZATION_RATIO, a_policy()
    snapshot = a_snapshot(gpus={signal: a_gpu_reading(signal, {"chat-0": (0.1, 0.9)})})
    step = advance(None, snapshot, analyze(snapshot, policy), policy)
    line = record_line(snapshot, policy, step)
    assert read_line(line)[0] == snapshot
    recorded = json.loads(line)
    del recorded["snapshot"]["gpus"]
    assert read_line(json.dumps(recorded))[0] == a_snapshot()


def test_an_action_and_a_target_problem_survive() -> None:
    snapshot = Snapshot(now=1.0, target=TargetProblem("NotFound", "no Deployment prod/chat"))
    policy = a_policy()
    step = advance(None, snapshot, analyze(snapshot, policy), policy)
    assert read_line(record_line(snapshot, policy, step)) == (snapshot, policy, step)


def test_the_ready_pods_are_those_that_serve() -> None:
    target = a_target(3)
    assert [pod.name for pod in target.ready_pods] == ["chat-0", "chat-1", "chat-2"]


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", '{"snapshot": {}, "policy": {}, "step": {}}', "nonsense"],
    ids=["empty", "list", "wrong", "text"],
)
def test_anything_else_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a recorded tick|Expecting value"):
        read_line(line)
