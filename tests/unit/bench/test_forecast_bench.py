"""The forecast's bench: what is read, the rivals, and the loss."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench import forecast as bench
from bench.forecast_rivals import RIVALS, kalman
from bench.rate_traces import RateTrace, read
from bench.recorded_forecasts import FOLDER, PREDICTORS, recorded, write
from trimtab_operator.model.arrays import Floats
from trimtab_replay.tables import UnfitFileError

STEP = 3600.0
DAY = 24
DAYS = 8
JUDGED = DAYS * DAY - 3 * DAY - 1


def daily(days: int = DAYS) -> list[float]:
    return [100.0 * float(np.exp(np.sin(2.0 * np.pi * hour / DAY))) for hour in range(days * DAY)]


def noisy(seed: int = 0) -> list[float]:
    noise = np.exp(0.1 * np.random.default_rng(seed).standard_normal(DAYS * DAY))
    return [float(value) for value in np.array(daily()) * noise]


def written(path: Path, values: list[float], *, column: str = "rate_rps", gaps: frozenset[int] = frozenset()) -> Path:
    rows = [f"{place * STEP},{value},{int(place in gaps)}" for place, value in enumerate(values)]
    path.write_text("\n".join([f"t_s,{column},gap", *rows]) + "\n")
    return path


def locked(package: str) -> str:
    """Return the version that the environment of Dynamo has."""
    lock = Path(__file__).parents[3] / "requirements" / "rivals" / "dynamo.txt"
    (version,) = re.findall(rf"^{package}==(\S+)", lock.read_text(), re.MULTILINE)
    return str(version)


def a_trace(folder: Path, *, gaps: frozenset[int] = frozenset()) -> RateTrace:
    return read(written(folder / "rate_a.csv", noisy(), gaps=gaps))


def knowing(trace: RateTrace) -> Floats:
    """What someone expects who knows what comes, a hundredth too much."""
    return np.append(1.01 * trace.filled()[1:], np.nan)


def test_a_gap_is_masked_and_never_a_demand(tmp_path: Path) -> None:
    trace = read(written(tmp_path / "rate_a.csv", [5.0, 0.1, 5.0], gaps=frozenset({1})))
    assert np.isnan(trace.demand[1])
    assert trace.step_seconds == STEP
    assert trace.filled().tolist() == [5.0, 5.0, 5.0]


@pytest.mark.parametrize(("column", "requests"), [("rate_rps", 3600.0), ("value", 1.0)])
def test_a_rate_is_so_many_requests_in_a_step_and_a_count_is_itself(
    tmp_path: Path, column: str, requests: float
) -> None:
    assert read(written(tmp_path / "rate_a.csv", daily(), column=column)).requests_per_unit == requests


def test_three_days_are_not_judged_and_of_a_short_trace_half() -> None:
    def days(count: int) -> RateTrace:
        return RateTrace("rate_a", np.ones(count * DAY), STEP, 1.0, "")

    assert [days(count).first_judged for count in (10, 6, 4)] == [3 * DAY, 3 * DAY, 2 * DAY]


def test_what_does_not_fit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--traces", str(tmp_path)]) == 2
    assert "has no file rate_*.csv*" in capsys.readouterr().err
    path = written(tmp_path / "rate_a.csv", [5.0], column="load")
    assert bench.main(["--traces", str(tmp_path)]) == 2
    assert "needs the columns t_s and rate_rps (or value)" in capsys.readouterr().err
    with pytest.raises(UnfitFileError):
        read(path)


def test_a_seasonal_rival_knows_a_day_that_repeats_and_persistence_does_not() -> None:
    values = np.array(daily())
    came = values[1:]
    errors = {name: np.abs(came - rival(values, DAY)[:-1])[2 * DAY :].mean() for name, rival in RIVALS.items()}
    assert errors["seasonal naive"] < 1e-9
    assert errors["Holt-Winters"] < 0.1 * errors["persistence"]


def test_the_filter_follows_a_straight_line() -> None:
    line = 100.0 + np.arange(200.0)
    assert kalman(line, DAY)[-1] == pytest.approx(300.0, abs=0.5)


def test_ours_is_measured_beside_every_rival_at_the_same_times(tmp_path: Path) -> None:
    written(tmp_path / "rate_a.csv", noisy(), gaps=frozenset({100, 101}))
    code = bench.main(["--traces", str(tmp_path), "--json", str(tmp_path / "out.json")])
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row["times"] == JUDGED - 2
    assert {rival: each["times"] for rival, each in row["rivals"].items()} == dict.fromkeys(RIVALS, JUDGED - 2)
    assert row["rivals"][row["best"]]["loss"] == min(each["loss"] for each in row["rivals"].values())
    assert row["ratio"] == pytest.approx(row["loss"] / row["rivals"][row["best"]]["loss"])
    assert code == (0 if row["ratio"] <= 1.0 else 1)


def test_a_rival_that_always_misses_by_the_same_share_learns_it_from_its_errors(tmp_path: Path) -> None:
    trace = a_trace(tmp_path)
    row = bench.measure(trace, {"knowing": knowing(trace)})
    assert row.rivals["knowing"].loss == pytest.approx(0.0, abs=1e-9)
    assert row.best == "knowing"
    assert not row.met


def test_a_rival_that_expects_nothing_at_times_loses_no_more_than_all_demand(tmp_path: Path) -> None:
    trace = a_trace(tmp_path)
    idle = trace.filled().copy()
    idle[::10] = 0.0
    row = bench.measure(trace, {"idle": idle})
    assert row.rivals["persistence"].loss < row.rivals["idle"].loss < 1.0


def test_a_rival_that_is_silent_at_times_is_compared_at_the_others(tmp_path: Path) -> None:
    trace, silent = a_trace(tmp_path), 40
    persistent = trace.filled().copy()
    persistent[-silent:] = np.nan
    row = bench.measure(trace, {"silent": persistent})
    earlier = RateTrace("rate_a", trace.demand[: -silent + 1], STEP, 1.0, "")
    assert row.rivals["silent"].times == JUDGED - silent + 1
    assert row.rivals["silent"].ratio == pytest.approx(bench.measure(earlier, {}).rivals["persistence"].ratio)
    assert f"silent {row.rivals['silent'].ratio:.3f} at 80 of 119 times" in bench.lines_of(row)[1]


def test_what_was_recorded_of_a_trace_is_read_for_that_very_file_only(tmp_path: Path) -> None:
    trace = a_trace(tmp_path)
    write(tmp_path, "arima", trace, "a source", [None, 2.0, 1.23456789])
    (expected,) = recorded(trace, tmp_path).values()
    assert np.isnan(expected[0])
    assert expected[1:3].tolist() == [2.0, 1.23457]
    assert len(expected) == len(trace.demand)
    assert np.isnan(expected[3:]).all()
    assert recorded(a_trace(tmp_path, gaps=frozenset({7})), tmp_path) == {}


def test_the_committed_forecasts_are_of_one_version_of_dynamo_and_none_is_below_nothing() -> None:
    contents = {path.name: json.loads(gzip.decompress(path.read_bytes())) for path in FOLDER.glob("*.json.gz")}
    traces = {name.split(".")[0]: each["trace_sha256"] for name, each in contents.items()}
    assert len(traces) == 5
    assert sorted(contents) == sorted(f"{trace}.{predictor}.json.gz" for trace in traces for predictor in PREDICTORS)
    (source,) = {each["source"] for each in contents.values()}
    assert source.startswith(f"ai-dynamo {locked('ai-dynamo')}, pmdarima {locked('pmdarima')}, ")
    for name, each in contents.items():
        assert each["trace_sha256"] == traces[name.split(".")[0]]
        said = [value for value in each["expected"] if value is not None]
        assert len(said) > len(each["expected"]) / 2
        assert min(said) >= 0.0


def test_a_table_names_what_was_not_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "rate_a.csv", noisy())
    bench.main(["--traces", str(tmp_path)])
    said = capsys.readouterr().out
    assert [rival for rival in PREDICTORS.values() if f"{rival} not recorded" in said] == list(PREDICTORS.values())
