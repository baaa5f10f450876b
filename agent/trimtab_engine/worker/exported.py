"""A `torch.export` archive in a worker: its tensors are found in the program, and checked against what is declared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass
from torch.utils import _pytree as pytree

from trimtab_engine.exported_archive import ExportedModel
from trimtab_engine.settings import MAX_BATCH_SIZE_BOUND
from trimtab_engine.signature import PADDED, Signature, TensorSpec, declare, in_words
from trimtab_engine.worker.model import Arrays

_ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_UNBOUNDED_LENGTH = 1 << 31


class ProgramModel:
    """An exported program. It has no tree whose layers could be changed, so no variants."""

    def __init__(self, program: ExportedProgram, signature: Signature, device: torch.device) -> None:
        self.signature = signature
        self.device = device
        self._call = move_to_device_pass(program, str(device)).module()
        self._in_spec = program.call_spec.in_spec

    def run(self, inputs: Arrays) -> Arrays:
        """Copy, call, name what comes out."""
        with torch.inference_mode():
            tensors = [torch.from_numpy(array.copy()).to(self.device) for array in inputs.values()]
            args, kwargs = pytree.tree_unflatten(tensors, self._in_spec)
            outputs = pytree.tree_leaves(self._call(*args, **kwargs))
            return {spec.name: out.cpu().numpy() for spec, out in zip(self.signature.outputs, outputs, strict=True)}


def load_program(described: ExportedModel, device: torch.device) -> ProgramModel:
    """Load the archive; nothing in it is unpickled beyond what `weights_only` allows.

    Raises:
        ValueError: its tensors cannot be batched, or are not those that are declared.
        Exception: whatever torch raises over the file.
    """
    with _only_weights():
        program = torch.export.load(described.archive)
    return ProgramModel(program, signature_of(program, described.declared), device)


def signature_of(program: ExportedProgram, declared: Signature | None) -> Signature:
    """Return the program's inputs and outputs per row, under the declared names where there are any.

    The first axis of each must be one dynamic axis, the batch's; one other dynamic axis is the rows' length.

    Raises:
        ValueError: they are not so, or the declaration is of other tensors.
    """
    facts = _Facts(program)
    inputs = [facts.spec(name, value) for name, value in facts.inputs]
    outputs = [facts.spec(name, value) for name, value in facts.outputs]
    longest = facts.max_length
    if declared is not None:
        for found, wanted in zip((inputs, outputs), (declared.inputs, declared.outputs), strict=True):
            _compare(found, wanted)
        if declared.max_length > longest:
            raise ValueError(f"max_length is {declared.max_length}; the program accepts 1 to {longest}")
        return declared
    if longest == _UNBOUNDED_LENGTH:
        raise ValueError("no bound of the rows' length is exported (Dim(..., max=N)) or declared as max_length")
    return declare(inputs, outputs, longest)


class _Facts:
    """What a program says of its tensors."""

    def __init__(self, program: ExportedProgram) -> None:
        signature = program.graph_signature
        values = {node.name: node.meta.get("val") for node in program.graph.nodes}
        self._ranges = {str(symbol): bounds for symbol, bounds in program.range_constraints.items()}
        self.inputs = [(str(name), values.get(str(name))) for name in signature.user_inputs]
        names = _output_names(program)
        self.outputs = [(name, values.get(str(node))) for name, node in zip(names, signature.user_outputs, strict=True)]
        self._batch: str | None = None
        self._length: str | None = None

    @property
    def max_length(self) -> int:
        """The largest length of a row; 1 where no axis is dynamic beside the batch's."""
        return 1 if self._length is None else self._highest(self._length)

    def spec(self, name: str, value: Any) -> TensorSpec:
        """Return a tensor without its batch axis."""
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{name!r} is {value!r:.40}; accepted are tensors")
        dtype = str(value.dtype).removeprefix("torch.")
        shape: tuple[Any, ...] = tuple(value.shape)
        if not shape or isinstance(shape[0], int):
            raise ValueError(
                f"{name!r} has shape {list(shape)} in the program; accepted is a dynamic first axis: "
                "export it with dynamic_shapes, such as {0: torch.export.Dim('batch')}"
            )
        self._check_batch(name, str(shape[0]))
        return TensorSpec(name, dtype, tuple(self._size(name, size) for size in shape[1:]))

    def _check_batch(self, name: str, symbol: str) -> None:
        if self._batch not in (None, symbol):
            raise ValueError(f"{name!r} has another first axis than those before; accepted is one for all, the batch's")
        self._batch = symbol
        bounds = self._ranges.get(symbol)
        if bounds is not None and (bounds.lower > 1 or self._highest(symbol) < MAX_BATCH_SIZE_BOUND):
            accepts = f"{bounds.lower} to {bounds.upper}"
            raise ValueError(f"the batch axis accepts {accepts} rows; accepted is 1 to {MAX_BATCH_SIZE_BOUND} or more")

    def _size(self, name: str, size: Any) -> int:
        if isinstance(size, int):
            return size
        symbol = str(size)
        if self._length not in (None, symbol) or symbol == self._batch or symbol not in self._ranges:
            raise ValueError(
                f"{name!r} has the dynamic axis {symbol}; accepted is one beside the batch's, the same in all"
            )
        self._length = symbol
        return PADDED

    def _highest(self, symbol: str) -> int:
        upper = self._ranges[symbol].upper
        return _UNBOUNDED_LENGTH if upper > _UNBOUNDED_LENGTH else int(upper)


def _output_names(program: ExportedProgram) -> list[str]:
    """Return the keys of a dict of tensors, else `output`, or `output_0` and so on."""
    spec = program.call_spec.out_spec
    count = len(program.graph_signature.user_outputs)
    if spec is not None and spec.type is dict and len(spec.context) == count:
        return [str(key) for key in spec.context]
    return ["output"] if count == 1 else [f"output_{place}" for place in range(count)]


def _compare(found: Sequence[TensorSpec], wanted: Sequence[TensorSpec]) -> None:
    same = len(found) == len(wanted) and all(
        (one.dtype, one.shape) == (other.dtype, other.shape) for one, other in zip(found, wanted, strict=True)
    )
    if not same:
        raise ValueError(f"declared are {in_words(wanted)}; the program has, in this order, {in_words(found)}")


@contextmanager
def _only_weights() -> Iterator[None]:
    """torch.export.load falls back to full unpickling; while this holds, torch.load does not."""
    before = os.environ.get(_ONLY_WEIGHTS)
    os.environ[_ONLY_WEIGHTS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ONLY_WEIGHTS]
        else:
            os.environ[_ONLY_WEIGHTS] = before
