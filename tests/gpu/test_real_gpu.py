"""On a real GPU: the agent's readings make sense, and the engine's answers are those of the CPU."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from contract.engine.running_engine import EngineProcess

from trimtab_agent.nvml import Nvml
from trimtab_agent.snapshot import DriverState

SENTENCES = ["A trim tab moves a rudder.", "The rudder moves the ship.", "Rain is expected in Berlin tomorrow."]


def test_the_agent_reads_every_gpu_through_the_real_driver() -> None:
    seen = Nvml(time.monotonic).read()
    assert seen.state is DriverState.OK
    assert not seen.simulated
    for gpu in seen.gpus:
        assert gpu.uuid.startswith("GPU-")
        assert gpu.memory_total_bytes
        assert gpu.memory_used_bytes is not None
        assert 0 <= gpu.memory_used_bytes <= gpu.memory_total_bytes
        assert gpu.power_watts is None or 1 < gpu.power_watts < 2_000
        assert gpu.utilization_ratio is None or 0 <= gpu.utilization_ratio <= 1


def test_the_engine_answers_on_the_gpu_as_it_does_on_the_cpu(tmp_path: Path) -> None:
    body = {"input": SENTENCES, "model": "all-MiniLM-L6-v2"}
    vectors = {}
    for device in ("cpu", "cuda:0"):
        engine = EngineProcess(tmp_path / f"{device.replace(':', '-')}.log", TRIMTAB_DEVICE=device)
        try:
            answer = engine.embed(body)
            assert answer.status == 200, answer.body
            vectors[device] = np.array([row["embedding"] for row in answer.json()["data"]], np.float32)
        finally:
            engine.close()
    cosines = (vectors["cpu"] * vectors["cuda:0"]).sum(axis=1)
    assert cosines.min() > 0.999
