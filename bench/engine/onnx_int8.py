"""`python -m bench.engine.onnx_int8 BATCH`: MiniLM as ONNX Runtime computes it in 8 bits beside the engine's fp32.

Runs in the environment of `requirements/rivals/onnx.txt`; prints the ratio of their speeds and the mean cosine of their
answers as JSON. Every linear layer is quantized (`quantize_dynamic`, per channel): no gate chose them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from bench.engine.compiled import Batch, Embedding, batches_of, beside, engine_model


def main() -> int:
    """Export, quantize, and time both in turns on the same batches."""
    torch.set_num_threads(1)
    batches = batches_of(int(sys.argv[1]))
    eager = engine_model()
    with tempfile.TemporaryDirectory() as folder:
        session = _session(Path(folder))

    def run(batch: Batch) -> np.ndarray:
        found = session.run(None, {"ids": batch["ids"].astype(np.int64), "mask": batch["mask"].astype(np.int64)})[0]
        return np.asarray(found, np.float32)

    print(beside(lambda batch: eager.run(batch)["embedding"], run, batches))
    return 0


def _session(folder: Path) -> onnxruntime.InferenceSession:
    example = (torch.tensor([[101, 7592, 2088, 102], [101, 7592, 102, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]))
    axes = {0: "rows", 1: "tokens"}
    torch.onnx.export(
        Embedding("eager").eval(), example, str(folder / "float.onnx"), input_names=["ids", "mask"],
        output_names=["embedding"], dynamic_axes={"ids": axes, "mask": axes, "embedding": {0: "rows"}}, dynamo=False,
    )  # fmt: skip
    quantize_dynamic(folder / "float.onnx", folder / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(folder / "int8.onnx"), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    sys.exit(main())
