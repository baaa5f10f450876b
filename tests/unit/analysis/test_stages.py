"""Which stage of a pipeline limits: pods as evidence for each other, and GPUs that must never be taken for a stage."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import NOW, a_gpu_reading, a_pod, a_policy, a_reading, a_snapshot, a_target
from fakes.ledger import stamp
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.stages import at_stage, limiting_stage
from trimtab_operator.model.analysis import Stage
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

ACTIVE, TENSOR, DRAM = Signal.GPU_UTILIZATION_RATIO, Signal.GPU_TENSOR_ACTIVE_RATIO, Signal.GPU_DRAM_ACTIVE_RATIO
LAST_FULL = (0.5, 0.45, 0.5, 0.95)
Gpus = tuple[float, ...]


def seen(*active: Gpus, **overrides: Any) -> Snapshot:
    """Pods chat-0, chat-1, … that say how active each of their GPUs is."""
    pods = tuple(a_pod(f"chat-{number}", gpus=len(gpus)) for number, gpus in enumerate(active))
    by_pod = {pod.name: gpus for pod, gpus in zip(pods, active, strict=True)}
    fields = {"target": a_target(pods=pods, replicas=len(pods)), "gpus": {ACTIVE: a_gpu_reading(ACTIVE, by_pod)}}
    return a_snapshot(**fields | overrides)


def with_gpus(snapshot: Snapshot, gpus: Mapping[Signal, Gpus]) -> Snapshot:
    return replace(snapshot, gpus={signal: a_gpu_reading(signal, {"chat-0": each}) for signal, each in gpus.items()})


def named(snapshot: Snapshot, standing: str | None = None) -> str | None:
    status = {}
    if standing is not None:
        stage = {"name": standing, "activeRatio": "0.9", "othersRatio": "0.5"}
        status = {"bottleneck": {"kind": "Compute", "confidence": "0.5", "since": stamp(NOW - 60.0), "stage": stage}}
    found = limiting_stage(snapshot, a_policy(status=status))
    return None if found is None else found.name


def test_a_stage_is_told_with_how_active_it_is_and_the_fullest_of_the_others() -> None:
    found = limiting_stage(seen((0.5, 0.3, 0.9), (0.4, 0.3, 1.0)), a_policy())
    assert found == Stage((2,), pytest.approx(0.95), pytest.approx(0.45))


@pytest.mark.parametrize(
    ("active", "stage"),
    [
        pytest.param((0.48, 0.6), "GPU 1", id="clearly fuller, and under load"),
        pytest.param((0.49, 0.6), None, id="the other is too near"),
        pytest.param((0.4, 0.59), None, id="not under load"),
        pytest.param((0.87, 0.95, 0.5, 0.5), "GPUs 0, 1", id="two that work in step"),
        pytest.param((0.8, 0.95, 0.5, 0.5), None, id="neither in step nor clearly less"),
        pytest.param((0.95, 0.95, 0.4), None, id="more than half are full"),
        pytest.param((0.0, 0.0), None, id="idle"),
        pytest.param((0.95,), None, id="one GPU is no pipeline"),
        pytest.param((0.95, 3.0, 0.4, 0.4), "GPUs 0, 1", id="no GPU is more than full"),
        pytest.param((0.95, math.nan), None, id="no number"),
        pytest.param((0.95, -0.1), None, id="no share"),
    ],
)
def test_a_stage_is_clearly_fuller_than_the_others(active: Gpus, stage: str | None) -> None:
    assert named(seen(active)) == stage


@pytest.mark.parametrize(
    ("disagreeing", "stage"), [(0, "GPU 3"), (1, "GPU 3"), (2, None)], ids=["none", "one of four", "two of four"]
)
def test_three_quarters_of_the_pods_must_agree(disagreeing: int, stage: str | None) -> None:
    full, other = (0.3, 0.3, 0.3, 1.0), (0.75, 0.3, 0.3, 0.7)
    assert named(seen(*[other] * disagreeing, *[full] * (4 - disagreeing))) == stage


def test_pods_that_are_full_at_different_places_are_no_pipeline() -> None:
    assert named(seen((0.95, 0.4), (0.4, 0.95))) is None


def test_a_pod_whose_gpus_do_not_all_answer_is_left_out() -> None:
    partly = {"chat-0": (0.95, 0.5, 0.5), "chat-1": LAST_FULL}
    snapshot = seen(LAST_FULL, LAST_FULL)
    assert named(replace(snapshot, gpus={ACTIVE: a_gpu_reading(ACTIVE, partly)})) == "GPU 3"
    del partly["chat-1"]
    assert named(replace(snapshot, gpus={ACTIVE: a_gpu_reading(ACTIVE, partly)})) is None


def test_pods_of_unequal_size_are_not_compared() -> None:
    assert named(seen((0.4, 0.95), (0.4, 0.4, 0.95))) is None
    one_answers = {ACTIVE: a_gpu_reading(ACTIVE, {"chat-1": (0.4, 0.4, 0.95)})}
    assert named(seen((0.4, 0.95), (0.4, 0.4, 0.95), gpus=one_answers)) is None


def test_a_pod_that_has_just_started_does_not_count() -> None:
    first_full, old = (0.95, 0.3, 0.3, 0.3), a_pod("chat-0", gpus=4)
    assert named(seen(LAST_FULL, first_full)) is None
    young = a_pod("chat-1", gpus=4, ready_at=NOW - 5.0)
    assert named(seen(LAST_FULL, first_full, target=a_target(pods=(old, young)))) == "GPU 3"


def test_without_a_target_or_without_the_gpus_of_its_pods_there_is_no_stage() -> None:
    assert named(seen(LAST_FULL, gpus={})) is None
    assert named(replace(seen(LAST_FULL), target=TargetProblem("NotFound", "gone"))) is None


@pytest.mark.parametrize(
    ("gpus", "stage"),
    [
        pytest.param({TENSOR: (0.1, 0.7), DRAM: (0.1, 0.2)}, "GPU 1", id="the pipes alone"),
        pytest.param({TENSOR: (0.1, 0.7)}, None, id="half of the pipes"),
        pytest.param({ACTIVE: (0.4, 0.9), TENSOR: (0.1, 0.7), DRAM: (0.1, 0.2)}, "GPU 1", id="both say the same"),
        pytest.param({ACTIVE: (0.9, 0.4), TENSOR: (0.1, 0.7), DRAM: (0.1, 0.2)}, None, id="they contradict"),
        pytest.param({ACTIVE: (0.9, 0.9), TENSOR: (0.1, 0.7), DRAM: (0.1, 0.2)}, "GPU 1", id="a loop is always active"),
        pytest.param({ACTIVE: (0.4, 0.9), TENSOR: (0.1, 0.1), DRAM: (0.2, 0.2)}, "GPU 1", id="pipes are even"),
    ],
)
def test_the_time_of_work_and_the_pipes_must_not_contradict_each_other(
    gpus: dict[Signal, Gpus], stage: str | None
) -> None:
    assert named(with_gpus(seen((0.0, 0.0)), gpus)) == stage


@pytest.mark.parametrize(
    ("active", "standing", "stage"),
    [
        ((0.5, 0.59), "GPU 1", "GPU 1"),
        ((0.35, 0.44), "GPU 1", None),
        ((0.55, 0.59), "GPU 1", None),
        ((0.5, 0.59), "GPU 0", None),
        ((0.9, 0.4), "GPU 1", "GPU 0"),
    ],
    ids=["nearer to the others", "load has gone", "in step with the others", "another stands", "another is clear"],
)
def test_the_stage_that_stands_is_not_given_up_at_its_border(active: Gpus, standing: str, stage: str | None) -> None:
    assert named(seen(active), standing) == stage


@given(
    level=st.floats(0.0, 1.0),
    noise=st.lists(st.lists(st.floats(-0.05, 0.05), min_size=4, max_size=4), min_size=1, max_size=4),
)
def test_gpus_that_are_equally_busy_are_never_a_stage(level: float, noise: list[list[float]]) -> None:
    assert named(seen(*(tuple(level * (1.0 + each) for each in pod) for pod in noise))) is None


@given(active=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8))
def test_a_stage_holds_the_fullest_gpu_and_none_that_is_clearly_less(active: list[float]) -> None:
    found = limiting_stage(seen(tuple(active)), a_policy())
    if found is not None:
        assert max(active) == max(active[number] for number in found.gpus) >= 0.6
        assert min(active[number] for number in found.gpus) > found.others_ratio
        assert len(found.gpus) <= len(active) / 2


def a_pipeline(dice: random.Random) -> tuple[Snapshot, set[int], float]:
    """Draw replicas with unequal stages; return what is seen, the GPUs of the slowest, and the next one's share of it.

    Each stage is busy for its part of the slowest one's time, at 0.8 to 1.1 of what that carries, and holds one GPU or
    two in step. Pods carry up to 5 % more or less, and readings have 3 % of noise.
    """
    wide, seconds = dice.choice((1, 2)), [dice.uniform(0.4, 1.0) for _ in range(dice.randint(2, 6))]
    slowest, load = max(seconds), dice.uniform(0.8, 1.1)
    pods = [dice.uniform(0.95, 1.05) for _ in range(dice.randint(1, 5))]
    busy = [[min(1.0, load * pod) * each / slowest for each in seconds for _ in range(wide)] for pod in pods]
    snapshot = seen(*(tuple(min(1.0, each * dice.gauss(1.0, 0.03)) for each in pod) for pod in busy))
    first = seconds.index(slowest) * wide
    return snapshot, set(range(first, first + wide)), sorted(seconds)[-2] / slowest


def test_the_slowest_stage_of_drawn_pipelines_is_found_where_it_is_clear_and_no_other_is_named_for_it() -> None:
    dice, clear, found, wrong = random.Random(6), 0, 0, 0
    for _ in range(1000):
        snapshot, slowest, next_share = a_pipeline(dice)
        stage = limiting_stage(snapshot, a_policy())
        clear += next_share < 0.7
        found += next_share < 0.7 and stage is not None and set(stage.gpus) == slowest
        wrong += stage is not None and not slowest <= set(stage.gpus)
    print(f"found {found} of {clear} clear ones, wrong {wrong} of 1000")
    assert (wrong, clear > 100) == (0, True)
    assert found >= 0.95 * clear


def test_at_a_stage_its_gpus_are_read_instead_of_all() -> None:
    snapshot = with_gpus(seen((0.0,) * 4), {ACTIVE: LAST_FULL, TENSOR: (0.1, 0.1, 0.3, 0.2), DRAM: (0.5, 0.5)})
    whole = {signal: a_reading(signal, {"chat-0": 0.6}) for signal in (ACTIVE, TENSOR, DRAM)}
    narrowed = at_stage(replace(snapshot, readings=whole), Stage((2, 3), 0.95, 0.5)).readings
    assert narrowed[ACTIVE].by_pod == {"chat-0": 0.95}
    assert narrowed[TENSOR].by_pod == {"chat-0": 0.3}
    assert narrowed[DRAM] is whole[DRAM], "where not every GPU answers, the mean is all that is known"
    assert (narrowed[ACTIVE].query, narrowed[ACTIVE].at) == (f"by_gpu({ACTIVE})", NOW - 2.0)
