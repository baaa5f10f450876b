"""How many sequences fill a replica: worked by hand, and which readings are bold, cautious or not believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.batching import FIRST_TOKEN, SPREAD, batching, log_normal, log_normal_percentile, over_time
from fakes.builders import a_distribution, a_policy, a_reading

from trimtab_operator.analysis.full_replica import USUAL_SPREAD, FullSequences, full_sequences
from trimtab_operator.analysis.sequences import sequence_history
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.model.snapshot import Snapshot

HALF = 30.0
QUEUE, RUNNING = Signal.QUEUE_REQUESTS, Signal.RUNNING_REQUESTS
TTFT, TTFT_MEAN = Signal.TIME_TO_FIRST_TOKEN_SECONDS, Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS
ITL, ITL_MEAN = Signal.INTER_TOKEN_LATENCY_SECONDS, Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS
BETWEEN_TOKENS = {"interTokenLatency": {"percentile": 95, "max": "80ms"}}
TWENTY = [20.0] * 120
MEAN = 1.0 / log_normal_percentile(95.0, 1.0, SPREAD)  # of first tokens whose p95 is 1 s


def found(snapshot: Snapshot, objectives: Any = FIRST_TOKEN) -> FullSequences:
    seen = sequence_history(snapshot)
    assert seen is not None
    measured = full_sequences(snapshot, a_policy(objectives=objectives), seen, HALF)
    assert measured is not None
    return measured


def histogram(spread: float, mean_seconds: float, signal: Signal = TTFT) -> dict[str, Any]:
    return {signal: a_distribution(signal, {"chat-0": log_normal(mean_seconds, spread)})}


# The limit is 1 s, a p95 of `pressure` seconds comes with 20 sequences: full = 50 / pressure - 30.
@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(batching(TWENTY, pressure=1.0), 20.0, id="just-met"),
        pytest.param(batching(TWENTY, pressure=0.8), 32.5, id="room-for-more"),
        pytest.param(batching(TWENTY, pressure=0.2), 40.0, id="twice-as-many-as-ran-is-believed"),
        pytest.param(batching([2.0] * 120, pressure=0.2), 16.0, id="a-few-say-little"),
        pytest.param(batching(TWENTY, pressure=1.2), 50 / 1.2 - 30, id="too-slow"),
        pytest.param(batching([60.0] * 120, pressure=9.0), 30.0, id="half-of-the-usual-at-least"),
        pytest.param(batching([0.5] * 120, pressure=1.2), 1.0, id="one-at-least"),
        pytest.param(batching(TWENTY, pressure=0.5, kv=0.5), 32.0, id="until-the-cache-is-full"),
        pytest.param(batching(TWENTY, pressure=0.8, kv=0.0), 32.5, id="a-cache-that-says-nothing"),
    ],
)
def test_it_is_worked_out_as_by_hand(snapshot: Snapshot, expected: float) -> None:
    assert found(snapshot).bold == pytest.approx(expected, rel=2e-3)
    assert found(snapshot).cautious == found(snapshot).bold


def test_a_mean_that_rose_with_the_sequences_says_the_same_as_before() -> None:
    running = [10.0] * 60 + [40.0] * 60
    means = [MEAN * (HALF + n) / 50.0 for n in [10.0] * 63 + [40.0] * 57]
    snapshot = batching(running, history={TTFT_MEAN: over_time(TTFT_MEAN, means, 2)})
    snapshot = replace(snapshot, distributions=histogram(SPREAD, means[-1]))
    assert found(snapshot).bold == pytest.approx(20.0, rel=0.02)


def test_the_smaller_spread_of_a_minute_and_of_five_is_bold_and_the_larger_is_cautious() -> None:
    percentile = log_normal_percentile(95.0, MEAN, 1.0)
    for minute, five in ((SPREAD, 1.0), (1.0, SPREAD)):
        snapshot = batching(TWENTY, five_minutes=histogram(five, MEAN))
        measured = found(replace(snapshot, distributions=histogram(minute, MEAN)))
        assert measured.bold == pytest.approx(20.0, rel=2e-3)
        assert measured.cautious == pytest.approx(max(10.0, 50.0 / percentile - 30.0), rel=2e-3)


def test_times_in_which_requests_waited_do_not_make_a_replica_smaller() -> None:
    means = [MEAN] * 60 + [20.0 * MEAN] * 40 + [MEAN] * 20
    waiting = [0.0] * 60 + [100.0] * 40 + [0.0] * 20
    history = {TTFT_MEAN: over_time(TTFT_MEAN, means, 2), QUEUE: over_time(QUEUE, waiting, 2)}
    # The queue has gone from the last minute and not from the last five; of these, nothing is read.
    snapshot = batching(TWENTY, history=history, five_minutes=histogram(3.0, MEAN))
    assert found(snapshot).cautious == pytest.approx(20.0, rel=0.08)


@pytest.mark.parametrize("calm_before", [True, False])
def test_while_requests_wait_the_spread_is_the_usual(calm_before: bool) -> None:
    waiting = [0.0 if calm_before else 9.0] * 100 + [9.0] * 20
    snapshot = batching(TWENTY, history={QUEUE: over_time(QUEUE, waiting, 2)})
    snapshot = replace(snapshot, distributions=histogram(2.0, MEAN))
    strict = {"timeToFirstToken": {"percentile": 95, "max": "450ms"}}
    assert found(snapshot, strict).bold == pytest.approx(0.45 / (USUAL_SPREAD * MEAN / 50.0) - 30.0)


def test_tokens_do_not_wait_for_each_other_so_a_queue_hides_nothing_of_them() -> None:
    snapshot = batching(TWENTY, waiting=5.0, token_seconds=[0.04] * 120)
    snapshot = replace(snapshot, distributions=histogram(0.3, 0.04, ITL))
    spread = log_normal_percentile(95.0, 1.0, 0.3)
    assert found(snapshot, BETWEEN_TOKENS).bold == pytest.approx(0.08 / (spread * 0.04 / 50.0) - 30.0, rel=2e-3)


def test_where_many_waited_no_more_sequences_were_taken_than_ran() -> None:
    running, waiting = [16.0] * 60 + [24.0] * 20 + [20.0] * 40, [0.0] * 66 + [50.0] * 14 + [0.0] * 40
    snapshot = batching(running, pressure=0.5, history={QUEUE: over_time(QUEUE, waiting, 2)})
    assert found(snapshot).bold == pytest.approx(24.0)
    few = [0.2 * each for each in waiting]
    assert found(batching(running, pressure=0.5, history={QUEUE: over_time(QUEUE, few, 2)})).bold > 40.0


def test_the_objective_that_is_met_with_the_fewest_sequences_decides() -> None:
    snapshot = batching(TWENTY, pressure=0.9, token_seconds=[0.04] * 120)
    snapshot = replace(snapshot, distributions=snapshot.distributions | histogram(0.1, 0.04, ITL))
    assert found(snapshot, FIRST_TOKEN | BETWEEN_TOKENS).bold == pytest.approx(50 / 0.9 - 30.0, rel=2e-3)
    strict = {"interTokenLatency": {"percentile": 95, "max": "50ms"}}
    spread = log_normal_percentile(95.0, 1.0, 0.1)
    assert found(snapshot, FIRST_TOKEN | strict).bold == pytest.approx(0.05 * 50 / (spread * 0.04) - 30, rel=0.01)


@pytest.mark.parametrize(
    ("mean", "buckets", "limit", "expected"),
    [
        pytest.param(0.9, Buckets((1.0, 60.0, float("inf")), (30.0, 100.0, 100.0)), "60s",
                     60 * 50 / (1 + 59 * 65 / 70) - 30, id="within-it"),
        pytest.param(0.5, Buckets((1.0, float("inf")), (40.0, 100.0)), "1s", 20.0, id="its-bound-above-the-last"),
        pytest.param(30.0, Buckets((0.4, 1.6, float("inf")), (100.0, 100.0, 100.0)), "35s", 35 * 50 / 30 - 30,
                     id="never-below-the-mean"),
    ],
)  # fmt: skip
def test_where_the_mean_does_not_help_the_percentile_is_read_from_its_bucket(
    mean: float, buckets: Buckets, limit: str, expected: float
) -> None:
    snapshot = batching(TWENTY, history={TTFT_MEAN: over_time(TTFT_MEAN, [mean] * 120, 2)})
    snapshot = replace(snapshot, distributions={TTFT: a_distribution(TTFT, {"chat-0": buckets})})
    assert found(snapshot, {"timeToFirstToken": {"percentile": 95, "max": limit}}).bold == pytest.approx(expected)


def test_a_cache_of_which_only_other_pods_tell_says_nothing() -> None:
    readings = {RUNNING: a_reading(RUNNING, {"chat-1": 20.0}), Signal.KV_CACHE_USED_RATIO: a_reading(
        Signal.KV_CACHE_USED_RATIO, {"chat-0": 0.9}
    )}  # fmt: skip
    assert found(batching(TWENTY, pressure=0.8, readings=readings)).bold == pytest.approx(32.5, rel=2e-3)
