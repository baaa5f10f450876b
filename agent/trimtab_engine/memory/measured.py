"""What a worker measures of a pass's memory; sent with the answer of a batch that asked for it."""

from __future__ import annotations

from typing import Literal

import msgspec

Source = Literal["device_allocator", "high_water_mark", "resident_difference"]


class PassMeasured(msgspec.Struct, frozen=True):
    """Memory of one pass. Absent is None, never 0.

    `extra_bytes`: the most beside what was held before it; `source` says by what. `resident_difference` misses what
    was freed before the pass ended. `resident_bytes`: the worker's own before the pass, free heap given back.
    `device_*`: bytes of tensors on the device before the pass, and the most that they and the pass may have.
    """

    source: Source
    extra_bytes: int | None
    resident_bytes: int | None
    device_used_bytes: int | None = None
    device_limit_bytes: int | None = None
