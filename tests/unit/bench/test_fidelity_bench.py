"""The bench of the simulated replica: what it is judged against, and what it says of three sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import measured_surfaces as surfaces

from bench.fidelity import inferencex
from bench.fidelity.__main__ import main
from bench.fidelity.judgement import Errors, MeasuredSet, Table, interpolated, judge
from trimtab_replay.closed_loop import Level


def written(folder: Path) -> list[str]:
    """Write three sets that are like the model, and return the options that name them."""
    surfaces.inferencex(folder / "inferencex_grids.csv", surfaces.CLOSED_LOOPS)
    surfaces.llmpilot(folder / "llmpilot_grid.csv", {"chosen on": surfaces.MIXED_LOOPS, "judged": surfaces.MIXED_LOOPS})
    surfaces.splitwise(folder / "perf_splitwise.csv.gz", surfaces.BATCHES)
    return ["--surfaces", str(folder), "--traces", str(folder)]


def test_configurations_that_are_like_the_model_are_met_at_the_levels_that_were_not_used(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    main([*written(tmp_path), "--json", str(out)])
    found = json.loads(out.read_text())
    assert set(found) == {"InferenceX", "LLM-Pilot", "splitwise"}
    medians = {
        (name, measure): row["median"] for name, each in found.items() for measure, row in each["measures"].items()
    }
    assert medians["InferenceX", "time per output token"] < 0.05
    assert medians["LLM-Pilot", "time between tokens p50"] < 0.15
    assert medians["splitwise", "time to first token p50"] < 0.01
    assert medians["splitwise", "time per output token p50"] < 0.01
    assert list(found["LLM-Pilot"]["configurations"]) == ["judged|a|1"]


def test_what_a_set_cannot_say_is_said_and_one_missed_floor_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = written(tmp_path)
    surfaces.splitwise(
        tmp_path / "perf_splitwise.csv.gz", [*surfaces.BATCHES[:-2], surfaces.SUDDENLY_SLOW, surfaces.BATCHES[-1]]
    )
    assert main(options) == 1
    shown = capsys.readouterr().out
    assert shown.count("not answered") == 3
    assert "time to first token        not answered: the log's first time is that of an empty message" in shown
    assert "MISSED" in shown.partition("splitwise")[2]


@pytest.mark.parametrize("missing", ["inferencex_grids.csv", "llmpilot_grid.csv", "perf_splitwise.csv.gz"])
def test_a_set_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    options = written(tmp_path)
    (tmp_path / missing).unlink()
    assert main(options) == 2
    assert f"has no file {missing.split('_', maxsplit=1)[0]}" in capsys.readouterr().err


def test_a_column_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = written(tmp_path)
    (tmp_path / "inferencex_grids.csv").write_text("grid,tp\n")
    assert main(options) == 2
    assert "has no column backend, concurrency, isl" in capsys.readouterr().err


LOW, HIGH = Level(4, 1, 1, 0.1, 0.01), Level(16, 1, 1, 0.4, 0.04)


def test_interpolation_is_straight_in_logarithms() -> None:
    assert interpolated(LOW, HIGH, 8.0, lambda each: each.ttft_seconds) == pytest.approx(0.2)


def test_what_lies_on_a_straight_line_is_interpolated_without_error_and_ours_is_what_was_simulated() -> None:
    levels = [Level(each, 1, 1, 0.1, 0.0025 * each) for each in (4, 8, 16, 32)]

    def calibrated(low: Level, high: Level) -> Callable[[int, Level], Level]:
        assert (low.clients, high.clients) == (4, 16)
        return lambda clients, like: Level(clients, 1, 1, 0.1, 1.1 * 0.0025 * clients)

    measures = {"token": lambda each: each.tpot_seconds}
    outcome = judge(MeasuredSet("a", lambda _: Table({"b": levels}), calibrated, measures, "token", {}), Path())
    token, capacity = outcome.rows
    assert token.ours == pytest.approx((0.1, 0.1))
    assert capacity.ours == pytest.approx((1.0 - 1.0 / 1.1,) * 2, abs=0.06)
    assert (*token.interpolated, *capacity.interpolated) == pytest.approx((0.0,) * 4)
    assert not outcome.met


def test_a_configuration_that_cannot_be_calibrated_is_left_out_by_name(tmp_path: Path) -> None:
    surfaces.inferencex(tmp_path / "inferencex_grids.csv", [Level(each, 1024, 256, 0.1, 0.01) for each in (1, 2, 4, 8)])
    outcome = judge(inferencex.INFERENCEX, tmp_path)
    assert outcome.left_out == ["made up|a|fp8|1: 4 clients after 1: the second level must be higher and slower"]
    assert not outcome.met


@pytest.mark.parametrize(
    ("measure", "ours", "beside", "met"),
    [
        ("time to first token", (0.14, 0.14), (0.2, 0.2), True),
        ("capacity", (0.14, 0.14), (0.2, 0.2), False),
        ("time to first token", (0.1, 0.1), (0.05, 0.05), False),
        ("time to first token", (0.2, 0.2), (0.3, 0.3), False),
        ("time to first token", (0.1, 0.6), (0.9, 0.9), False),
    ],
)
def test_errors_must_be_small_and_smaller_than_the_interpolations(
    measure: str, ours: tuple[float, ...], beside: tuple[float, ...], met: bool
) -> None:
    assert Errors(measure, ours, beside).met is met
