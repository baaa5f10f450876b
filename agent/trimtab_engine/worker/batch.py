"""One batch in the worker: from the slot through the model and back, and what its failures are called."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trimtab_engine import wire
from trimtab_engine.log import Log
from trimtab_engine.settings import Fault
from trimtab_engine.signature import PADDED, Signature, TensorSpec
from trimtab_engine.slots import Slot, TensorPlace, end_of, place_batch, rows_that_fit
from trimtab_engine.worker.compiles import compile_seconds
from trimtab_engine.worker.model import Arrays, Model

_FAULT_EXIT_CODE = 70
_WARM_UP_LENGTH = 16


class StickyDeviceError(Exception):
    """The device's context is broken; only a new process helps."""


class WrongOutputError(ValueError):
    """What the model gave is not what it declares."""


def run_batch(
    model: Model, slot: Slot, batch: wire.RunBatch, fault: Fault | None, log: Log
) -> wire.BatchDone | wire.BatchFailed:
    """Run the batch that lies in the slot and put the outputs behind it.

    Raises:
        StickyDeviceError: the device is lost.
    """
    began, compiled = time.perf_counter(), compile_seconds()
    try:
        inputs = {place.name: slot.view(place) for place in batch.inputs}
        if fault is not None and bool((inputs[batch.inputs[0].name] == fault.token).any()):
            _inject(fault)
        places, outputs = _checked(model, batch.inputs, model.run(inputs))
        ran = time.perf_counter()
        for place, output in zip(places, outputs, strict=True):
            np.copyto(slot.view(place), output)
        copy_seconds = time.perf_counter() - ran
    except Exception as error:  # whatever a model's own code raises
        failure = _classify(error)
        shape = str(batch.inputs[0].shape)
        log.event("batch_failed", kind=failure, model=batch.model, shape=shape, error=type(error).__name__)
        return wire.BatchFailed(batch.batch, time.perf_counter() - began, failure, type(error).__name__)
    bad_rows = _rows_not_finite(outputs)
    seconds, total = time.perf_counter() - began, compile_seconds()
    compiling = None if total is None else total - (compiled or 0.0)
    return wire.BatchDone(batch.batch, seconds, places, bad_rows, copy_seconds, compile_seconds=compiling)


def warm_up(model: Model) -> None:
    """One pass, so that the first request does not pay for lazily made threads, workspaces and kernels.

    Raises:
        ValueError: what it gives is not what it declares, or a row does not fit into the slot.
    """
    signature = model.signature
    if not rows_that_fit(signature):
        raise ValueError(f"a row of {signature.largest_row_bytes} bytes does not fit into the shared memory")
    _checked(model, _example_places(signature), model.run(example(signature)))


def example(signature: Signature) -> Arrays:
    """Return one row of ones: a valid input for warming up, probing and profiling."""
    return {place.name: np.ones(place.shape, place.dtype) for place in _example_places(signature)}


def _example_places(signature: Signature) -> list[TensorPlace]:
    return place_batch(signature.inputs, 1, min(_WARM_UP_LENGTH, signature.max_length))


def _checked(model: Model, inputs: list[TensorPlace], outputs: Arrays) -> tuple[list[TensorPlace], list[NDArray[Any]]]:
    rows, length = inputs[0].shape[0], _length(model.signature.inputs, inputs)
    places = place_batch(model.signature.outputs, rows, length, end_of(inputs))
    arrays = []
    for place in places:
        output = outputs.get(place.name)
        if output is None:
            raise WrongOutputError(f"output {place.name!r} is missing; the model gave {sorted(outputs)}")
        if output.dtype != place.dtype or output.shape != place.shape:
            raise WrongOutputError(
                f"output {place.name!r} is {output.dtype}{list(output.shape)}; "
                f"declared is {place.dtype}{list(place.shape)}, batch axis first"
            )
        arrays.append(output)
    return places, arrays


def _length(specs: tuple[TensorSpec, ...], places: list[TensorPlace]) -> int:
    for spec, place in zip(specs, places, strict=True):
        if spec.padded:
            return place.shape[1 + spec.shape.index(PADDED)]
    return 1


def _rows_not_finite(outputs: list[NDArray[Any]]) -> list[int]:
    bad: set[int] = set()
    for output in outputs:
        if output.dtype.kind == "f":
            finite = np.isfinite(output)
            if not finite.all():
                bad.update(int(row) for row in np.flatnonzero(~finite.reshape(len(output), -1).all(axis=1)))
    return sorted(bad)


def _classify(error: Exception) -> wire.FailureKind:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.empty_cache()
        return "out_of_memory"
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in text:
        raise StickyDeviceError(text) from error
    return "model_error"


def _inject(fault: Fault) -> None:
    if fault.kind == "exit":
        os._exit(_FAULT_EXIT_CODE)
    if fault.kind == "out_of_memory":
        raise torch.OutOfMemoryError("injected by TRIMTAB_FAULT")
    raise ValueError("injected by TRIMTAB_FAULT")
