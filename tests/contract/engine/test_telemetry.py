"""What an engine tells of itself is what it did: passes, phases, waste, and the periods of its settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from contract.engine.conftest import EngineFactory
from contract.engine.running_engine import EngineProcess, import_path, v2_body
from fakes.engine_agent import EngineAgent, a_document

COMPILED_MODEL = """
import torch
from trimtab_engine.model_api import TensorSpec

class Doubled:
    '''Compiled anew for each number of rows. The compiler's own backend: no C++ compiler is needed.'''
    inputs = [TensorSpec("x", "float32", (2,))]
    outputs = [TensorSpec("y", "float32", (2,))]
    def __init__(self):
        self.run = torch.compile(lambda x: x * 2, backend="eager", dynamic=False)
    def __call__(self, inputs):
        return {"y": self.run(torch.from_numpy(inputs["x"].copy())).numpy()}
"""


@pytest.fixture(scope="module")
def compiled(
    start_engine: EngineFactory, agent: EngineAgent, tmp_path_factory: pytest.TempPathFactory
) -> EngineProcess:
    folder: Path = tmp_path_factory.mktemp("models")
    (folder / "compiled.py").write_text(COMPILED_MODEL)
    return start_engine(
        PYTHONPATH=import_path(folder),
        TRIMTAB_MODEL="compiled:Doubled",
        TRIMTAB_MODEL_NAME="compiled",
        TRIMTAB_LATENCY_OBJECTIVES="7ms,33s",
        **agent.environment,
    )


def double(engine: EngineProcess, rows: int) -> None:
    tensor = {"name": "x", "shape": [rows, 2], "datatype": "FP32", "data": [1.5] * (2 * rows)}
    assert engine.infer({"inputs": [tensor]}, model="compiled").json()["outputs"][0]["data"] == [3.0] * (2 * rows)


def counts(engine: EngineProcess, name: str) -> tuple[float, float]:
    """Of the current and the previous period."""
    current, previous = (engine.metric(f"trimtab_engine_{name}", settings=side) for side in ("current", "previous"))
    return current, previous


def test_a_shape_that_is_compiled_while_serving_is_booked_as_waste(compiled: EngineProcess) -> None:
    double(compiled, 1)
    before = compiled.metric("trimtab_engine_waste_seconds_total", kind="recompiles")
    double(compiled, 1)
    assert compiled.metric("trimtab_engine_waste_seconds_total", kind="recompiles") == before
    busy = compiled.metric("trimtab_engine_worker_busy_seconds_total")
    double(compiled, 3)
    wasted = compiled.metric("trimtab_engine_waste_seconds_total", kind="recompiles") - before
    assert 0 < wasted < compiled.metric("trimtab_engine_worker_busy_seconds_total") - busy


def test_each_side_of_a_change_of_settings_has_its_own_requests_and_the_counters_go_on(
    compiled: EngineProcess, agent: EngineAgent
) -> None:
    for _ in range(5):
        double(compiled, 1)
    total = compiled.metric("trimtab_engine_request_seconds_count")
    seconds = compiled.metric("trimtab_engine_request_seconds_sum")
    items = compiled.metric("trimtab_engine_batch_size_sum")
    agent.serve(a_document({"maxBatchSize": 2}, generation=2))
    compiled.wait_for(lambda: compiled.metric("trimtab_engine_setting", name="max_batch_size") == 2)
    for _ in range(3):
        double(compiled, 4)  # two batches
    assert counts(compiled, "period_request_seconds_gcount") == (3, total)
    assert counts(compiled, "period_batch_size_gcount") == (6, total)
    assert counts(compiled, "period_batch_size_gsum") == (12, items)
    assert compiled.metric("trimtab_engine_period_request_seconds_gsum", settings="previous") == seconds
    assert compiled.metric("trimtab_engine_request_seconds_count") == total + 3
    assert compiled.metric("trimtab_engine_request_seconds_bucket", le="33.0") == total + 3


def test_the_phases_of_the_passes_add_up_and_nothing_is_told_that_was_not_measured(
    engine: EngineProcess,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: engine.infer(v2_body(["word " * (1 + number % 30)] * 3)), range(64)))
    text = engine.ask("GET", "/metrics").body.decode()
    phases = {
        phase: engine.metric("trimtab_engine_phase_seconds_total", phase=phase)
        for phase in ("tokenize", "queue", "copy_in", "pass", "copy_out", "handover", "answer")
    }
    assert all(seconds > 0 for seconds in phases.values()), phases
    assert phases["pass"] + phases["copy_out"] == pytest.approx(
        engine.metric("trimtab_engine_batch_seconds_sum"), rel=1e-6
    )
    assert engine.metric("trimtab_engine_batch_tokens_total", kind="padding") > 0
    assert engine.metric("trimtab_engine_batch_prediction_ratio_count") > 0
    assert (
        0 < engine.metric("trimtab_engine_idle_gap_seconds_count") <= engine.metric("trimtab_engine_batch_size_count")
    )
    assert 'kind="recompiles"' not in text
    assert 'settings="previous"' not in text
