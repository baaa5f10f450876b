"""A hundred changes of the settings under full load: no request is dropped, reordered or mixed up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract.engine.conftest import EngineFactory, listening_agent
from contract.engine.pipelined_load import CONNECTIONS, DEPTH, TOLERANCE, PipelinedLoad, Vectors, separation
from contract.engine.running_engine import WORDS, EngineProcess, random_bert, v2_body
from fakes.engine_agent import EngineAgent, a_document

CHANGES = 100
ANSWERS = 20_000
OUTSTANDING = CONNECTIONS * DEPTH
PATH = "/v2/models/small/infer"
SENTENCES = [f"{WORDS[n % 7]} {WORDS[n % 11]} {WORDS[n % 18]} number {n}" for n in range(150)]

# A BERT that is small enough for thousands of answers per second, with weights wide enough to tell sentences apart.
SMALL_BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}


@pytest.fixture(scope="module")
def small_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "small"
    random_bert(directory, **SMALL_BERT)
    return directory


def learn(engine: EngineProcess) -> Vectors:
    """Each sentence computed alone, with the cache off."""
    return {text: engine.infer(v2_body([text]), model="small").vectors()[0] for text in SENTENCES}


def changes() -> Iterator[dict[str, Any]]:
    """Settings of every kind, each different from the one before: the cache goes on, off, and is cut short."""
    choice = random.Random(4)
    last: dict[str, Any] = {}
    while True:
        settings = {
            "maxBatchSize": choice.choice((1, 2, 4, 8, 16, 32, 64, 256)),
            "maxQueueDelay": choice.choice(("0ms", "1ms", "5ms", "10ms")),
            "cacheMemory": choice.choice(("0", "16Ki", "64Ki", "4Mi")),
        }
        if settings != last:
            last = settings
            yield settings


async def change(agent: EngineAgent, document: dict[str, Any]) -> None:
    """Serve a document and wait until the engine says that it is in force."""
    seen = len(agent.reports)
    agent.serve(document)
    async with asyncio.timeout(30):
        while not any(report.body["version"] == document["version"] for report in agent.reports[seen:]):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert agent.reports[-1].body["refused"] == []


async def answers_per_second(engine: EngineProcess, expected: Vectors, seconds: float) -> float:
    """The rate of the closed loop with the settings as they are."""
    load = PipelinedLoad(engine.port, PATH, expected)
    running, began = asyncio.create_task(load.run()), time.monotonic()
    await asyncio.sleep(seconds)
    rate = load.tally.answered / (time.monotonic() - began)
    load.stop.set()
    await running
    return rate


async def test_a_hundred_changes_under_load_drop_reorder_and_mix_nothing(
    start_engine: EngineFactory, small_bert: Path, agent: EngineAgent
) -> None:
    engine = start_engine(TRIMTAB_MODEL=str(small_bert), TRIMTAB_MODEL_NAME="small", **agent.environment)
    expected = learn(engine)
    assert separation(expected) > 10 * TOLERANCE
    before = await answers_per_second(engine, expected, 3.0)

    load, in_flight, made = PipelinedLoad(engine.port, PATH, expected), 0, 0
    running, began = asyncio.create_task(load.run()), time.monotonic()
    for generation, settings in enumerate(changes(), start=2):
        outstanding = load.tally.outstanding
        await change(agent, a_document(settings, generation=generation))
        made += 1
        in_flight += min(outstanding, load.tally.outstanding) >= 0.8 * OUTSTANDING
        if made >= CHANGES and load.tally.answered >= ANSWERS:
            break
        assert time.monotonic() - began < 200, f"{made} changes, {load.tally}"
    rate = load.tally.answered / (time.monotonic() - began)
    load.stop.set()
    await running

    await change(agent, a_document({}, generation=made + 2))
    after = await answers_per_second(engine, expected, 3.0)
    tally = load.tally
    print(f"{made} changes, {in_flight} under load, {tally}, {rate:.0f}/s of {before:.0f}/s and {after:.0f}/s")
    assert in_flight >= 0.95 * made, "void: too few changes met requests in flight"
    assert rate >= 0.8 * min(before, after), "void: the load was not that of the capacity"
    assert (tally.dropped, tally.reordered, tally.mixed, tally.outstanding) == (0, 0, 0, 0)
    outcomes = engine.outcomes()
    assert {name: count for name, count in outcomes.items() if count} == {"ok": outcomes["ok"]}
    assert engine.metric("trimtab_engine_settings_changes_total", outcome="applied") == made + 2
    assert engine.metric("trimtab_engine_cache_hits_total") == tally.hits > 0
    assert engine.metric("trimtab_engine_cache_bytes") == 0


def test_a_shorter_delay_lets_a_waiting_batch_go_at_once(
    start_engine: EngineFactory, small_bert: Path, tmp_path: Path
) -> None:
    with listening_agent(tmp_path, {"maxQueueDelay": "10s"}) as agent:
        engine = start_engine(TRIMTAB_MODEL=str(small_bert), TRIMTAB_MODEL_NAME="small", **agent.environment)
        engine.wait_for(lambda: engine.ask("GET", "/v2/health/ready").status == 200, 30)
        with ThreadPoolExecutor(1) as pool:
            began = time.monotonic()
            waiting = pool.submit(engine.infer, v2_body(["one"]), model="small")
            engine.wait_for(lambda: engine.metric("trimtab_engine_queue_requests") == 1, 5)
            agent.serve(a_document({"maxQueueDelay": "1ms"}, generation=2))
            assert waiting.result().status == 200
            assert time.monotonic() - began < 8


def test_a_batch_of_the_largest_size_is_computed_right(
    start_engine: EngineFactory, small_bert: Path, tmp_path: Path
) -> None:
    with listening_agent(tmp_path, {"maxBatchSize": 256, "maxQueueDelay": "1s"}) as agent:
        engine = start_engine(TRIMTAB_MODEL=str(small_bert), TRIMTAB_MODEL_NAME="small", **agent.environment)
        engine.wait_for(lambda: engine.ask("GET", "/v2/health/ready").status == 200, 30)
        texts = [f"sentence {number} of 256" for number in range(256)]
        together = engine.infer(v2_body(texts), model="small").vectors()
        assert engine.metric("trimtab_engine_batch_size_bucket", le="192.0") == 0
        assert engine.metric("trimtab_engine_batch_size_count") == 1
        for number in (0, 100, 255):
            alone = engine.infer(v2_body([texts[number]]), model="small").vectors()[0]
            np.testing.assert_allclose(together[number], alone, rtol=0, atol=TOLERANCE)
