"""How to serve a model of your own: write an object like this, and a factory that returns it.

    import numpy as np
    from trimtab_engine.model_api import TensorSpec

    class Scorer:
        inputs = [TensorSpec("features", "float32", (3,))]
        outputs = [TensorSpec("score", "float32", ())]

        def __call__(self, inputs):
            return {"score": inputs["features"].sum(axis=1)}

    def load():
        return Scorer()

`trimtab-engine serve my_models:load` serves it. The factory runs once in the worker process; one that has a parameter
`device` is given the device's name, such as `cpu` or `cuda:0`. This module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trimtab_engine.signature import TensorSpec

__all__ = ["ServedModel", "TensorSpec"]


class ServedModel(Protocol):
    """What a factory returns.

    The object may also have:

    * `max_length: int`, the largest size of a padded axis (-1 in a shape); required where there is one.
    * `module: torch.nn.Module`, or be one itself: then it is moved to the device, set to eval and called with torch
      tensors under inference mode, and variants (such as a quantized one) are made from the module. Without it the
      call gets numpy arrays.
    * `preprocess(row)` and `postprocess(row)`: a row's arrays by name, without the batch axis, to arrays by name. They
      run in threads beside the model's. The inputs declared are what `preprocess` takes, and what it returns for the
      rows of a batch is stacked for the call; the outputs declared are those of `postprocess`.
    """

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]

    def __call__(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Compute a batch: tensors by name, batch axis first, in and out. Row i of an output answers row i."""
        ...
