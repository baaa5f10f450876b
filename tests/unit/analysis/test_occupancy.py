"""How full replicas are that batch continuously: worked by hand, and what holds whatever they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, pstdev
from typing import Any

import pytest
from fakes.batching import FIRST_TOKEN, batching, decoding, over_time
from fakes.builders import a_policy, a_reading, a_series
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_operator.analysis.occupancy import LARGEST_HALF, LEAST_HALF, USUAL_HALF, Occupancy, occupancy
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot

RUNNING, QUEUE, ANSWERS = Signal.RUNNING_REQUESTS, Signal.QUEUE_REQUESTS, Signal.REQUESTS_PER_SECOND
TTFT_MEAN = Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS
LEVELS = st.lists(st.floats(5.0, 60.0), min_size=12, max_size=12)


def found(snapshot: Snapshot, objectives: Any = FIRST_TOKEN) -> Occupancy:
    measured = occupancy(snapshot, a_policy(objectives=objectives), 60.0)
    assert measured is not None
    return measured


def steady(sequences: float) -> list[float]:
    return [sequences] * 120


def held(levels: Sequence[float]) -> list[float]:
    """Each level for two minutes and a half."""
    return [level for level in levels for _ in range(10)]


# Without times between tokens h is 30; two replicas with n sequences each: load = 2 n / (30 + n) x (30 + full) / full.
@pytest.mark.parametrize(
    ("snapshot", "full", "load"),
    [
        pytest.param(batching(steady(20.0), pressure=1.0), 20.0, 2.0, id="just-met-is-full"),
        pytest.param(batching(steady(20.0), pressure=0.8), 32.5, 0.8 * 62.5 / 32.5, id="room-for-more"),
        pytest.param(
            batching(steady(20.0), pressure=1.2), 50 / 1.2 - 30, 0.8 * (50 / 1.2) / (50 / 1.2 - 30), id="slow"
        ),
        pytest.param(batching(steady(0.0), pressure=0.2), 16.0, 0.0, id="idle"),
    ],
)
def test_the_load_is_worked_out_as_by_hand(snapshot: Snapshot, full: float, load: float) -> None:
    measured = found(snapshot)
    assert measured.half == USUAL_HALF
    assert measured.full == pytest.approx(full, rel=1e-3)
    assert measured.load_replicas == pytest.approx(load, rel=1e-3)


# Ten answers a second of a load of two replicas: a request is worth a fifth of a replica for a second.
@pytest.mark.parametrize(
    ("start_seconds", "more"),
    [
        pytest.param(20.0, 0.2 * 0.6 / 60.0, id="a-minute-at-least"),
        pytest.param(60.0, 0.2 * 0.6 / 60.0, id="until-a-replica-could-serve"),
        pytest.param(600.0, 0.2 * 0.6 / 600.0, id="a-long-start"),
    ],
)
def test_what_waits_is_to_be_answered_until_an_ordered_replica_could_serve(start_seconds: float, more: float) -> None:
    snapshot = batching(steady(20.0), waiting=0.6)
    measured = occupancy(snapshot, a_policy(objectives=FIRST_TOKEN), start_seconds)
    assert measured is not None
    assert measured.load_replicas == pytest.approx(2.0 + more)


def test_what_the_queue_grew_by_in_a_minute_is_load_and_what_it_shrank_by_is_not() -> None:
    waiting = [0.0] * 60 + [12.0, 24.0, 36.0, 48.0, 24.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    snapshot = batching([20.0] * len(waiting), history={QUEUE: over_time(QUEUE, waiting, 2)})
    past = found(snapshot, {"timeToFirstToken": {"percentile": 95, "max": "5s"}}).past_replicas
    calm = past[59]
    request = calm / 10.0  # replicas for a second
    more = [request * (grown + there) / 60.0 for grown, there in ((12, 12), (24, 24), (36, 36), (48, 48), (12, 24))]
    assert past[60:65] == pytest.approx([calm + each for each in more])
    assert past[65:] == pytest.approx([calm] * 5)


def test_the_past_is_told_at_the_looks_at_the_running_sequences_as_means_of_a_minute() -> None:
    measured = found(batching([10.0] * 4 + [50.0] * 2, pressure=1.0))
    assert measured.step_seconds == 15.0
    assert len(measured.past_replicas) == 6
    per_replica = [10.0, 10.0, 10.0, 10.0, 20.0, 30.0]
    loads = [2 * n / (30 + n) * (30 + measured.full) / measured.full for n in per_replica]
    assert measured.past_replicas == pytest.approx(tuple(loads))
    assert measured.load_replicas == measured.past_replicas[-1]


@settings(deadline=None)
@given(work=st.floats(0.05, 0.18), place=st.floats(0.0, 1.0))
def test_twice_the_work_on_the_same_replicas_is_twice_the_load(work: float, place: float) -> None:
    few, many = (USUAL_HALF * each / (1.0 - each) for each in (work, 2.0 * work))
    low = max(1.0, many / 2.0)
    full = low + place * (2.0 * max(8.0, few) - low)
    less, more = (
        found(batching(steady(n), pressure=(USUAL_HALF + n) / (USUAL_HALF + full), kv=0.0)).load_replicas
        for n in (few, many)
    )
    assert more == pytest.approx(2.0 * less, rel=0.02)


@settings(deadline=None, max_examples=40)
@given(levels=LEVELS, pressure=st.floats(0.1, 3.0), waiting=st.floats(0.0, 100.0))
def test_the_same_sequences_on_each_of_twice_the_replicas_are_twice_the_load(
    levels: list[float], pressure: float, waiting: float
) -> None:
    running = held(levels)
    less = found(batching(running, replicas=2, pressure=pressure, waiting=waiting))
    more = found(batching(running, replicas=4, pressure=pressure, waiting=2.0 * waiting, answers_rps=20.0))
    assert more.past_replicas == pytest.approx([2.0 * each for each in less.past_replicas], rel=1e-3)


@settings(deadline=None, max_examples=40)
@given(sequences=st.floats(2.0, 300.0), pressure=st.floats(1.0, 1000.0), half=st.floats(5.0, 300.0))
def test_a_duration_however_long_asks_for_no_more_than_twice_the_replicas_that_run(
    sequences: float, pressure: float, half: float
) -> None:
    running = steady(sequences)
    measured = found(batching(running, replicas=3, pressure=pressure, token_seconds=decoding(running, half)))
    assert measured.load_replicas <= 2.0 * 3.0 + 1e-9


@settings(deadline=None, max_examples=20)
@given(sequences=st.floats(1.0, 200.0))
def test_a_duration_that_more_replicas_do_not_shorten_never_asks_for_more_than_one_for_each_sequence(
    sequences: float,
) -> None:
    replicas = 1
    for _ in range(30):
        running = steady(sequences / replicas)
        replicas = max(1, round(found(batching(running, replicas=replicas, pressure=50.0)).load_replicas))
    assert replicas <= sequences * (USUAL_HALF + 1.0) / USUAL_HALF + 1.0


@settings(deadline=None, max_examples=60)
@given(
    half=st.floats(8.0, 120.0),
    levels=LEVELS.filter(lambda each: pstdev(each) > 0.4 * fmean(each)),  # as much as to outweigh the usual
    noise=st.lists(st.floats(0.98, 1.02), min_size=120, max_size=120),
)
def test_the_sequences_of_half_a_step_are_found_from_the_past(
    half: float, levels: list[float], noise: list[float]
) -> None:
    running = held(levels)
    seconds = [each * factor for each, factor in zip(decoding(running, half), noise, strict=True)]
    assert found(batching(running, token_seconds=seconds)).half == pytest.approx(half, rel=0.3)


@pytest.mark.parametrize(
    ("seconds", "half"),
    [
        pytest.param(decoding(steady(20.0), 200.0), USUAL_HALF, id="n-never-varied"),
        pytest.param([0.0] * 120, USUAL_HALF, id="no-time-between-tokens"),
        pytest.param([0.001 * n for n in held([10.0, 60.0] * 6)], LEAST_HALF, id="all-of-a-step-is-its-sequences"),
        pytest.param([0.1 - 0.001 * n for n in held([10.0, 60.0] * 6)], LARGEST_HALF, id="more-sequences-are-faster"),
    ],
)
def test_what_the_past_does_not_tell_is_taken_as_usual_and_what_cannot_be_is_bounded(
    seconds: list[float], half: float
) -> None:
    running = steady(20.0) if half == USUAL_HALF else held([10.0, 60.0] * 6)
    assert found(batching(running, token_seconds=seconds)).half == pytest.approx(half)


def without(snapshot: Snapshot, signal: Signal) -> Snapshot:
    kept = {name: each for name, each in snapshot.history.items() if name is not signal}
    return replace(snapshot, readings=snapshot.readings | {signal: a_reading(signal, {})}, history=kept)


WHOLE = batching(steady(20.0))


@pytest.mark.parametrize(
    ("snapshot", "objectives"),
    [
        pytest.param(WHOLE, None, id="no-objective"),
        pytest.param(WHOLE, {"errorRatio": {"max": "0.01"}}, id="no-objective-on-durations"),
        pytest.param(without(WHOLE, ANSWERS), FIRST_TOKEN, id="answers-not-known"),
        pytest.param(WHOLE, {"interTokenLatency": {"max": "40ms"}}, id="its-duration-not-measured"),
        pytest.param(without(WHOLE, RUNNING), FIRST_TOKEN, id="running-sequences-not-known"),
        pytest.param(without(WHOLE, QUEUE), FIRST_TOKEN, id="waiting-requests-not-known"),
        pytest.param(without(WHOLE, TTFT_MEAN), FIRST_TOKEN, id="mean-not-known"),
        pytest.param(batching([20.0]), FIRST_TOKEN, id="one-look"),
        pytest.param(batching(steady(20.0), history={RUNNING: a_series(RUNNING, 40.0)}), FIRST_TOKEN,
                     id="number-of-pods-not-known"),
        pytest.param(batching(steady(20.0), requests=19.0), FIRST_TOKEN, id="nineteen-requests"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_none_and_never_nothing(snapshot: Snapshot, objectives: Any) -> None:
    assert occupancy(snapshot, a_policy(objectives=objectives), 60.0) is None
