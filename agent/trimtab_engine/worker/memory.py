"""The worker's memory: the peak of a pass, heap that is free given back, our fraction of the device."""

from __future__ import annotations

import ctypes

import msgspec
import torch

from trimtab_engine import wire
from trimtab_engine.memory.measured import PassMeasured
from trimtab_engine.memory.resident import read_resident, reset_peak, resident_bytes

IDLE_SECONDS = 1.0
_WORTH_TRIMMING_BYTES = 64 << 20  # faulting so much in again costs a pass some milliseconds

_libc = ctypes.CDLL(None)


class WorkerMemory:
    """Measures passes on one device and keeps the heap from holding what nobody uses."""

    def __init__(self, device: torch.device, device_fraction: float) -> None:
        """Take at most this fraction of a GPU; a MIG slice counts as the whole."""
        self._device = device
        self._fraction = device_fraction
        self._before: PassMeasured | None = None
        self._trimmed_bytes = 0
        self._file_bytes = 0
        if device.type == "cuda" and device_fraction < 1.0:
            torch.cuda.set_per_process_memory_fraction(device_fraction, device)

    def begin(self) -> None:
        """Give free heap back and note what is held: the pass that follows is measured."""
        self.trim()
        held = read_resident()
        self._file_bytes = 0 if held is None else held.file_bytes
        if self._device.type == "cuda":
            self._before = self._device_before()
        else:
            self._before = PassMeasured(
                "high_water_mark" if reset_peak() else "resident_difference", None, resident_bytes()
            )

    def end(self, answer: wire.BatchDone | wire.BatchFailed) -> wire.BatchDone | wire.BatchFailed:
        """Return the answer with what the pass took since `begin`; heap is given back where there was too little."""
        before, self._before = self._before, None
        if isinstance(answer, wire.BatchFailed):
            if answer.kind == "out_of_memory":
                self.trim()
            return answer
        if before is None:
            return answer
        measured = msgspec.structs.replace(before, extra_bytes=self._extra_bytes(before))
        return msgspec.structs.replace(answer, measured=measured)

    def idle(self) -> None:
        """Give free heap back where much has gathered since the last time."""
        held = resident_bytes()
        if held is not None and held - self._trimmed_bytes > _WORTH_TRIMMING_BYTES:
            self.trim()

    def trim(self) -> None:
        """Give free heap back to the system: glibc keeps up to half of a large pass, 0.2 to 2 ms."""
        if hasattr(_libc, "malloc_trim"):  # glibc only
            _libc.malloc_trim(0)
        self._trimmed_bytes = resident_bytes() or 0

    def _extra_bytes(self, before: PassMeasured) -> int | None:
        if before.device_used_bytes is not None:
            return max(torch.cuda.max_memory_allocated(self._device) - before.device_used_bytes, 0)
        after = read_resident()
        if after is None or before.resident_bytes is None:
            return None
        most = after.peak_bytes if before.source == "high_water_mark" else after.bytes
        # Pages of libraries that this pass was the first to touch are no need of its size.
        touched = max(after.file_bytes - self._file_bytes, 0)
        return max(most - before.resident_bytes - touched, 0)

    def _device_before(self) -> PassMeasured:
        torch.cuda.reset_peak_memory_stats(self._device)
        used, reserved = torch.cuda.memory_allocated(self._device), torch.cuda.memory_reserved(self._device)
        free, total = torch.cuda.mem_get_info(self._device)
        # Free memory knows of the neighbours; what is ours or free is what we may have.
        limit = min(int(total * self._fraction), reserved + free)
        return PassMeasured("device_allocator", None, resident_bytes(), used, limit)
