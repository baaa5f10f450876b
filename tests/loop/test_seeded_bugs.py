"""The machine is only worth its time if it finds what is wrong: every bug that is put in on purpose makes it fail."""

from __future__ import annotations

import pytest
from loop.machine import run_machine
from loop.seeded_bugs import SEEDED_BUGS, Seed

EXAMPLES, STEPS = 40, 20
PORTION = 2  # of those tried, the one in which the most hidden ones come up soonest


@pytest.mark.parametrize(
    ("bug", "broken"), SEEDED_BUGS.items(), ids=[bug.__name__.replace("_", " ") for bug in SEEDED_BUGS]
)
def test_the_machine_finds(bug: Seed, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError, match=broken):
        run_machine(examples=EXAMPLES, steps=STEPS, portion=PORTION)
