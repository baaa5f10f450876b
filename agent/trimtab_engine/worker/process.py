"""The worker's loop: receive a batch, run it, answer; ends when the front goes away."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time

import numpy as np
import torch

from trimtab_engine import wire
from trimtab_engine.log import Log
from trimtab_engine.settings import Fault
from trimtab_engine.slots import Slot
from trimtab_engine.worker.memory import IDLE_SECONDS, WorkerMemory
from trimtab_engine.worker.model import EmbeddingModel, load_model

_PR_SET_PDEATHSIG = 1
_FAULT_EXIT_CODE = 70
_MAX_ERROR_CHARACTERS = 300


class StickyDeviceError(Exception):
    """The device's context is broken; only a new process helps."""


def run_worker(config: wire.WorkerConfig, log: Log) -> int:
    """Load, warm up, serve batches until the front closes the socket. Returns the exit code."""
    _die_with(config.front_pid)
    began = time.perf_counter()
    torch.set_num_threads(config.torch_threads)
    control = socket.socket(fileno=config.control_descriptor)
    slot = Slot(config.layout, config.memory_descriptor)
    os.close(config.memory_descriptor)
    try:
        model = load_model(config.description, config.device)
        _warm_up(model, min(16, config.layout.tokens))
    except Exception as error:  # whatever a library raises over a file: the front ends, this line tells why
        log.event("model_refused", error=type(error).__name__, message=str(error)[:_MAX_ERROR_CHARACTERS])
        return 1
    device = str(model.device)
    control.send(wire.encode(wire.WorkerReady(device, str(torch.__version__), time.perf_counter() - began)))
    memory = WorkerMemory(model.device, config.device_memory_fraction)
    control.settimeout(IDLE_SECONDS)
    while packet := _receive(control, memory):
        try:
            message = wire.decode_for_worker(packet)
            if message.measure:
                memory.begin()
            answer = _run(model, slot, message, config.fault, log)
            control.send(wire.encode(memory.end(answer)))
        except StickyDeviceError as error:
            log.event("worker_device_lost", device=device, error=str(error)[:_MAX_ERROR_CHARACTERS])
            return 1
    return 0


def _receive(control: socket.socket, memory: WorkerMemory) -> bytes:
    """Wait for the next packet, and tidy up where none comes; empty when the front has closed the socket."""
    while True:
        try:
            return control.recv(wire.MAX_PACKET_BYTES)
        except TimeoutError:
            memory.idle()


def _run(
    model: EmbeddingModel, slot: Slot, batch: wire.RunBatch, fault: Fault | None, log: Log
) -> wire.BatchDone | wire.BatchFailed:
    ids, mask = slot.ids(batch.rows, batch.tokens), slot.mask(batch.rows, batch.tokens)
    began = time.perf_counter()
    try:
        if fault is not None and bool((ids == fault.token).any()):
            _inject(fault)
        embeddings = model.embed(ids, mask)
        ran = time.perf_counter()
        np.copyto(slot.output(batch.rows), embeddings)
    except (RuntimeError, ValueError, IndexError, MemoryError) as error:
        failure = _classify(error)
        log.event("batch_failed", kind=failure, rows=batch.rows, tokens=batch.tokens, error=type(error).__name__)
        return wire.BatchFailed(batch.batch, time.perf_counter() - began, failure, type(error).__name__)
    finite = np.isfinite(embeddings).all(axis=1)
    bad_rows = [] if finite.all() else [int(row) for row in np.flatnonzero(~finite)]
    ended = time.perf_counter()
    return wire.BatchDone(batch.batch, ended - began, bad_rows, ended - ran)


def _classify(error: Exception) -> wire.FailureKind:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        return "out_of_memory"
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in text:
        raise StickyDeviceError(text) from error
    return "model_error"


def _warm_up(model: EmbeddingModel, tokens: int) -> None:
    """One pass, so that the first request does not pay for lazily made threads, workspaces and kernels."""
    model.embed(np.ones((1, tokens), np.int32), np.ones((1, tokens), np.uint8))


def _inject(fault: Fault) -> None:
    if fault.kind == "exit":
        os._exit(_FAULT_EXIT_CODE)
    if fault.kind == "out_of_memory":
        raise torch.OutOfMemoryError("injected by TRIMTAB_FAULT")
    raise ValueError("injected by TRIMTAB_FAULT")


def _die_with(front_pid: int) -> None:
    """Signals are the front's business; when it dies, even by SIGKILL, so does this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != front_pid:  # it died before prctl
        os._exit(0)
