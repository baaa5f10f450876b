"""The life of a variant: nothing in force that was not found faster and accurate, and a way back at any moment."""

from __future__ import annotations

import pytest
from fakes.table_model import an_input, decode_vector
from fakes.variant_world import INT8, NEEDED, World

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.chores import ChoreFailed, RunRows
from trimtab_engine.model_directory import FactoryModel
from trimtab_engine.variant_messages import Backend, LayerChange
from trimtab_engine.variants.accuracy import Task
from trimtab_engine.variants.capture import InputSet, set_of
from trimtab_engine.variants.course import Asked, Phase, Wish
from trimtab_engine.variants.declared import Declared
from trimtab_engine.variants.evidence import Evidence
from trimtab_engine.variants.lifecycle import WAIT_FOR_INPUTS_SECONDS, VariantLife
from trimtab_engine.variants.recheck import EVERY_SECONDS, timing_due
from trimtab_engine.variants.spares import GRACE_SECONDS, SpareMemory


def int8_world() -> World:
    """A world with Int8 in force."""
    world = World()
    world.wish(INT8)
    world.settle()
    return world


def world_after(steps: int) -> World:
    """A world that has done so many chores for a wish for Int8."""
    world = World()
    world.wish(INT8)
    for _ in range(steps):
        world.step()
    return world


def test_a_wish_is_searched_gated_and_put_in_force() -> None:
    world = World()
    world.wish(INT8)
    assert world.life.in_force == BASE_VARIANT
    world.settle()
    standing = world.life.standing
    assert (standing.phase, standing.settings) == (Phase.IN_FORCE, Asked("Int8", "base"))
    assert standing.in_force in world.model.variants
    assert standing.admitted is not None
    assert standing.admitted.found.speedup.low > 1.0
    judged = standing.admitted.gate, standing.admitted.report
    low = min(each.agreement.measured.low for each in judged)
    assert low >= 0.98
    inputs = sum(each.samples for each in judged)
    assert inputs >= 2 * NEEDED
    assert standing.evidence == Evidence(low, inputs, standing.admitted.found.speedup.value)
    assert world.phases == [Phase.WAITING, Phase.SEARCHING, Phase.IN_FORCE]
    assert set(world.model.variants) == {BASE_VARIANT, standing.in_force}


def test_what_loses_too_much_is_refused_with_the_figures_and_nothing_is_left_behind() -> None:
    world = World(loss=0.1)
    world.wish(INT8)
    world.settle()
    assert world.life.standing.phase is Phase.REFUSED
    assert world.life.standing.reason.startswith("AccuracyTooLow: ")
    assert world.life.in_force == BASE_VARIANT
    assert set(world.model.variants) == {BASE_VARIANT}


def test_a_plan_that_passes_the_search_but_not_the_gate_is_refused() -> None:
    world = World()
    world.wish(INT8)
    while world.life.standing.phase is not Phase.REFUSED:
        assert world.life.standing.phase is not Phase.IN_FORCE
        chore = world.life.next(world.now)
        assert chore is not None
        gated = isinstance(chore, RunRows) and set_of(an_input(int(chore.rows[0].tensors[0][0])).key) is InputSet.GATE
        world.loss = 0.01 if gated else 0.0005
        world.life.done(chore, world.model.answer(chore), world.now)
    assert world.life.standing.reason.startswith("AccuracyTooLow: gate: ")
    seen = world.life.standing.evidence
    assert seen is not None
    assert (seen.accuracy_low < 0.98, seen.inputs >= NEEDED) == (True, True)
    assert seen.speedup is not None
    world.wish(Wish())
    assert world.life.standing.evidence is None


def test_too_few_inputs_are_waited_for_and_reported_with_their_counts_after_a_while() -> None:
    world = World(inputs=60)
    world.wish(INT8)
    world.settle()
    assert world.life.standing.phase is Phase.WAITING
    assert f"of {NEEDED} distinct inputs each" in world.life.standing.reason
    world.now += WAIT_FOR_INPUTS_SECONDS + 1
    world.settle()
    assert world.life.standing.phase is Phase.REFUSED
    for number in range(60, 300):
        world.capture.keep(an_input(number))
    world.settle()
    assert world.life.standing.phase is Phase.IN_FORCE


def test_without_captured_inputs_nothing_is_decided() -> None:
    life = VariantLife(
        "m",
        task=lambda: Task.EMBEDDING,
        decode=decode_vector,
        batch_size=lambda: 8,
        capture=None,
        changed=lambda standing: None,
        memory=SpareMemory(),
    )
    life.wish(INT8, 0.0)
    assert life.standing.phase is Phase.REFUSED
    assert life.standing.reason.startswith("CaptureOff")
    assert life.next(0.0) is None


