"""Anything may happen to the loop, in any order: no unsafe write, and all is well again once it has stopped.

`make machine` runs it for much longer.
"""

from __future__ import annotations

from loop.machine import run_machine

EXAMPLES, STEPS = 6, 30


def test_whatever_happens_no_write_is_unsafe_and_the_loop_comes_to_rest() -> None:
    met = run_machine(examples=EXAMPLES, steps=STEPS)
    assert {what for _, what in met} >= {"api", "restart", "foreign", "prometheus", "mix", "nodes"}
