"""On a real GPU: 8-bit layers compute rightly, are offered, and a plan of them goes through search, gate and swap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from contract.engine.conftest import listening_agent
from contract.engine.running_engine import EngineProcess, random_bert, v2_body
from contract.engine.variant_clients import BATCHING_NOISE, SENTENCES, Clients, references
from fakes.engine_agent import EngineAgent, a_document
from torch import nn

from trimtab_engine.variant_messages import Candidate
from trimtab_engine.worker.cublas_linear import CublasFloat8Linear, CublasInt8Linear, CublasLinear
from trimtab_engine.worker.layers import probe

DEVICE = torch.device("cuda:0")
MODEL = "all-MiniLM-L6-v2"

BATCH = 24  # inputs of a request, and of each captured set: no larger batch is timed
LONG_TEXTS = [" ".join(SENTENCES[(number + each) % len(SENTENCES)] for each in range(4)) for number in range(120)]

# Wide enough, and its inputs long enough, that products and not launches take the time.
WIDE_BERT = {
    "hidden_size": 2048,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "intermediate_size": 8192,
    "initializer_range": 0.05,
}


@pytest.fixture(scope="module")
def wide_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "wide"
    random_bert(directory, **WIDE_BERT)
    return directory


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[EngineAgent]:
    with listening_agent(tmp_path, {}) as agent:
        yield agent


def test_both_formats_of_cublas_work_on_this_gpu_and_that_of_the_cpu_does_not() -> None:
    candidates, unavailable = probe(DEVICE)
    assert candidates == [Candidate("int8_dynamic", "cublas"), Candidate("float8_dynamic", "cublas")]
    assert unavailable[0] == "int8_dynamic onednn: works on cpu only, not on cuda"


@pytest.mark.parametrize(("kernel", "most_error"), [(CublasInt8Linear, 0.02), (CublasFloat8Linear, 0.05)])
@pytest.mark.parametrize("rows", [1, 16, 17, 300])
def test_a_layer_in_8_bits_is_near_the_exact_one_for_any_number_of_rows(
    kernel: type[CublasLinear], most_error: float, rows: int
) -> None:
    torch.manual_seed(rows)
    layers = [nn.Linear(384, width, device=DEVICE) for width in (384, 1536)]
    x = torch.randn(rows, 384, device=DEVICE)
    with torch.inference_mode():
        exact = torch.cat([layer.double()(x.double()) for layer in layers], 1)
        found = kernel(*(layer.float() for layer in layers))(x)
    assert found.dtype == torch.float32
    assert float((found - exact).norm() / exact.norm()) < most_error


@pytest.mark.parametrize("quantization", ["FP8", "Int8"])
def test_a_plan_is_found_gated_and_swapped_in_under_requests_and_taken_back(
    tmp_path: Path, wide_bert: Path, agent: EngineAgent, quantization: str
) -> None:
    engine = EngineProcess(
        tmp_path / "log", TRIMTAB_MODEL=str(wide_bert), TRIMTAB_MODEL_NAME=MODEL, TRIMTAB_DEVICE="cuda:0",
        TRIMTAB_CAPTURE_INPUTS=str(BATCH), TRIMTAB_MAX_BATCH_SIZE="32", **agent.environment,
    )  # fmt: skip
    try:
        expected = dict([references(engine, LONG_TEXTS, BATCH)])
        with Clients(engine, LONG_TEXTS, BATCH) as clients:
            agent.serve(a_document({"quantization": quantization, "minAccuracy": "0.98"}, generation=2))
            engine.wait_for(lambda: [e for e in engine.events("variant") if e["phase"] in ("InForce", "Refused")], 100)
            standing = engine.events("variant")[-1]
            print(standing)
            assert standing["phase"] == "InForce", str(standing)
            assert standing["accuracy_low"] >= 0.98
            assert standing["speedup_low"] > 1.0
            version, variant = references(engine, LONG_TEXTS, BATCH)
            assert version == f"1/{standing['in_force']}"
            expected[version] = variant
            agent.serve(a_document({}, generation=3))
            engine.wait_for(lambda: engine.infer(v2_body(["x"])).headers["trimtab-version"] == "1/base", 10)
    finally:
        engine.close()
    assert clients.failed == []
    assert set(clients.answers) == set(expected)
    base = expected["1/base"]
    assert np.abs(base - variant).max(axis=1).min() > 10 * BATCHING_NOISE, "the two are told apart"
    for stamped, own, other in (("1/base", base, variant), (version, variant, base)):
        for row, answer in clients.answers[stamped]:
            assert np.linalg.norm(answer - own[row]) < np.linalg.norm(answer - other[row])


def test_a_format_that_is_not_faster_here_is_refused_and_the_original_goes_on(
    tmp_path: Path, agent: EngineAgent
) -> None:
    engine = EngineProcess(tmp_path / "log", TRIMTAB_DEVICE="cuda:0", TRIMTAB_CAPTURE_INPUTS="16", **agent.environment)
    try:
        references(engine)
        agent.serve(a_document({"quantization": "FP8", "minAccuracy": "0.98"}, generation=2))
        engine.wait_for(lambda: [e for e in engine.events("variant") if e["phase"] in ("InForce", "Refused")], 100)
        standing = engine.events("variant")[-1]
        print(standing)
        assert standing["phase"] == "Refused"
        assert standing["reason"].startswith("NotFaster"), standing
        assert references(engine)[0] == "1/base"
    finally:
        engine.close()
