"""The guard: readings in, and what may still be batched, cached and admitted out."""

from __future__ import annotations

import io
import json

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from trimtab_engine.errors import MemoryPressure, Outcome
from trimtab_engine.log import Log
from trimtab_engine.memory.gauges import MemoryMetrics
from trimtab_engine.memory.guard import STUCK_SECONDS, Look, MemoryGuard, PassShape
from trimtab_engine.memory.ladder import CLIMB_SECONDS, SHED_CALM_SECONDS, Step
from trimtab_engine.memory.measured import PassMeasured
from trimtab_engine.memory.reading import MemoryReading

IDLE, LIMIT, WORKER = 1000, 2000, 600
SHAPE = PassShape("cpu", "m", 4, 16)


class World:
    """A guard, what its ladder did, and its exposition."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        gauges = {
            "memory_ladder_step": Gauge("step", "-", registry=self.registry),
            "memory_bytes": Gauge("bytes", "-", ["kind"], registry=self.registry),
        }
        counters = {
            "memory_ladder_moves_total": Counter("moves", "-", ["direction"], registry=self.registry),
            "out_of_memory_total": Counter("oom", "-", ["model"], registry=self.registry),
        }
        metrics = MemoryMetrics(gauges.__getitem__, counters.__getitem__)
        self.steps: list[tuple[Step, Step]] = []
        self.stream = io.StringIO()
        self.guard = MemoryGuard(metrics, Log(self.stream), lambda *move: self.steps.append(move))

    def look(self, used: int | None, now: float, *, worker: int = WORKER, ready: bool = True) -> None:
        container = None if used is None else MemoryReading(used, LIMIT)
        self.guard.look(Look(container, {"cpu": worker}, ready), now)

    def shed(self, now: float) -> None:
        """Climb to the last step, which is reached at `now`."""
        self.look(LIMIT, now - CLIMB_SECONDS)
        self.look(LIMIT, now)

    def measured(self, shape: PassShape, extra: int | None, now: float = 0.0) -> None:
        self.guard.pass_done(shape, PassMeasured("high_water_mark", extra, WORKER), now)

    def most(self, length: int = 16, now: float = 0.0) -> int:
        return self.guard.most_items("cpu", "m", length, 64, now)


def test_without_a_limit_nothing_is_measured_away() -> None:
    world = World()
    world.look(None, 0.0)
    world.measured(SHAPE, 10**12)
    assert (world.guard.step, world.most()) == (Step.NONE, 64)
    world.guard.check()


def test_a_batch_that_is_predicted_not_to_fit_is_not_allowed_and_a_smaller_one_is() -> None:
    world = World()
    world.look(IDLE, 0.0)
    world.measured(PassShape("cpu", "m", 1, 16), 50)
    world.measured(PassShape("cpu", "m", 8, 16), 400)
    world.look(IDLE, 1.0)
    most = world.most()  # 850 of the room are for batches; 50 an item, 10 % margin
    assert most == 15
    world.look(IDLE + 500, 2.0)
    assert world.most() == 6
    world.look(IDLE + 500, 3.0, worker=WORKER + 500)  # the worker holds them: the next pass takes them over
    assert world.most() == most
    world.look(IDLE + 840, 4.0)
    assert world.most() == 0


def test_before_the_workers_are_ready_no_idle_engine_is_known_and_the_ladder_stays() -> None:
    world = World()
    world.look(LIMIT, 0.0, ready=False)
    assert world.guard.step is Step.NONE
    world.look(IDLE, 1.0)
    world.look(IDLE - 500, 2.0, ready=False)  # a worker has died
    world.look(LIMIT - 100, 3.0)
    assert world.guard.step is Step.NO_CACHE_ADMISSION


def test_on_the_last_step_requests_are_refused_with_a_reason_until_the_pressure_ends() -> None:
    world = World()
    world.look(IDLE, 0.0)
    world.shed(1.0)
    with pytest.raises(MemoryPressure) as refusal:
        world.guard.check()
    assert (refusal.value.status, refusal.value.outcome) == (503, Outcome.REJECTED)
    assert refusal.value.retry_after_seconds == SHED_CALM_SECONDS
    assert not world.guard.admits_to_cache
    assert world.guard.evicting
    assert world.most() <= 1
    now = 1.0
    while world.guard.step:
        now += 0.25
        world.look(IDLE, now)
    world.guard.check()
    assert world.guard.admits_to_cache
    assert [after for _, after in world.steps] == [Step.DROP_SPARES, Step.SHED, *range(Step.DROP_SPARES, -1, -1)]
    assert world.registry.get_sample_value("moves_total", {"direction": "up"}) == 2
    assert world.registry.get_sample_value("moves_total", {"direction": "down"}) == 5


def test_on_the_last_step_it_is_stuck_once_nothing_has_helped_for_a_while() -> None:
    world = World()
    world.look(IDLE, 0.0)
    world.shed(1.0)
    world.look(LIMIT, STUCK_SECONDS)
    assert not world.guard.stuck(STUCK_SECONDS)
    assert world.guard.stuck(1.0 + STUCK_SECONDS)
    world.look(IDLE, 2.0 + STUCK_SECONDS)
    assert not world.guard.stuck(2.0 + STUCK_SECONDS), "it helps now"


def test_what_a_leak_was_taken_for_is_forgotten_with_the_worker_that_was_ended_for_it() -> None:
    world = World()
    world.look(IDLE, 0.0)
    world.measured(SHAPE, SHAPE.items * LIMIT)
    assert world.most() == 0
    world.guard.renewed("cpu")
    world.look(IDLE, 1.0)
    assert world.most() == 1


def test_each_move_is_logged_with_figures_and_exposed() -> None:
    world = World()
    world.look(IDLE, 0.0)
    world.look(IDLE + 850, 1.0)
    world.look(IDLE + 850, 1.0 + CLIMB_SECONDS)
    events = [json.loads(line) for line in world.stream.getvalue().splitlines()]
    assert [(e["event"], e["before"], e["step"], e["pressure"]) for e in events] == [
        ("memory_ladder", "none", "no_cache_admission", 0.85),
        ("memory_ladder", "no_cache_admission", "evict_cache", 0.85),
    ]
    assert world.registry.get_sample_value("step") == Step.EVICT_CACHE
    assert world.registry.get_sample_value("bytes", {"kind": "used"}) == IDLE + 850
    assert world.registry.get_sample_value("bytes", {"kind": "idle"}) == IDLE


def test_out_of_memory_is_counted_and_lowers_the_cap_of_that_length() -> None:
    world = World()
    world.look(None, 0.0)
    world.guard.ran_out(PassShape("cpu", "m", 32, 16), 1.0)
    assert (world.most(16, 2.0), world.most(200, 2.0), world.most(16, 100.0)) == (16, 64, 64)
    assert world.registry.get_sample_value("oom_total", {"model": "m"}) == 1


def test_the_first_batches_of_a_size_are_measured_then_one_every_few_seconds_and_all_under_pressure() -> None:
    world = World()
    world.look(IDLE, 0.0)
    assert world.guard.to_measure(SHAPE, 0.0)
    world.measured(SHAPE, 100, now=0.0)
    assert not world.guard.to_measure(SHAPE, 1.0)
    assert world.guard.to_measure(SHAPE._replace(items=8), 1.0)
    assert world.guard.to_measure(SHAPE, 5.0)
    world.look(LIMIT, 6.0)
    world.measured(SHAPE, 100, now=6.0)
    assert world.guard.to_measure(SHAPE, 6.1)


def test_what_a_worker_could_not_measure_teaches_nothing() -> None:
    world = World()
    world.look(IDLE, 0.0)
    world.measured(SHAPE, None)
    world.guard.pass_done(SHAPE, None, 0.0)
    world.look(IDLE, 1.0)
    assert world.most() == 1


def test_device_memory_bounds_batches_by_its_own_room_and_an_old_reading_does_not_hold_the_ladder() -> None:
    world = World()
    world.look(IDLE, 0.0)

    def on_device(used: int, now: float) -> None:
        measured = PassMeasured("device_allocator", 100, WORKER, used, 1000)
        world.guard.pass_done(PassShape("cpu", "m", 8, 16), measured, now)

    on_device(500, 1.0)
    world.look(IDLE, 1.0)
    assert world.most() == 30  # 425 of device memory; 100 for 8 items, 10 % margin
    on_device(1000, 2.0)
    world.look(IDLE, 2.0 - CLIMB_SECONDS)
    world.look(IDLE, 2.0)
    assert world.guard.step is Step.SHED
    for second in range(3, 60):
        world.look(IDLE, float(second))
    assert world.guard.step is Step.NONE


def test_a_worker_that_no_look_has_found_yet_gets_one_item_at_a_time_where_memory_is_limited() -> None:
    world = World()
    world.look(IDLE, 0.0, ready=False)
    assert world.guard.most_items("cuda:0", "m", 16, 64, 0.0) == 1
    world.guard.pass_done(PassShape("cuda:0", "m", 1, 16), PassMeasured("high_water_mark", 10, WORKER), 0.1)
    assert world.guard.most_items("cuda:0", "m", 16, 64, 0.1) == 1, "not refused for want of a look"
    free = World()
    free.look(None, 0.0)
    assert free.guard.most_items("cuda:0", "m", 16, 64, 0.0) == 64


def test_a_batch_that_needs_what_the_worker_holds_in_pieces_has_it_given_back_first() -> None:
    world = World()
    world.look(IDLE, 0.0)
    world.measured(SHAPE, 400)
    world.look(IDLE + 500, 1.0, worker=WORKER + 500)
    assert world.guard.to_measure(SHAPE, 1.0)
    world.look(IDLE + 100, 1.5, worker=WORKER + 100)
    assert not world.guard.to_measure(SHAPE, 1.5)


def test_spare_variants_give_way_on_the_step_before_the_last_and_a_further_one_may_take_half_of_the_room() -> None:
    world = World()
    world.look(IDLE, 0.0)
    assert not world.guard.drops_spares
    assert world.guard.spare_bytes("cpu") == pytest.approx(0.5 * 0.85 * (LIMIT - IDLE))
    for number in range(1, 5):
        world.look(IDLE + int(0.92 * (LIMIT - IDLE)), number * CLIMB_SECONDS)
        assert world.guard.drops_spares == (number == 4)
