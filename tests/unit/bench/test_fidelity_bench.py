"""The bench of the simulated replica: what it reads, and what it is judged against."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bench import fidelity
from trimtab_replay.closed_loop import Level, run_closed_loop
from trimtab_replay.serving import ServingModel

TRUE = ServingModel(0.008, 0.0002, 4e-6, first_token_steps=6.0, overhead_seconds=0.02)


def written(path: Path, levels: list[Level], **changed: str) -> None:
    rows = [
        {
            "grid": "made up", "backend": "a", "precision": "fp8", "tp": "1", "concurrency": str(each.clients),
            "isl": str(each.prompt_tokens), "osl": str(each.output_tokens),
            "ttft_ms": str(1e3 * each.ttft_seconds), "tpot_ms": str(1e3 * each.tpot_seconds), **changed,
        }
        for each in levels
    ]  # fmt: skip
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


LEVELS = [run_closed_loop(TRUE, clients, 1024, 256, seed=7) for clients in (4, 16, 64, 128, 256)]


def test_a_configuration_that_is_like_the_model_is_met_at_the_levels_that_were_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "inferencex_grids.csv", LEVELS)
    out = tmp_path / "out.json"
    assert fidelity.main(["--surfaces", str(tmp_path), "--json", str(out)]) == 0
    found = json.loads(out.read_text())["measures"]
    assert set(found) == {"time to first token", "time per output token", "capacity"}
    assert found["time per output token"]["median"] < 0.05
    assert "not calibrated: none" in capsys.readouterr().out


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fidelity.main(["--surfaces", str(tmp_path)]) == 2
    assert "has no file inferencex*grids.csv" in capsys.readouterr().err
    (tmp_path / "inferencex_grids.csv").write_text("grid,tp\n")
    assert fidelity.main(["--surfaces", str(tmp_path)]) == 2
    assert "has no column backend, concurrency, isl" in capsys.readouterr().err


def test_levels_come_lowest_first_and_too_few_are_left_out(tmp_path: Path) -> None:
    written(tmp_path / "inferencex_a_grids.csv", LEVELS[::-1])
    written(tmp_path / "inferencex_b_grids.csv", LEVELS[:3], backend="b")
    found = fidelity.read(tmp_path)
    assert [key[1] for key in found] == ["a"]
    assert [each.clients for each in next(iter(found.values()))] == [4, 16, 64, 128, 256]


def test_interpolation_is_straight_in_logarithms() -> None:
    low, high = Level(4, 1, 1, 0.1, 0.01), Level(16, 1, 1, 0.4, 0.04)
    assert fidelity.interpolated(low, high, 8.0, lambda each: each.ttft_seconds) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("ours", "beside", "met"),
    [
        ((0.1, 0.1), (0.2, 0.2), True),
        ((0.1, 0.1), (0.05, 0.05), False),
        ((0.2, 0.2), (0.3, 0.3), False),
        ((0.1, 0.6), (0.9, 0.9), False),
    ],
)
def test_errors_must_be_small_and_smaller_than_the_interpolations(
    ours: tuple[float, ...], beside: tuple[float, ...], met: bool
) -> None:
    assert fidelity.Errors("time to first token", ours, beside).met is met
