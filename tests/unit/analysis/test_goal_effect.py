"""What a goal is judged by, and how much load that takes."""

from __future__ import annotations

import pytest

from trimtab_api.engine_knobs import ENGINE_KNOBS, Knob
from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_operator.analysis.goal_effect import LEAST_LOAD, judged_by_capacity, least_load

LATENCY = Objectives.model_validate({"latency": {"max": "200ms"}})


@pytest.mark.parametrize("knob", ENGINE_KNOBS)
def test_only_a_cache_tells_without_load_what_an_answer_costs(knob: Knob) -> None:
    assert least_load(knob) == (0.0 if knob in {Knob.CACHE_MEMORY, Knob.CACHE_EVICTION} else LEAST_LOAD)


@pytest.mark.parametrize(
    ("goal", "objectives", "expected"),
    [
        (Goal.MINIMIZE_COST, LATENCY, True),
        (Goal.MAXIMIZE_THROUGHPUT, None, True),
        (Goal.MINIMIZE_ENERGY, None, False),
        (Goal.MINIMIZE_LATENCY, LATENCY, False),
        (Goal.MINIMIZE_LATENCY, None, True),
        (Goal.MINIMIZE_LATENCY, Objectives(), True),
    ],
)
def test_energy_and_latency_are_judged_as_they_are_and_all_else_as_capacity(
    goal: Goal, objectives: Objectives | None, expected: bool
) -> None:
    assert judged_by_capacity(goal, objectives) is expected