def test_going_back_is_immediate_and_coming_back_within_the_grace_period_too() -> None:
    world = int8_world()
    variant = world.life.in_force
    for _ in range(50):
        world.wish(Wish())
        assert world.life.in_force == BASE_VARIANT
        world.wish(INT8)
        assert world.life.in_force == variant
    world.settle()
    assert variant in world.model.variants


def test_a_variant_that_left_is_dropped_after_the_grace_period_and_built_again_without_a_search() -> None:
    world = int8_world()
    variant = world.life.in_force
    world.wish(Wish())
    world.now += GRACE_SECONDS
    world.settle()
    assert set(world.model.variants) == {BASE_VARIANT}
    before = world.model.chores
    world.wish(INT8)
    world.settle()
    assert world.life.in_force == variant
    assert world.model.chores == before + 1


@pytest.mark.parametrize("steps", [1, 2, 5, 40, 200])
def test_a_wish_that_is_taken_back_leaves_no_variant_behind(steps: int) -> None:
    world = world_after(steps)
    world.wish(Wish())
    assert world.life.in_force == BASE_VARIANT
    world.settle()
    world.now += GRACE_SECONDS
    world.settle()
    assert set(world.model.variants) == {BASE_VARIANT}


@pytest.mark.parametrize("steps", [1, 2, 40, 200, 2000])
def test_after_a_death_of_the_worker_the_original_answers_until_the_plan_is_built_again(steps: int) -> None:
    world = world_after(steps)
    chore = world.life.next(world.now)
    world.model.variants = {BASE_VARIANT: []}
    world.life.worker_died(world.now)
    if chore is not None:
        world.life.done(chore, ChoreFailed("worker_died", 0.0), world.now)
    assert world.life.in_force == BASE_VARIANT
    world.settle()
    assert world.life.standing.phase is Phase.IN_FORCE
    assert world.life.in_force in world.model.variants


def test_live_answers_that_lose_their_accuracy_bring_the_original_back_with_the_reason() -> None:
    world = int8_world()
    world.loss = 0.01
    variant = world.life.in_force
    plan = world.model.variants[variant]
    for number in range(1000, 12_000):
        shadow = world.life.shadow
        if shadow is None:
            break
        row = an_input(number).row
        shadow.answered(row, world.model.vector(row, plan))
        world.now += 0.01
        world.step()
    assert world.life.in_force == BASE_VARIANT
    assert world.life.standing.phase is Phase.REFUSED
    assert world.life.standing.reason.startswith("AccuracyLost: ")


def test_a_wish_that_comes_while_its_variant_is_dropped_is_not_answered_by_what_is_gone() -> None:
    world = int8_world()
    variant = world.life.in_force
    world.wish(Wish())
    world.now += GRACE_SECONDS
    drop = world.life.next(world.now)
    assert drop is not None
    world.wish(INT8)
    assert world.life.in_force == BASE_VARIANT
    world.life.done(drop, world.model.answer(drop), world.now)
    world.settle()
    assert world.life.in_force == variant
    assert variant in world.model.variants


@pytest.mark.parametrize("steps", [1, 2, 5, 40, 200])
def test_short_memory_ends_a_search_says_so_and_the_search_begins_anew_when_there_is_room(steps: int) -> None:
    world = world_after(steps)
    world.short = True
    assert world.life.urgent
    world.settle()
    assert not world.life.urgent
    assert set(world.model.variants) == {BASE_VARIANT}
    assert world.life.standing.phase is Phase.NO_MEMORY
    assert world.life.standing.reason.startswith("MemoryShort: ")
    world.short = False
    world.settle()
    assert world.life.standing.phase is Phase.IN_FORCE


def test_short_memory_drops_what_is_kept_for_the_way_back_and_leaves_what_is_in_force() -> None:
    world = int8_world()
    variant = world.life.in_force
    world.short = True
    assert not world.life.urgent
    world.settle()
    assert world.life.in_force == variant
    assert set(world.model.variants) == {BASE_VARIANT, variant}
    world.wish(Wish())
    assert world.life.urgent
    world.settle()
    assert set(world.model.variants) == {BASE_VARIANT}


def test_a_plan_that_is_slower_in_the_batches_served_later_is_taken_back_and_not_put_in_force_again() -> None:
    world = int8_world()
    world.batch_size, world.model.slow_rows = 1, 2
    before = world.model.chores
    world.now += EVERY_SECONDS
    world.settle()
    assert world.life.in_force == BASE_VARIANT
    assert world.life.standing.phase is Phase.REFUSED
    assert world.life.standing.reason.startswith("NoLongerFaster: in batches of 1 ")
    assert world.life.searches == {"admitted": 1, "timed_again": 1, "no_longer_faster": 1}
    assert world.model.chores - before <= 120
    world.wish(Wish())
    world.wish(INT8)
    world.settle()
    assert world.life.standing.reason.startswith("NotFaster: ")


