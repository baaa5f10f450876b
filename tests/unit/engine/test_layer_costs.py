"""Costs of modules become shares of kinds of layers: nothing twice, nothing lost, and not too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.variant_messages import LayerCost, LayerFacts
from trimtab_engine.variants.layer_costs import MAX_KINDS, OTHER_KINDS, OUTERMOST, averaged, by_kind, own_costs
from trimtab_engine.variants.planner import costliest_first

SECONDS = st.one_of(st.just(0.0), st.floats(1e-6, 9))
COSTS = st.tuples(SECONDS, SECONDS)


@pytest.mark.parametrize(
    ("inclusive", "own"),
    [
        ({"": 10.0, "a": 4.0, "b": 5.0}, {"": 1.0, "a": 4.0, "b": 5.0}),
        ({"": 10.0, "stack.0": 4.0, "stack.0.x": 3.0}, {"": 6.0, "stack.0": 1.0, "stack.0.x": 3.0}),
        ({"stack.0.x": 3.0}, {"stack.0.x": 3.0}),
        ({"a": 1.0, "a.b": 2.0}, {"a": 0.0, "a.b": 2.0}),
    ],
    ids=["children leave their parent", "a list in between takes nothing", "no parent", "never below zero"],
)
def test_what_a_module_took_is_counted_once(inclusive: dict[str, float], own: dict[str, float]) -> None:
    assert own_costs(inclusive) == own


@given(st.dictionaries(st.text("ab.01", max_size=5), COSTS, min_size=1))
def test_the_shares_of_all_kinds_add_up_to_one_or_nothing(costs: dict[str, tuple[float, float]]) -> None:
    found = by_kind(costs)
    assert sum(cost.time_share for cost in found) == pytest.approx(1.0 if sum(a for a, _ in costs.values()) else 0.0)
    assert [cost.time_share for cost in found] == sorted((cost.time_share for cost in found), reverse=True)


def test_layers_of_one_kind_are_one_line_and_the_outermost_module_has_its_own() -> None:
    found = by_kind({"": (1.0, 0.0), "layer.0.dense": (2.0, 6.0), "layer.1.dense": (1.0, 2.0)})
    assert found == [LayerCost("layer.dense", 0.75, 1.0), LayerCost(OUTERMOST, 0.25, 0.0)]


def test_kinds_beyond_the_bound_are_one_line() -> None:
    found = by_kind({f"kind{'x' * number}": (float(100 - number), 1.0) for number in range(100)})
    assert len(found) == MAX_KINDS
    assert found[-1].kind == OTHER_KINDS
    assert found[-1].memory_share == pytest.approx(1 - (MAX_KINDS - 1) / 100)


def test_several_passes_are_averaged_and_a_kind_that_one_does_not_name_took_nothing_there() -> None:
    passes = [[LayerCost("a", 1.0, 1.0)], [LayerCost("b", 0.75, 0.5), LayerCost("a", 0.25, 0.5)]]
    assert averaged(passes) == [LayerCost("a", 0.625, 0.75), LayerCost("b", 0.375, 0.25)]


def test_the_kinds_that_take_most_time_are_tried_first_and_without_a_profile_the_largest() -> None:
    layers = [LayerFacts(f"0.{kind}", kind, width, width, 0, []) for kind, width in (("a", 8), ("b", 64), ("c", 32))]
    order = [[kind[0].kind for kind in costliest_first(layers, shares)] for shares in ({}, {"a": 0.5, "c": 0.4})]
    assert order == [["b", "c", "a"], ["a", "c", "b"]]
