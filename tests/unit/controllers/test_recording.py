"""Ticks on disk: what is kept, within which bound, and what a broken disk may not break."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.builders import a_policy, a_snapshot

from trimtab_operator.controllers.recording import DIRECTORY_VARIABLE, NEWER, OLDER, Recording, main, recorded
from trimtab_operator.model.action import Step

TICK = a_snapshot(), a_policy(), Step(status=None, actions=(), events=(), requeue_seconds=15.0)


@pytest.fixture
def line_bytes(tmp_path: Path) -> int:
    folder = tmp_path / "one"
    folder.mkdir()
    Recording(folder, 2**30).add(*TICK)
    return (folder / NEWER).stat().st_size


def test_the_newest_ticks_stay_and_the_bound_holds(tmp_path: Path, line_bytes: int) -> None:
    recording = Recording(tmp_path, 8 * line_bytes)
    for number in range(20):
        snapshot, policy, step = TICK
        recording.add(snapshot, policy, replace(step, requeue_seconds=10.0 + number))
    kept = [json.loads(line)["step"]["requeue_seconds"] for line in recorded(tmp_path, None)]
    assert kept == sorted(kept)
    assert kept[-1] == 29.0
    assert len(kept) >= 4
    assert sum((tmp_path / name).stat().st_size for name in (NEWER, OLDER)) <= 8 * line_bytes


def test_a_line_that_was_cut_off_by_the_end_of_a_process_is_taken_away(tmp_path: Path) -> None:
    Recording(tmp_path, 2**30).add(*TICK)
    with (tmp_path / NEWER).open("a") as file:
        file.write('{"snapshot": {"no')
    Recording(tmp_path, 2**30).add(*TICK)
    assert len([json.loads(line) for line in recorded(tmp_path, None)]) == 2


def test_a_disk_that_fails_is_logged_once_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = Recording(tmp_path / "missing", 2**30)
    with caplog.at_level(logging.WARNING):
        recording.add(*TICK)
        recording.add(*TICK)
        assert [each.message for each in caplog.records] == ["tick not recorded"]
        (tmp_path / "missing").mkdir()
        recording.add(*TICK)
    assert len(list(recorded(tmp_path / "missing", None))) == 1


def test_the_ticks_of_one_policy_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Recording(tmp_path, 2**30).add(*TICK)
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    assert main(["prod/chat"]) == 0
    assert json.loads(capsys.readouterr().out)["policy"]["metadata"]["name"] == "chat"
    assert main(["prod/other"]) == 1
    assert "is recording.enabled set" in capsys.readouterr().err
    monkeypatch.delenv(DIRECTORY_VARIABLE)
    assert main([]) == 1