def test_a_plan_that_is_faster_in_other_batches_too_is_timed_once_and_stays() -> None:
    world = int8_world()
    variant, seen = world.life.in_force, world.life.standing.evidence
    world.batch_size = 1
    for _ in range(5):
        world.now += EVERY_SECONDS
        world.settle()
    standing = world.life.standing
    assert (standing.phase, world.life.in_force) == (Phase.IN_FORCE, variant)
    assert standing.admitted is not None
    assert standing.admitted.found.batch_size == 1
    assert standing.evidence == seen, "what was found in shadow is no news for ever"
    assert world.life.searches == {"admitted": 1, "timed_again": 1}


@pytest.mark.parametrize(
    ("timed", "served", "seconds", "due"),
    [(8, 8, 1e6, False), (8, 7, 1e6, False), (8, 12, EVERY_SECONDS, True), (8, 12, 59.0, False), (8, 1, 1e6, True)],
)
def test_a_plan_is_timed_again_where_the_batch_size_has_moved_and_not_all_the_time(
    timed: int, served: int, seconds: float, due: bool
) -> None:
    assert timing_due(timed, served, seconds) == due


BACKENDS: dict[str, Backend] = {"fast": "onednn", "slow": "torchao"}
SMALL = Declared("small", "m", FactoryModel("small", "1", "models:small"))


def small_world(speed: str = "fast", loss: float = 0.0005) -> World:
    """A world that wishes for a declared variant; it behaves like a plan of two layers."""
    world = World(loss=loss)
    changed = world.model.layers[:2]
    world.model.declared_plans["small"] = [LayerChange(layer, "int8_dynamic", BACKENDS[speed]) for layer in changed]
    world.wish(Wish(variant="small", declared=SMALL))
    return world


def test_a_declared_variant_is_loaded_gated_and_put_in_force_under_its_name_without_a_search() -> None:
    world = small_world()
    assert world.life.in_force == BASE_VARIANT
    world.settle()
    standing = world.life.standing
    assert (standing.phase, standing.in_force) == (Phase.IN_FORCE, "small")
    assert standing.settings == Asked("None", "small")
    assert standing.admitted is not None
    assert standing.admitted.found.builds == 1
    world.wish(INT8)
    assert world.life.in_force == BASE_VARIANT
    world.settle()
    assert world.life.standing.settings == Asked("Int8", "base")
    world.wish(Wish(variant="small", declared=SMALL))
    world.settle()
    assert world.life.in_force == "small"


def test_what_a_variant_answered_is_not_counted_as_an_answer_of_the_one_that_came_after_it() -> None:
    world = small_world()
    small = Wish(variant="small", declared=SMALL)
    for wish in (INT8, small, INT8):  # what has been found is built again beside the other one
        world.wish(wish)
        world.settle()
    shadow = world.life.shadow
    assert shadow is not None
    for number in range(800):
        shadow.answered(an_input(number).row, world.model.vector(an_input(number).row, []))
    comparison = world.life.next(world.now)
    assert comparison is not None
    world.wish(small)
    assert world.life.in_force == "small"
    world.life.done(comparison, world.model.answer(comparison), world.now)
    assert world.life.shadow is not None
    assert world.life.shadow.samples == 0


@pytest.mark.parametrize(
    ("speed", "loss", "reason"), [("fast", 0.1, "AccuracyTooLow: search: "), ("slow", 0.0, "NotFaster: ")]
)
def test_a_declared_variant_that_loses_too_much_or_is_slower_is_refused_and_leaves_nothing(
    speed: str, loss: float, reason: str
) -> None:
    world = small_world(speed, loss)
    world.settle()
    assert world.life.standing.phase is Phase.REFUSED
    assert world.life.standing.reason.startswith(reason)
    assert set(world.model.variants) == {BASE_VARIANT}
    seen = world.life.standing.evidence
    assert seen is not None
    assert seen.inputs >= NEEDED
    assert (seen.speedup is not None) == (speed == "slow"), "it is compared first, then timed"


def test_after_a_death_of_the_worker_a_declared_variant_goes_through_the_gate_again() -> None:
    world = small_world()
    world.settle()
    world.model.variants = {BASE_VARIANT: []}
    world.life.worker_died(world.now)
    assert world.life.in_force == BASE_VARIANT
    world.loss = 0.1
    world.settle()
    assert world.life.standing.reason.startswith("AccuracyTooLow: ")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish("Int8", variant="small", declared=SMALL), "NotTogether: "),
        (Wish(variant="large"), "NotDeclared: "),
    ],
)
def test_what_cannot_be_pursued_is_refused_at_once_and_the_original_answers(wish: Wish, reason: str) -> None:
    world = int8_world()
    world.wish(wish)
    assert world.life.in_force == BASE_VARIANT
    assert world.life.standing.phase is Phase.REFUSED
    assert world.life.standing.reason.startswith(reason)
    world.settle()
    assert world.life.standing.reason.startswith(reason)
