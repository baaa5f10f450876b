"""The forecast's bench: what is read, the rivals, and the loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import forecast as bench

STEP = 3600.0
DAY = 24


def daily(days: int = 8) -> list[float]:
    return [100.0 * float(np.exp(np.sin(2.0 * np.pi * hour / DAY))) for hour in range(days * DAY)]


def written(path: Path, values: list[float], *, column: str = "rate_rps", gaps: frozenset[int] = frozenset()) -> None:
    rows = [f"{place * STEP},{value},{int(place in gaps)}" for place, value in enumerate(values)]
    path.write_text("\n".join([f"t_s,{column},gap", *rows]) + "\n")


def test_a_gap_is_masked_and_never_a_demand(tmp_path: Path) -> None:
    written(tmp_path / "rate_a.csv", [5.0, 0.1, 5.0], gaps=frozenset({1}))
    demand, step = bench.read(tmp_path / "rate_a.csv")
    assert np.isnan(demand[1])
    assert step == STEP
    assert bench.filled(demand).tolist() == [5.0, 5.0, 5.0]


def test_what_does_not_fit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--traces", str(tmp_path)]) == 2
    assert "has no file rate_*.csv*" in capsys.readouterr().err
    written(tmp_path / "rate_a.csv", [5.0], column="load")
    assert bench.main(["--traces", str(tmp_path)]) == 2
    assert "needs the columns t_s and rate_rps (or value)" in capsys.readouterr().err


def test_a_seasonal_rival_knows_a_day_that_repeats_and_persistence_does_not() -> None:
    values = np.array(daily())
    came = values[1:]
    errors = {name: np.abs(came - rival(values, DAY)[:-1])[2 * DAY :].mean() for name, rival in bench.RIVALS.items()}
    assert errors["seasonal naive"] < 1e-9
    assert errors["Holt-Winters"] < 0.1 * errors["persistence"]


def test_the_filter_follows_a_straight_line() -> None:
    line = 100.0 + np.arange(200.0)
    assert bench.kalman(line, DAY)[-1] == pytest.approx(300.0, abs=0.5)


def test_missing_low_costs_a_high_quantile_most() -> None:
    levels = np.array([10.0, 10.0, 10.0])
    assert bench.pinball(10.0, levels) == 0.0
    assert bench.pinball(13.0, levels) == pytest.approx(3.0 * (0.5 + 0.9 + 0.98) / 3.0)
    assert bench.pinball(7.0, levels) == pytest.approx(3.0 * (0.5 + 0.1 + 0.02) / 3.0)


def test_ours_is_measured_beside_every_rival_at_the_same_times(tmp_path: Path) -> None:
    noisy = (np.array(daily(6)) * np.exp(0.1 * np.random.default_rng(0).standard_normal(6 * DAY))).tolist()
    written(tmp_path / "rate_a.csv", noisy, gaps=frozenset({100, 101}))
    code = bench.main(["--traces", str(tmp_path), "--json", str(tmp_path / "out.json")])
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row["times"] == 6 * DAY - 3 * DAY - 1 - 2
    assert set(row["rivals"]) == set(bench.RIVALS)
    assert row["best_rival"] == min(row["rivals"].values())
    assert code == (0 if row["ratio"] <= 1.0 else 1)
