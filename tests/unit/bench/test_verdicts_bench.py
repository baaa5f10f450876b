"""The bench of the verdict: its fleets are as production is, its counts are right, and some trials of each kind."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from bench.verdicts import __main__ as bench
from bench.verdicts import production
from bench.verdicts.production import SLOT_SECONDS, START, Course, Fleet, Played, a_fleet, play
from bench.verdicts.scenarios import GAIN, SCENARIOS, Row, Run, Scenario, repeat, row_of, upper_limit
from bench.verdicts.trial import Change, Outcome, run_trial
from bench.verdicts.variation import variation
from trimtab_api.trial import Verdict
from trimtab_operator.model.signals import Signal
from trimtab_replay.vllm_buckets import BOUNDS

HOURS = 3600.0 * 30
BUSY, REQUESTS = Signal.BUSY_RATIO, Signal.REQUESTS_PER_SECOND


def named(name: str) -> Scenario:
    return next(each for each in SCENARIOS if name in each.name)


def played(level: str = "p50", seed: int = 1, **course: object) -> Played:
    random = np.random.default_rng(seed)
    times = {"changed_at": HOURS, "ends_at": HOURS} | course
    return play(random, a_fleet(random, 2, variation(level)), Course(**times))  # type: ignore[arg-type]


def costs(found: Played, pod: int) -> dict[float, float]:
    rates = {each.at: each.value for each in found.arms_slots[REQUESTS][f"pod-{pod}"]}
    return {each.at: each.value / rates[each.at] for each in found.arms_slots[BUSY][f"pod-{pod}"] if each.value < 0.99}


@pytest.mark.parametrize(
    ("level", "cv", "expected"), [("p50", None, 0.032), ("p90", None, 0.103), ("p75", None, 0.052), ("p75", 0.06, 0.06)]
)
def test_windows_vary_as_the_recorded_ones_do(level: str, cv: float | None, expected: float) -> None:
    factors = variation(level, cv).factors[:, 0]
    assert len(factors) >= 80
    assert float(factors.mean()) == pytest.approx(1.0, abs=0.01)
    assert float(factors.std()) == pytest.approx(expected, rel=0.12)


def test_slots_of_a_pod_vary_and_resemble_their_neighbours() -> None:
    """Windows of 30 s with a correlation of .3 make slots of 60 s with .195, and loads that wander a little more."""
    found = played()
    one, other = costs(found, 0), costs(found, 1)
    ratios = np.log([one[at] / other[at] for at in sorted(one.keys() & other.keys())])
    assert 0.03 < ratios.std() < 0.05
    off = ratios - ratios.mean()
    assert 0.1 < float(off[:-1] @ off[1:] / (off @ off)) < 0.35


def test_pods_differ_by_five_percent_and_their_loads_by_twenty_at_most() -> None:
    random = np.random.default_rng(2)
    offsets = np.concatenate([a_fleet(random, 2, variation("p50")).offsets for _ in range(500)])
    assert float(offsets.std()) == pytest.approx(0.05, rel=0.1)
    shares = []
    for seed in range(12):
        rates = [
            np.mean([each.value for each in pod])
            for pod in played(seed=seed, ends_at=7200.0).arms_slots[REQUESTS].values()
        ]
        shares.append(max(rates) / min(rates))
    assert 1.1 < max(shares) <= 1.5 * 1.05


def test_a_cold_cache_costs_a_quarter_and_warms_up() -> None:
    random_fleet = Fleet(np.zeros(2), variation("p50"))
    cold, warm = (
        costs(play(np.random.default_rng(4), random_fleet, Course(7200.0, 7200.0, cold=emptied)), 0)
        for emptied in (((0, 3600.0),), ())
    )
    over = [math.log(cold[at] / warm[at]) for at in sorted(warm) if at in cold]
    at = sorted(warm).index(START + 3660.0)
    assert over[at - 2] == pytest.approx(0.0, abs=1e-9)
    assert 0.1 < over[at] < math.log(1.25)
    assert 0.0 < over[at + 10] < 0.01


def test_a_lost_scrape_leaves_a_slot_with_fewer_readings_and_not_with_a_wrong_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(production, "LOST_RATIO", 0.6)
    lossy = played()
    slots, rates = len(lossy.arms_slots[BUSY]["pod-0"]), [each.value for each in lossy.arms_slots[REQUESTS]["pod-0"]]
    monkeypatch.setattr(production, "LOST_RATIO", 0.0)
    whole = [each.value for each in played().arms_slots[REQUESTS]["pod-0"]]
    assert len(whole) >= HOURS / SLOT_SECONDS - 1 > slots
    assert np.mean(rates) == pytest.approx(np.mean(whole), rel=0.02)


def test_first_tokens_come_in_the_buckets_of_vllm_and_are_counted_since_the_change() -> None:
    found = played().arms(START + 3600.0, START + 3660.0, START + 7260.0, run_in_seconds=600.0)
    signal = Signal.TIME_TO_FIRST_TOKEN_SECONDS
    buckets = found.distributions[signal].by_pod["pod-0"]
    assert buckets.bounds_seconds == BOUNDS[signal]
    assert list(buckets.cumulative) == sorted(buckets.cumulative)
    requests = sum(each.value for each in found.slots[REQUESTS]["pod-0"] if 3660.0 < each.at - START <= 7260.0)
    assert buckets.cumulative[-1] == pytest.approx(requests * SLOT_SECONDS, rel=0.03)
    assert found.run_in[signal].by_pod["pod-0"].cumulative[-1] == pytest.approx(buckets.cumulative[-1] / 6.0, rel=0.3)
    assert played().arms(START, START + 60.0, START + 60.0).distributions == {}


def verdicts(trials: int, change: Change, level: str) -> list[Outcome]:
    found = []
    for seed in range(trials):
        random = np.random.default_rng(seed)
        found.append(run_trial(random, a_fleet(random, 2, variation(level)), change))
    return found


@pytest.mark.parametrize(("level", "seconds"), [("p50", 1500.0), ("p90", 2200.0)])
def test_of_100_trials_of_equal_arms_none_is_promoted(level: str, seconds: float) -> None:
    """The bench counts how often it happens; were it one trial in fifty, this would fail six times in seven."""
    found = verdicts(100, Change(), level)
    assert [each.verdict for each in found if each.verdict is Verdict.IMPROVED] == []
    assert np.median([each.run_in_seconds for each in found]) < seconds


def test_of_60_changes_that_bring_15_percent_nine_in_ten_are_promoted_where_slots_vary_as_most_do() -> None:
    found = verdicts(60, GAIN, "p50")
    assert sum(each.verdict is Verdict.IMPROVED for each in found) >= 54


def test_a_change_that_breaks_answers_is_aborted_within_minutes() -> None:
    random = np.random.default_rng(1)
    found = run_trial(random, a_fleet(random, 2, variation("p90")), Change(error_ratio=0.2), every_tick=True)
    assert (found.verdict, found.aborted) == (Verdict.REGRESSED, True)
    assert found.measured_seconds <= 120.0


def test_a_policy_run_ends_with_its_first_promotion_and_is_the_same_each_time() -> None:
    scenario = Scenario(
        "worth it", "promotions", "p50", Change(cost_ratio=0.5), lambda verdict, _: verdict is Verdict.IMPROVED, 8
    )
    found = repeat(scenario, 3)
    assert (found.counted, [each.verdict for each in found.outcomes]) == (True, [Verdict.IMPROVED])
    assert found == repeat(scenario, 3)


@pytest.mark.parametrize(
    ("counted", "runs", "expected"),
    [(0, 2000, 1.0 - 0.025 ** (1.0 / 2000.0)), (5, 100, 0.1128), (0, 1, 0.975), (20, 20, 1.0)],
)
def test_the_upper_limit_is_clopper_and_pearsons(counted: int, runs: int, expected: float) -> None:
    assert upper_limit(counted, runs) == pytest.approx(expected, abs=1e-4)


def a_run(counted: bool) -> Run:
    return Run(counted, (Outcome(Verdict.IMPROVED if counted else Verdict.INCONCLUSIVE, 300.0, 600.0, False),))


def test_a_floor_by_the_limit_is_harder_than_one_by_the_ratio() -> None:
    runs = [a_run(number < 30) for number in range(2000)]
    strict, lax = named("equal arms, windows of p50"), named("15 % more capacity, windows of p50")
    assert row_of(strict, runs).ratio == pytest.approx(0.015)
    assert not row_of(strict, runs).met, "30 of 2000 are 1.5 %, but they may come from 2.1 %"
    assert row_of(lax, runs).met
    assert row_of(named("15 % more capacity, windows of p90"), runs).met is None


@pytest.mark.parametrize(("met", "code"), [(True, 0), (False, 1), (None, 0)])
def test_a_floor_that_is_missed_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], met: bool | None, code: int
) -> None:
    row = Row("equal arms", "promotions", 10, 1, 0.1, 0.09, 0.4, None if met is None else 0.02, met, {}, 300.0, 600.0)
    monkeypatch.setattr(bench, "measure", lambda *_: row)
    assert bench.main(["--json", str(tmp_path / "verdicts.json")]) == code
    assert json.loads((tmp_path / "verdicts.json").read_text())[0]["ratio"] == 0.1
    assert ("MISSED" in capsys.readouterr().out) == (met is False)
