"""The worker's loop: receive a message, work on it, answer; ends when the front goes away."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from collections.abc import Mapping

import torch

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine import wire
from trimtab_engine.exported_archive import ExportedModel
from trimtab_engine.log import Log
from trimtab_engine.model_directory import Description, FactoryModel
from trimtab_engine.slots import Slot
from trimtab_engine.variant_messages import BuildVariant, DropVariant, ListLayers, ProfileModel, VariantRefused
from trimtab_engine.worker.batch import StickyDeviceError, example, run_batch, warm_up
from trimtab_engine.worker.declared import stand_in_for
from trimtab_engine.worker.exported import load_program
from trimtab_engine.worker.factory import load_own_model
from trimtab_engine.worker.memory import IDLE_SECONDS, WorkerMemory
from trimtab_engine.worker.model import Model, device_named, load_model
from trimtab_engine.worker.profile import profile_model
from trimtab_engine.worker.variants import Variants

_PR_SET_PDEATHSIG = 1
_MAX_ERROR_CHARACTERS = 300


class Worker:
    """Answers the front's messages, one at a time."""

    def __init__(
        self, config: wire.WorkerConfig, models: Mapping[str, Variants], memory: WorkerMemory, log: Log
    ) -> None:
        self._slot = Slot(config.memory_descriptor)
        self._models = models
        self.memory = memory
        self._fault = config.fault
        self._log = log

    def answer(self, message: wire.ToWorker) -> wire.FromWorker:
        """Do what a message asks for.

        Raises:
            StickyDeviceError: only a new process can go on.
        """
        variants = self._models.get(message.model)
        if isinstance(message, wire.RunBatch):
            return self._run(variants, message)
        if variants is None:
            variant = message.variant if isinstance(message, BuildVariant | DropVariant) else ""
            return VariantRefused(message.request, variant, "UnknownModel", "no model of that name")
        if isinstance(message, ListLayers):
            return variants.list_layers(message)
        if isinstance(message, ProfileModel):
            return profile_model(variants.model(BASE_VARIANT), message)
        if isinstance(message, BuildVariant):
            return variants.build(message)
        return variants.drop(message)

    def _run(self, variants: Variants | None, batch: wire.RunBatch) -> wire.BatchDone | wire.BatchFailed:
        if variants is None:
            return wire.BatchFailed(batch.batch, 0.0, "model_error", "UnknownModel")
        try:
            model = variants.model(batch.variant)
        except KeyError:
            return wire.BatchFailed(batch.batch, 0.0, "model_error", "UnknownVariant")
        if batch.measure:
            self.memory.begin()
        return self.memory.end(run_batch(model, self._slot, batch, self._fault, self._log))


def run_worker(config: wire.WorkerConfig, log: Log) -> int:
    """Load, warm up, serve until the front closes the socket. Returns the exit code."""
    _die_with(config.front_pid)
    began = time.perf_counter()
    torch.set_num_threads(config.torch_threads)
    control = socket.socket(fileno=config.control_descriptor)
    models = _load_all(config, log)
    if models is None:
        return 1
    device = device_named(config.device)
    worker = Worker(config, models, WorkerMemory(device, config.device_memory_fraction), log)
    os.close(config.memory_descriptor)
    loaded = [wire.LoadedModel(name, variants.model(BASE_VARIANT).signature) for name, variants in models.items()]
    ready = wire.WorkerReady(str(device), str(torch.__version__), time.perf_counter() - began, loaded)
    control.send(wire.encode(ready))
    control.settimeout(IDLE_SECONDS)
    while packet := _receive(control, worker.memory):
        try:
            control.send(wire.encode(worker.answer(wire.decode_for_worker(packet))))
        except StickyDeviceError as error:
            log.event("worker_device_lost", device=str(device), error=str(error)[:_MAX_ERROR_CHARACTERS])
            return 1
    return 0


def _receive(control: socket.socket, memory: WorkerMemory) -> bytes:
    """Wait for the next packet, and tidy up where none comes; empty when the front has closed the socket."""
    while True:
        try:
            return control.recv(wire.MAX_PACKET_BYTES)
        except TimeoutError:
            memory.idle()


def _load_all(config: wire.WorkerConfig, log: Log) -> dict[str, Variants] | None:
    """Return every model, warm, by name; None where one cannot be served: the log says which and why."""
    models: dict[str, Variants] = {}
    name = ""
    try:
        device = device_named(config.device)
        for description in config.models:
            name = description.name
            models[name] = _warm_model(description, device)
    except Exception as error:  # whatever a library raises over a file: the front ends, this line tells why
        log.event("model_refused", error=type(error).__name__, model=name, message=str(error)[:_MAX_ERROR_CHARACTERS])
        return None
    return models


def _warm_model(description: Description, device: torch.device) -> Variants:
    model = _load(description, device)
    warm_up(model)
    return Variants(model, example(model.signature), lambda other: stand_in_for(model, _load(other, device)))


def _load(description: Description, device: torch.device) -> Model:
    if isinstance(description, FactoryModel):
        return load_own_model(description.factory, device)
    if isinstance(description, ExportedModel):
        return load_program(description, device)
    return load_model(description, device)


def _die_with(front_pid: int) -> None:
    """Signals are the front's business; when it dies, even by SIGKILL, so does this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != front_pid:  # it died before prctl
        os._exit(0)
