"""A declared model that is to stand in for the original: what is known before it is loaded, and whether it fits."""

from __future__ import annotations

from pathlib import Path

from trimtab_engine.exported_archive import ExportedModel
from trimtab_engine.model_directory import Description, ModelDescription
from trimtab_engine.signature import Signature, in_words
from trimtab_engine.worker.batch import warm_up
from trimtab_engine.worker.layers import PlanError
from trimtab_engine.worker.model import Model


def weight_file_bytes(description: Description) -> int:
    """Return the size of the weights' files, a lower bound of what loading takes; 0 for what says nothing of it."""
    if isinstance(description, ExportedModel):
        return Path(description.archive).stat().st_size
    if not isinstance(description, ModelDescription):
        return 0
    return sum(path.stat().st_size for path in Path(description.directory).glob("*.safetensors"))


def stand_in_for(original: Model, other: Model) -> Model:
    """Return the other model, warm.

    Raises:
        PlanError: OutputsDiffer, with what it takes or gives otherwise than the original.
    """
    difference = _difference(original.signature, other.signature)
    if difference:
        raise PlanError("OutputsDiffer", difference)
    warm_up(other)
    return other


def _difference(original: Signature, other: Signature) -> str:
    for kind, specs, others in (
        ("takes", original.inputs, other.inputs),
        ("gives", original.outputs, other.outputs),
    ):
        if specs != others:
            return f"it {kind} {in_words(others)}; the original {kind} {in_words(specs)}"
    if other.max_length < original.max_length:
        return f"its longest input is {other.max_length}; that of the original {original.max_length}"
    return ""
