"""llm-d's WVA: demand and capacity in tokens, and the HPA behind it."""

from __future__ import annotations

import pytest
from harness.rival_views import PROFILE, STARTING, pod, traffic, view

from bench.scaling.rival import FleetView, PodView
from bench.scaling.rivals.llmd_wva import Analyzer, LlmdWva, Settings, batch_tokens, length_of

SEEN = traffic(finished_rps=1.0)
"""Answers of 500 + 500 tokens. min(8 192 x 500 / 1 000, 256) x 750 = 192 000 tokens are in a full batch, so the cache
bounds a replica: 100 000 x 0.8 = 80 000."""

WAITING = 5


def fleet(*pods: PodView, gateway_waiting: int = 0, gateway_prompt_tokens: float = 0.0) -> FleetView:
    return view(*pods, seen=SEEN, gateway_waiting=gateway_waiting, gateway_prompt_tokens=gateway_prompt_tokens)


def holding(tokens: float, waiting: int = 0) -> PodView:
    return pod(1, waiting, kv_tokens=tokens)


@pytest.mark.parametrize(
    ("looked", "expected"),
    [
        # Up by ceil((demand / 0.85 - supply) / 80 000).
        pytest.param(fleet(holding(68_000)), 1, id="68 000 / 0.85 is just the supply"),
        pytest.param(fleet(holding(68_100)), 2, id="118 tokens more need another"),
        pytest.param(fleet(holding(80_000), gateway_waiting=100), 3, id="+ 100 x 1 000 = 180 000: 131 765 more"),
        pytest.param(fleet(holding(55_000, 4), holding(80_000)), 3, id="+ 4 x 500 = 137 000: 1 176 more"),
        pytest.param(
            fleet(holding(80_000), gateway_waiting=100, gateway_prompt_tokens=150_000.0),
            5,
            id="80 000 + 150 000 + 100 x 500 = 280 000: 249 412 more",
        ),
        # Pods that start are supply on the way up.
        pytest.param(fleet(holding(80_000), STARTING), 2, id="94 118 of 160 000"),
        pytest.param(fleet(holding(80_000), STARTING, gateway_waiting=100), 3, id="211 765 - 160 000"),
        # Down by floor((supply - demand / 0.7) / 80 000) of what is ready.
        pytest.param(fleet(*[holding(20_000)] * 4), 2, id="320 000 - 114 286 = 205 714: two fewer"),
        pytest.param(fleet(*[holding(10_000)] * 4), 1, id="320 000 - 57 143 = 262 857: three fewer"),
        pytest.param(fleet(*[holding(0)] * 4), 1, id="one is kept"),
        pytest.param(fleet(holding(30_000), holding(25_000)), 1, id="160 000 - 78 571 = 81 429: one fewer"),
        pytest.param(fleet(holding(30_000), holding(27_000)), 2, id="160 000 - 81 429 = 78 571: none"),
        pytest.param(fleet(holding(0), holding(0), STARTING), 1, id="what starts is not spare: two fewer of three"),
    ],
)
def test_it_asks_for(looked: FleetView, expected: int) -> None:
    assert Analyzer(Settings(), PROFILE).replicas(looked) == expected


def test_a_long_queue_shows_what_a_replica_holds() -> None:
    analyzer = Analyzer(Settings(), PROFILE)
    # 20 000 held with 5 in the queue is the capacity: (22 500 / 0.85 - 20 000) / 20 000.
    assert analyzer.replicas(fleet(holding(20_000, WAITING))) == 2
    # Without a queue it is remembered: (40 000 / 0.85 - 20 000) / 20 000 = 1.35.
    assert analyzer.replicas(fleet(holding(40_000))) == 3


def test_what_was_seen_is_of_one_length_of_answers() -> None:
    analyzer = Analyzer(Settings(), PROFILE)
    analyzer.replicas(fleet(holding(20_000, WAITING)))
    short = view(holding(40_000), seen=traffic(finished_rps=1.0, output_tokens=99.0))
    # min(8 192 x 99 / 599, 256) x 549.5 = 140 672 in a batch, so the cache bounds: 47 059 of 80 000.
    assert analyzer.replicas(short) == 1


def test_ten_observations_are_remembered() -> None:
    analyzer = Analyzer(Settings(), PROFILE)
    for tokens in [80_000] * 5 + [20_000] * 10:
        analyzer.replicas(fleet(holding(tokens, WAITING)))
    assert analyzer.replicas(fleet(holding(40_000))) == 3


def test_the_median_replica_counts() -> None:
    analyzer = Analyzer(Settings(), PROFILE)
    # Capacities of 80 000, 80 000 and 20 000; 62 500 / 0.7 = 89 286 of 240 000: one fewer.
    assert analyzer.replicas(fleet(holding(20_000), holding(20_000), holding(20_000, WAITING))) == 2


def test_a_queue_before_an_empty_cache_shows_nothing() -> None:
    # 100 x 500 / 1 000 = 50 sequences of 750 are a full batch; (62 500 / 0.85 - 37 500) / 37 500 = 0.96.
    analyzer = Analyzer(Settings(batched_tokens=100), PROFILE)
    assert analyzer.replicas(fleet(holding(0, WAITING), gateway_waiting=60)) == 2


@pytest.mark.parametrize(
    ("prompt_tokens", "output_tokens", "expected"),
    [
        (500.0, 500.0, 192_000),  # 256 sequences of 750
        (500.0, 10.0, 81_116),  # 8 192 x 10 / 510 = 160.6 sequences of 505
        (500.0, 0.0, 0),
        (0.0, 0.0, 0),
    ],
)
def test_a_full_batch_holds(prompt_tokens: float, output_tokens: float, expected: int) -> None:
    seen = traffic(prompt_tokens=prompt_tokens, output_tokens=output_tokens)
    assert batch_tokens(8192, 256, seen) == expected


@pytest.mark.parametrize(
    ("output_tokens", "expected"), [(99.9, "short"), (100.0, "medium"), (499.0, "medium"), (500.0, "long")]
)
def test_answers_have_a_length(output_tokens: float, expected: str) -> None:
    assert length_of(output_tokens) == expected


def test_it_looks_every_half_minute_and_the_hpa_twice_as_often() -> None:
    wva = LlmdWva(Settings(up_stabilization_seconds=0.0), PROFILE)
    assert wva.wants(view(holding(80_000), seen=SEEN, now=0.0)) == 2
    busier = view(holding(80_000), holding(80_000), seen=SEEN, now=15.0, gateway_waiting=100)
    assert wva.wants(busier) == 2
    assert wva.wants(view(*busier.pods, seen=SEEN, now=30.0, gateway_waiting=100)) == 4


def test_the_hpa_waits_two_minutes_in_both_directions() -> None:
    wva = LlmdWva(Settings(), PROFILE)
    up = [wva.wants(view(holding(80_000), seen=SEEN, now=15.0 * tick)) for tick in range(9)]
    assert up == [1] * 8 + [2]
    down = [wva.wants(view(holding(0), holding(0), seen=SEEN, now=150.0 + 15.0 * tick)) for tick in range(9)]
    assert down == [2] * 6 + [1] * 3  # the last 2 was recommended at 120 s


def test_without_a_ready_pod_it_stays() -> None:
    assert LlmdWva(Settings(), PROFILE).wants(view(STARTING, wanted=3, gateway_waiting=500)) == 3
