"""A recorded run replays to the identical steps; anything else is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.builders import a_policy
from fakes.plant import Plant

from trimtab_replay.__main__ import main
from trimtab_replay.replay import differ, replay


@pytest.fixture(scope="module")
def recording() -> list[str]:
    """Half an hour of a load that doubles, falls and is lost from sight for a while."""
    plant = Plant(
        a_policy(
            objectives={"latency": {"max": "200ms"}},
            observation={"interval": "15s", "window": "5m"},
            scaling={"minReplicas": 1, "maxReplicas": 8, "stabilization": "2m"},
        ),
        lambda seconds: 14.0 if seconds < 600 else 60.0 if seconds < 1200 else 10.0,
        seed=42,
        record=True,
        blind=lambda seconds: 900 < seconds < 1000,
    )
    plant.run(1800)
    assert len(plant.scales) >= 2
    return plant.lines


def test_thirty_minutes_replay_to_the_identical_steps(recording: list[str]) -> None:
    results = list(replay(recording))
    assert len(results) == len(recording)
    assert all(differences == () for _, differences in results)


def test_a_difference_is_named_by_line_and_field(recording: list[str]) -> None:
    number = next(n for n, line in enumerate(recording) if json.loads(line)["step"]["status"])
    changed = json.loads(recording[number])
    changed["step"]["status"]["replicas"]["current"] = 99
    changed["step"]["requeue_seconds"] = 7.0
    lines = ["", json.dumps(changed)]
    ((line, differences),) = replay(lines)
    assert line == 2
    assert [difference.path for difference in differences] == ["requeue_seconds", "status.replicas.current"]
    assert "recorded 99, replayed 1" in str(differences[1])


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"a": 1}, {}, ["a"]),
        ({"a": {"b": None}}, {"a": {}}, []),
    ],
)
def test_values_are_compared_to_the_leaf(before: object, after: object, paths: list[str]) -> None:
    assert [path for path, _, _ in differ("", before, after)] == paths


def test_the_command_says_how_many_ticks_replayed(
    recording: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("\n".join(recording[:20]) + "\n")
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == "20 ticks replayed, 0 differ\n"


def test_the_command_fails_where_a_step_differs(
    recording: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = json.loads(recording[0])
    changed["step"]["requeue_seconds"] = 7.0
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(changed))
    assert main([str(path)]) == 1
    out = capsys.readouterr().out
    assert "line 1: requeue_seconds: recorded 7.0" in out
    assert out.endswith("1 ticks replayed, 1 differ\n")


def test_what_is_no_recording_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("{}\n")
    assert main([str(path)]) == 2
    assert "line 1: not a recorded tick" in capsys.readouterr().err
    assert main([str(tmp_path / "missing.jsonl")]) == 2
