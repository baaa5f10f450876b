"""An engine with little memory above its idle state: it never dies of growing inputs, and answers or refuses each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from contract.engine.conftest import EngineFactory
from contract.engine.running_engine import EngineProcess, Reply, v2_body

POISON = 29_000
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def tight(start_engine: EngineFactory) -> EngineProcess:
    """One with 1.15 times the idle engine: a batch of 64 long inputs takes more than three times that room.

    The idle one has just started: one that has served holds more.
    """
    limit = int(1.15 * start_engine().resident_bytes)
    return start_engine(TRIMTAB_MEMORY_LIMIT=str(limit), TRIMTAB_MAX_BATCH_SIZE="64", TRIMTAB_MAX_QUEUE_DELAY="50ms")


def test_growing_inputs_never_exceed_the_limit_and_each_is_answered_or_refused_with_a_reason(
    tight: EngineProcess,
) -> None:
    def send(words: int) -> Reply:
        return tight.infer(v2_body([f"{words} {row} " + "word " * words for row in range(16)]))

    replies = []
    with ThreadPoolExecutor(4) as pool:
        for words in (4, 30, 120, 240):
            replies += pool.map(send, [words] * 4)
    assert {reply.status for reply in replies} <= {200, 503}
    assert all(reply.status == 200 or reply.headers["trimtab-reason"] == "MemoryPressure" for reply in replies)
    assert sum(reply.status == 200 for reply in replies) >= 8
    assert tight.metric("trimtab_engine_worker_restarts_total") == 0
    used, limit = (tight.metric("trimtab_engine_memory_bytes", kind=kind) for kind in ("used", "limit"))
    assert used <= limit
    bytes_peak = next(
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{tight.worker_pid}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    assert bytes_peak + tight.front_bytes <= limit


def test_out_of_memory_splits_the_batch_and_only_the_guilty_input_fails(start_engine: EngineFactory) -> None:
    engine = start_engine(TRIMTAB_FAULT=f"out_of_memory_on_token:{POISON}", TRIMTAB_MAX_QUEUE_DELAY="300ms")

    def send(token: int) -> Reply:
        ids = {"name": "input_ids", "shape": [1, 3], "datatype": "INT64", "data": [[101, token, 102]]}
        return engine.infer({"inputs": [ids]})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(send, [7592 + n for n in range(5)] + [POISON] + [7600, 7601]))
    assert [reply.status for reply in replies] == [200] * 5 + [503] + [200] * 2
    assert replies[5].headers["trimtab-reason"] == "OutOfMemory"
    assert engine.metric("trimtab_engine_out_of_memory_total") == 4
    assert engine.metric("trimtab_engine_errors_total", reason="OutOfMemory", length_bucket="4") == 1
    assert engine.metric("trimtab_engine_worker_restarts_total") == 0
    assert [event["items"] for event in engine.events("out_of_memory")] == [8, 4, 2, 1]


def test_the_idle_front_takes_less_than_120_mebibytes(engine: EngineProcess) -> None:
    assert engine.front_bytes < 120 * MEBIBYTE


def test_a_worker_does_not_grow_with_each_number_of_tokens_that_it_has_not_seen(start_engine: EngineFactory) -> None:
    """With `LRU_CACHE_CAPACITY=1024 ONEDNN_PRIMITIVE_CACHE_CAPACITY=1024`, their defaults, it does: -rP prints it."""
    engine = start_engine()
    assert engine.infer(v2_body(["word " * 250])).status == 200
    before = engine.resident_bytes
    for words in range(1, 250):
        assert engine.infer(v2_body(["word " * words])).status == 200
    grown = (engine.resident_bytes - before) / MEBIBYTE
    print(f"front and worker grew by {grown:.0f} MiB over texts of 1 to 249 words")
    assert grown < 200
