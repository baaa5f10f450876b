"""Where a test may end the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trimtab_operator.actuation.fail_point import EXIT_CODE, POINTS, FailPoint

PROGRAM = """
import sys
from trimtab_operator.actuation.fail_point import FailPoint
try:
    FailPoint(sys.argv[1]).reach(sys.argv[2])
finally:
    print("cleaned up", flush=True)
"""


def reached(name: str, point: str) -> tuple[int, str]:
    """Run a process to the point; its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, point], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout


def test_the_process_ends_at_its_point_as_in_a_crash() -> None:
    assert reached("acted", "acted") == (EXIT_CODE, "")
    assert EXIT_CODE == 86


def test_the_process_passes_every_other_point() -> None:
    assert reached("acted", "before-act") == (0, "cleaned up\n")


@pytest.mark.parametrize("point", POINTS)
def test_without_a_name_no_point_ends_it(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    FailPoint().reach(point)
    assert ends == []
