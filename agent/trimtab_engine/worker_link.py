"""The front's end of one worker process: start it, hand it a batch or a message, hear its answer or its death.

States: starting -> idle <-> busy -> dead -> (back-off) -> starting. The worker holds one batch or message at a time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine import wire
from trimtab_engine.batching.batch import Batch
from trimtab_engine.context import Context
from trimtab_engine.packing import cut, pack
from trimtab_engine.signature import Signature
from trimtab_engine.slots import Slot, create_memory, rows_that_fit

_FIRST_BACK_OFF_SECONDS = 0.25
_LONGEST_BACK_OFF_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0  # a worker that lived this long starts the back-off anew
# oneDNN makes a kernel for each number of tokens and kind of layer; torch and oneDNN keep 1024 each by default.
# tests/contract/engine/test_memory_limit.py prints what that adds up to.
_KERNELS_KEPT = "64"


@dataclass(frozen=True, slots=True)
class WorkerEvents:
    """What the owner of a link hears."""

    ready: Callable[[WorkerLink, wire.WorkerReady], None]
    result: Callable[[WorkerLink, Batch, wire.BatchDone | wire.BatchFailed], None]
    heard: Callable[[WorkerLink, msgspec.Struct], None]  # the answer to `ask`
    died: Callable[[WorkerLink, Batch | None], None]
    gave_up: Callable[[WorkerLink], None]


class WorkerLink:
    """One device's worker."""

    def __init__(
        self,
        device: str,
        context: Context,
        events: WorkerEvents,
    ) -> None:
        self.device = device
        self._descriptions = context.descriptions
        self._settings = context.settings
        self._environ = _worker_environment(context.environ, context.settings.torch_threads)
        self._events = events
        self._log = context.log
        self.signatures: dict[str, Signature] = {}  # by model, once the worker is ready
        self.row_limits: dict[str, int] = {}  # rows that the slot takes, whatever their lengths
        self.model = ""  # that of the batch that is with the worker, or was last
        self.variant = BASE_VARIANT  # so too
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._slot: Slot | None = None
        self._batch: Batch | None = None
        self._batch_number = 0
        self.copy_seconds = 0.0  # of the batch that is with the worker, or was last: moving it into the slot
        self._asked = False
        self._watchdog: asyncio.TimerHandle | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._ready_at: float | None = None
        self._failures = 0
        self._ever_ready = False

    @property
    def ready(self) -> bool:
        """Whether the worker has loaded its models."""
        return self._ready_at is not None

    @property
    def idle(self) -> bool:
        """Whether a batch may be handed over now."""
        return self.ready and self._batch is None and not self._asked

    def start(self) -> None:
        """Start the process; `ready` or `died` follows."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        memory = create_memory()
        self._slot = Slot(memory)
        ours.setblocking(False)
        config = wire.WorkerConfig(
            models=list(self._descriptions),
            device=self.device,
            torch_threads=self._settings.torch_threads,
            control_descriptor=theirs.fileno(),
            memory_descriptor=memory,
            front_pid=os.getpid(),
            fault=self._settings.fault,
            device_memory_fraction=self._settings.device_memory_fraction,
        )
        command = [sys.executable, "-P", "-m", "trimtab_engine.worker", msgspec.json.encode(config).decode()]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(), memory), env=self._environ, stdin=subprocess.DEVNULL
        )
        theirs.close()
        os.close(memory)
        self._control = ours
        self._loop.add_reader(ours, self._read)
        self._log.event("worker_started", device=self.device, pid=self._process.pid)

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return None if self._process is None else self._process.pid

    def run(self, batch: Batch, model: str, variant: str, measure: bool = False) -> None:
        """Copy a batch into the slot and hand it over. The worker must be idle.

        With `measure` the worker tells what memory the pass took.
        """
        began = time.perf_counter()
        assert self._slot is not None and self._control is not None and self.idle  # noqa: S101, PT018
        inputs = pack(self._slot, self.signatures[model], [item.row for item in batch.items])
        self._batch = batch
        self.model, self.variant = model, variant
        self._batch_number += 1
        self.copy_seconds = time.perf_counter() - began
        self._send(wire.RunBatch(self._batch_number, model, variant, inputs, measure))

    def ask(self, message: msgspec.Struct) -> None:
        """Send a message that has one answer. The worker must be idle."""
        assert self.idle  # noqa: S101
        self._asked = True
        self._send(message)

    def renew(self) -> None:
        """End the worker, which must be idle, for another to take its place: what it holds is freed."""
        assert self.idle and self._process is not None  # noqa: S101, PT018
        self._log.event("worker_renewed", device=self.device, pid=self._process.pid)
        self._process.kill()  # its closed socket tells `_read`

    def answers(self, batch: Batch, model: str, done: wire.BatchDone) -> list[bytes]:
        """Return what the model gave for each item of the batch just done, see `packing.cut`."""
        assert self._slot is not None  # noqa: S101
        lengths = [item.length for item in batch.items]
        return cut(self._slot, done.outputs, self.signatures[model].outputs, lengths)

    def close(self) -> None:
        """End the worker for good."""
        if self._restart is not None:
            self._restart.cancel()
        self._release()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _send(self, message: msgspec.Struct) -> None:
        assert self._control is not None  # noqa: S101
        self._watchdog = self._loop.call_later(self._settings.batch_timeout_seconds, self._hung)
        try:
            self._control.send(wire.encode(message))
        except OSError:  # it has died; its end of the socket tells `_read`, which answers what it held
            self._log.event("worker_send_failed", device=self.device)

    def _read(self) -> None:
        assert self._control is not None  # noqa: S101
        try:
            packet = self._control.recv(wire.MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._dead()
            return
        message = wire.decode_for_front(packet)
        if isinstance(message, wire.WorkerReady):
            self._ready_at = time.monotonic()
            self._ever_ready = True
            self.device = message.device
            self.signatures = {model.name: model.signature for model in message.models}
            self.row_limits = {name: rows_that_fit(signature) for name, signature in self.signatures.items()}
            self._events.ready(self, message)
        elif self._asked:
            self._asked = False
            self._stop_watchdog()
            self._events.heard(self, message)
        elif (
            self._batch is not None
            and isinstance(message, wire.BatchDone | wire.BatchFailed)
            and message.batch == self._batch_number
        ):
            batch, self._batch = self._batch, None
            self._stop_watchdog()
            self._events.result(self, batch, message)

    def _hung(self) -> None:
        self._log.event("worker_hung", device=self.device, seconds=self._settings.batch_timeout_seconds)
        if self._process is not None:
            self._process.kill()  # its closed socket tells `_read`

    def _dead(self) -> None:
        batch, self._batch = self._batch, None
        self._asked = False
        lived = 0.0 if self._ready_at is None else time.monotonic() - self._ready_at
        self._failures = 1 if lived >= _HEALTHY_SECONDS else self._failures + 1
        self._release()
        process = self._process
        assert process is not None  # noqa: S101
        process.kill()
        self._loop.run_in_executor(None, process.wait)  # a device driver may hold a dying process for a while
        self._log.event("worker_died", device=self.device, pid=process.pid, held_items=len(batch.items) if batch else 0)
        if not self._ever_ready:  # the model does not load, or does not fit: starting again would not help
            self._events.gave_up(self)
            return
        delay = min(_FIRST_BACK_OFF_SECONDS * 2 ** (self._failures - 1), _LONGEST_BACK_OFF_SECONDS)
        self._restart = self._loop.call_later(delay, self.start)
        self._events.died(self, batch)

    def _release(self) -> None:
        self._ready_at = None
        self._stop_watchdog()
        if self._control is not None:
            self._loop.remove_reader(self._control)
            self._control.close()
            self._control = None

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None


def _worker_environment(environ: Mapping[str, str], torch_threads: int) -> dict[str, str]:
    """Nothing is fetched from anywhere, no library starts more threads than allowed, and oneDNN keeps few kernels."""
    threads = str(torch_threads)
    return {
        "LRU_CACHE_CAPACITY": _KERNELS_KEPT,  # torch's own, in front of oneDNN's
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": _KERNELS_KEPT,
        **environ,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }
