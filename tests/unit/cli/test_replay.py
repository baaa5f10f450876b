"""kubectl trimtab replay: the same steps, or each difference by line and field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.builders import a_policy, a_snapshot
from typer.testing import CliRunner

from trimtab_cli.__main__ import app
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.serialize import record_line
from trimtab_operator.trial.advance import advance


@pytest.fixture
def line() -> str:
    """One tick as the operator records it."""
    snapshot, policy = a_snapshot(), a_policy()
    step = advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)
    return record_line(snapshot, policy, step)


def replayed(path: Path, *written: str) -> tuple[int, str]:
    path.write_text("\n".join(written))
    result = CliRunner().invoke(app, ["replay", str(path)], catch_exceptions=False)
    return result.exit_code, result.output


def test_a_recording_that_replays_to_the_same_steps_ends_with_0(tmp_path: Path, line: str) -> None:
    assert replayed(tmp_path / "r.jsonl", line, line) == (0, "2 ticks replayed, 0 differ\n")


def test_a_difference_is_printed_and_ends_with_1(tmp_path: Path, line: str) -> None:
    changed = json.loads(line)
    changed["step"]["requeue_seconds"] = 7.0
    code, said = replayed(tmp_path / "r.jsonl", json.dumps(changed))
    assert code == 1
    assert "line 1: requeue_seconds: recorded 7.0, replayed" in said


def test_a_file_that_is_no_recording_ends_with_2(tmp_path: Path) -> None:
    code, said = replayed(tmp_path / "r.jsonl", "{}")
    assert (code, "line 1" in said) == (2, True)
