"""Keeps the engine inside its memory: looks at the readings, moves the ladder, and says what may still be done.

Time and readings come in; what gives way (cache, spare variants, heap) hears of each step by a callback.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from trimtab_engine.errors import MemoryPressure
from trimtab_engine.log import Log
from trimtab_engine.memory.batch_room import BatchRoom, room_bytes
from trimtab_engine.memory.gauges import MemoryMetrics
from trimtab_engine.memory.ladder import SHED_CALM_SECONDS, LadderState, Step, batch_cap, next_state
from trimtab_engine.memory.measured import PassMeasured
from trimtab_engine.memory.reading import MemoryReading, pressure

LOOK_SECONDS = 0.25
"""How often the owner should call `look`: reading cgroup files costs about 0.1 ms."""
STUCK_SECONDS = 15.0
"""After so long on the last step, where no batch runs, what is held is freed by the end of its process alone."""

# Device readings come with batches. An old one must not keep the ladder on its last step, where none run.
_DEVICE_READING_SECONDS = 10.0
_VARIANT_SHARE = 0.5  # of the room for batches


@dataclass(frozen=True, slots=True)
class Look:
    """The readings of one moment: the container, and the resident bytes of each worker by device."""

    container: MemoryReading | None
    workers: Mapping[str, int | None]
    all_ready: bool


class PassShape(NamedTuple):
    """A batch: where it runs, whose it is, how many items, padded to which length."""

    device: str
    model: str
    items: int
    length: int


@dataclass(slots=True)
class _Device:
    """What is known of one worker's device. `idle_bytes`: resident bytes of the worker, free heap given back."""

    room: BatchRoom
    idle_bytes: int | None = None
    own: MemoryReading | None = None  # device memory, where it is not the container's
    own_at: float = -math.inf
    own_idle_bytes: int = 0


class MemoryGuard:
    """One per engine."""

    def __init__(self, metrics: MemoryMetrics, log: Log, stepped: Callable[[Step, Step], None]) -> None:
        """`stepped(before, after)` hears of each move of the ladder."""
        self._metrics = metrics
        self._log = log
        self._stepped = stepped
        self._state = LadderState()
        self._pressure: float | None = None
        self._idle_bytes: int | None = None
        self._limited = False
        self._devices: dict[str, _Device] = {}

    @property
    def step(self) -> Step:
        """Where the ladder stands."""
        return self._state.step

    @property
    def admits_to_cache(self) -> bool:
        """Whether the cache may take new answers."""
        return self._state.step < Step.NO_CACHE_ADMISSION

    @property
    def evicting(self) -> bool:
        """Whether the cache should be giving entries up now."""
        return self._state.step >= Step.EVICT_CACHE

    @property
    def drops_spares(self) -> bool:
        """Whether to keep no variant but the one in force, and make none."""
        return self._state.step >= Step.DROP_SPARES

    def stuck(self, now: float) -> bool:
        """Whether nothing that gave way has helped, at monotonic `now`."""
        state = self._state
        return state.step is Step.SHED and state.calm_since is None and now - state.changed_at >= STUCK_SECONDS

    def check(self) -> None:
        """Refuse a new request on the last step.

        Raises:
            MemoryPressure: with the time after which the ladder may have come down.
        """
        if self._state.step is Step.SHED:
            raise MemoryPressure(
                "the engine is at the end of its memory and takes no new request until some is free",
                math.ceil(SHED_CALM_SECONDS),
            )

    def look(self, look: Look, now: float) -> None:
        """Take the readings of monotonic `now`, move the ladder and the room for batches."""
        container = look.container
        self._limited = container is not None
        if container is not None and look.all_ready:
            known = self._idle_bytes
            self._idle_bytes = container.used_bytes if known is None else min(known, container.used_bytes)
        idle = self._idle_bytes
        found = [] if idle is None else [pressure(container, idle)]
        for name, resident in look.workers.items():
            device = self._device(name)
            if device.own is not None and now - device.own_at < _DEVICE_READING_SECONDS:
                found.append(pressure(device.own, device.own_idle_bytes))
            self._set_room(device, container, resident)
        self._pressure = max((each for each in found if each is not None), default=None)
        self._metrics.read(container, self._idle_bytes)
        self._move(next_state(self._pressure, self._state, now))

    def spare_bytes(self, device: str) -> float:
        """Return the bytes that a further variant may take, batches keep as many; infinite where nothing is limited.

        0 while the room is not known.
        """
        return (self._device(device).room.room_bytes or 0.0) * _VARIANT_SHARE

    def most_items(self, device: str, model: str, length: int, max_batch_size: int, now: float) -> int:
        """Return the most items padded to `length` of the next batch; 0 = one alone is predicted not to fit."""
        allowed = batch_cap(self._state.step, max_batch_size)
        fitting = self._device(device).room.most_items(model, length, now)
        return allowed if fitting is None else min(allowed, fitting)

    def to_measure(self, shape: PassShape, now: float) -> bool:
        """Whether the worker should measure this batch; under pressure always, for it gives free heap back first."""
        if self._state.step >= Step.SMALL_BATCHES:
            return True
        return self._device(shape.device).room.to_measure(shape.model, shape.items, shape.length, now)

    def pass_done(self, shape: PassShape, measured: PassMeasured | None, now: float) -> None:
        """Learn from a finished batch; what was not measured teaches nothing."""
        if measured is None:
            return
        known = self._device(shape.device)
        known.room.learn(shape.model, shape.items, shape.length, measured, now)
        known.idle_bytes = measured.resident_bytes
        if measured.device_used_bytes is not None and measured.device_limit_bytes is not None:
            if known.own is None:
                known.own_idle_bytes = measured.device_used_bytes
            known.own_idle_bytes = min(known.own_idle_bytes, measured.device_used_bytes)
            known.own = MemoryReading(measured.device_used_bytes, measured.device_limit_bytes)
            known.own_at = now
            known.room.room_bytes = room_bytes(known.own, known.own_idle_bytes, 0)

    def renewed(self, device: str) -> None:
        """Forget what passes took on a worker that was ended because it held too much: part of it was not their need.

        Its successor learns anew, as the first one did, from one item at a time on.
        """
        self._devices.pop(device, None)

    def ran_out(self, shape: PassShape, now: float) -> None:
        """Lower the cap for this size and length after a batch found no memory."""
        self._metrics.ran_out(shape.model)
        self._log.event("out_of_memory", **shape._asdict())
        self._device(shape.device).room.ran_out(shape.model, shape.items, shape.length, now)

    def _device(self, name: str) -> _Device:
        if name not in self._devices:
            self._devices[name] = _Device(BatchRoom(None if self._limited else math.inf))
        return self._devices[name]

    def _set_room(self, device: _Device, container: MemoryReading | None, resident: int | None) -> None:
        if device.own is not None or (container is not None and self._idle_bytes is None):
            return
        reusable = 0 if resident is None or device.idle_bytes is None else max(resident - device.idle_bytes, 0)
        device.room.reusable_bytes = reusable
        device.room.room_bytes = room_bytes(container, self._idle_bytes or 0, reusable)

    def _move(self, state: LadderState) -> None:
        before, self._state = self._state, state
        if state.step is before.step:
            return
        self._metrics.moved(before.step, state.step)
        pressed = None if self._pressure is None else round(min(self._pressure, 9.0), 3)
        self._log.event(
            "memory_ladder", step=state.step.name.lower(), before=before.step.name.lower(), pressure=pressed
        )
        self._stepped(before.step, state.step)
