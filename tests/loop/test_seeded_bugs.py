"""The machine is only worth its time if it finds what is wrong: every bug that is put in on purpose makes it fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from loop.machine import run_machine
from loop.seeded_bugs import SEEDED_BUGS

EXAMPLES, STEPS = 40, 20


@pytest.mark.parametrize("bug", SEEDED_BUGS, ids=lambda bug: bug.__name__.replace("_", " "))
def test_the_machine_finds(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        run_machine(examples=EXAMPLES, steps=STEPS)
