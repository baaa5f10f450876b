"""The rows that measures make of their rounds: which rival they stand beside, and why nothing is concluded."""

from __future__ import annotations

import dataclasses

import pytest

from bench.engine.contenders import Setting
from bench.engine.extent import FULL
from bench.engine.measures import capacity, gated_plan, overload
from bench.engine.measures.capacity import MINILM, MIXED, Climbed
from bench.engine.rounds import Rounds
from bench.engine.run import Run
from bench.engine.statistics import Ratio
from bench.engine.swaps import SwapGap
from bench.engine.sweep import Sweep, Sweeps, Swept


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A full run whose sweep found four rivals, one of which does not run."""
    names = ("trimtab", "trimtab-again", "mosec", "bentoml", "litserve")
    sweep = Sweep({name: Swept(Setting(8, 0.0), 100.0) for name in names}, {"ray": "ray does not run"})
    monkeypatch.setattr(Sweeps, "of", lambda *_: sweep)
    return Run(FULL, Sweeps(FULL, []), 0.0)


LEVELS = {
    "trimtab": [110.0, 112.0, 111.0, 110.0],
    "trimtab-again": [110.0, 111.0, 111.0, 111.0],
    "bentoml": [100.0, 101.0, 100.0, 99.0],
}


def test_a_capacity_row_has_the_climbers_with_their_levels_and_the_others_with_what_they_scored(run: Run) -> None:
    found = capacity._result(MINILM, run, "bentoml", Climbed(LEVELS, {}))
    assert found.met is True
    assert found.ratio is not None
    assert found.ratio.mean == pytest.approx(110.75 / 100, rel=0.01)
    assert found.contenders["bentoml"]["levels"] == LEVELS["bentoml"]
    assert found.contenders["mosec"]["swept_per_second"] == 100.0
    assert found.broken == "ray does not run"


def test_a_staircase_that_found_nothing_leaves_its_row_open_and_no_other(run: Run) -> None:
    climbed = Climbed(LEVELS, {"mosec": "its staircase never turned"})
    assert capacity._result(MIXED, run, "bentoml", climbed).resolved
    climbed = Climbed(LEVELS, {"bentoml": "3 of 26 pairs; the time was up after 3 of 26 rounds"})
    assert "bentoml: 3 of 26 pairs" in capacity._result(MIXED, run, "bentoml", climbed).unresolved
    empty = Climbed({name: [] for name in LEVELS}, {})
    assert "no round was had" in capacity._result(MIXED, run, "bentoml", empty).line()


def test_goodput_is_judged_by_its_floor_and_beside_the_best_rival(run: Run) -> None:
    step, rounds = overload.STEPS[0], Rounds([["a"]] * 16, lambda: False)
    shares: overload.Shares = {
        "trimtab": [0.94, None, *[0.94] * 6],
        "trimtab-again": [0.94] * 8,
        "mosec": [0.80] * 8,
        "bentoml": [0.96] * 8,
    }
    found = overload._result(step, run, shares, "mosec", rounds)
    assert (found.rival, found.met) == ("bentoml", False)
    found = overload._result(step, run, {**shares, "bentoml": [0.945] * 8}, "mosec", rounds)
    assert found.met is True
    found = overload._result(step, run, {**shares, "trimtab": [0.94, *[None] * 7]}, "mosec", rounds)
    assert found.met is None


EVENT = {
    "phase": "InForce",
    "accuracy": 0.99,
    "accuracy_low": 0.985,
    "accuracy_self": 1.0,
    "layers": 18,
    "quantized_share": 0.75,
}
GAP = SwapGap(0.01, -0.1, 0.12, 0.4, 100)


def test_a_plan_that_was_not_admitted_misses_its_gate_and_leaves_the_rest_open(run: Run) -> None:
    event = {"phase": "Refused", "reason": "NotFaster: 0.97"}
    rows = gated_plan.rows(gated_plan.Searched(20.0, event), None, run)
    assert [row.met for row in rows] == [True, False, None, None]
    assert "NotFaster" in rows[2].line()


def test_a_plan_is_held_against_the_better_of_eager_and_compiled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = (Ratio(1.5, 1.45, 1.55, 50), Ratio(1.0, 0.99, 1.01, 25))
    monkeypatch.setattr(gated_plan, "onnx_int8", lambda _: gated_plan.Timed(why="no package"))

    def speed_row(compiled: gated_plan.Timed) -> tuple[float | None, bool | None]:
        monkeypatch.setattr(gated_plan, "compiled_fp32", lambda _: compiled)
        rows = gated_plan.rows(gated_plan.Searched(20.0, EVENT), gated_plan.Swapped(speed, GAP, 140.0, 100), run)
        assert [row.met for row in rows if row.measure != gated_plan.SPEED_UP] == [True, True, True, None, True]
        (row,) = [row for row in rows if row.measure == gated_plan.SPEED_UP]
        return row.trimtab, row.met

    slower, faster = Ratio(0.8, 0.79, 0.81, 60), Ratio(1.25, 1.2, 1.3, 60)
    assert speed_row(gated_plan.Timed(slower, 1.0)) == (1.5, True)
    assert speed_row(gated_plan.Timed(faster, 1.0)) == (1.2, True)
    assert speed_row(gated_plan.Timed(dataclasses.replace(faster, mean=1.4), 1.0))[1] is False
    assert speed_row(gated_plan.Timed(why="not ready in 120 s", late=True))[1] is None
    assert speed_row(gated_plan.Timed(why="does not run here: no compiler"))[1] is True
