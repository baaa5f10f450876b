"""Encoders that are no BERT are computed by transformers, in the worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from contract.engine.conftest import EngineFactory


def test_a_distilbert_directory_is_served_as_transformers_computes_it(
    start_engine: EngineFactory, reference_directory: Path
) -> None:
    engine = start_engine(TRIMTAB_MODEL=str(reference_directory / "small-distilbert"), TRIMTAB_MODEL_NAME="small")
    ids = {"name": "input_ids", "shape": [1, 5], "datatype": "INT64", "data": [[101, 7592, 2088, 102, 5]]}
    mask = {"name": "attention_mask", "shape": [1, 5], "datatype": "INT64", "data": [[1, 1, 1, 1, 0]]}
    vectors = engine.infer({"inputs": [ids, mask]}, model="small").vectors()
    np.testing.assert_allclose(vectors, np.load(reference_directory / "small.npy"), rtol=0, atol=2e-6)
