"""The bench of the pure core: it takes recorded ticks, and judges by its floors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from fakes.builders import a_policy, a_snapshot

from bench import core
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.serialize import record_line
from trimtab_operator.trial.advance import advance


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    policy, path = a_policy(), tmp_path / "ticks.jsonl.gz"
    with gzip.open(path, "wt") as lines:
        for load in (10.0, 40.0):
            snapshot = a_snapshot(rps=load)
            step = advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)
            lines.write(record_line(snapshot, policy, step) + "\n")
    return path


def test_every_recorded_tick_is_taken_and_costs_something(ticks: Path) -> None:
    costs = core.cpu_seconds(core.read(ticks))
    assert len(costs) == 2
    assert all(0.0 < each < 1.0 for each in costs)


def test_ticks_that_were_recorded_before_points_told_their_pods_are_read_and_taken() -> None:
    recorded = core.read(core.TICKS)
    assert {point.pods for snapshot, _ in recorded for each in snapshot.history.values() for point in each.points} == {
        0
    }
    assert len(core.cpu_seconds(recorded[:3])) == 3


@pytest.mark.parametrize(("floor", "code"), [(1.0, 0), (0.0, 1)])
def test_a_floor_that_is_missed_ends_with_1(
    ticks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, floor: float, code: int
) -> None:
    monkeypatch.setattr(core, "FLEET", 4)
    monkeypatch.setattr(core, "FLOOR_SECONDS", floor)
    out = tmp_path / "core.json"
    assert core.main(["--ticks", str(ticks), "--json", str(out)]) == code
    assert set(json.loads(out.read_text())) == {"tick_seconds_median", "fleet_5000_cpu_seconds"}


def test_the_recording_in_the_repository_is_one_of_this_version() -> None:
    assert len(core.read(core.TICKS)) >= 80
