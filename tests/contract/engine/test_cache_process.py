"""The response cache of a real engine: hits without the worker, counted per item, inside the budget."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from contract.engine.conftest import EngineFactory
from contract.engine.running_engine import MODEL, TEXTS, v2_body


def test_a_hit_is_served_without_the_worker_and_equals_the_computed_answer(start_engine: EngineFactory) -> None:
    engine = start_engine(TRIMTAB_CACHE_BYTES="16Ki")
    computed = engine.infer(v2_body(["a", "b"]))
    assert computed.headers["trimtab-cache"] == "mm"
    part = engine.infer(v2_body(["b", "c", "a"]))
    assert part.headers["trimtab-cache"] == "hmh"
    np.testing.assert_array_equal(part.vectors()[[2, 0]], computed.vectors())

    engine.signal_worker(signal.SIGSTOP)
    try:
        held = engine.infer(v2_body(["a", "b"]))
        tokens = engine.embed({"model": MODEL, "input": "a"}).json()["usage"]["prompt_tokens"]
    finally:
        engine.signal_worker(signal.SIGCONT)
    assert (held.status, held.headers["trimtab-cache"], tokens) == (200, "hh", 3)
    np.testing.assert_array_equal(held.vectors(), computed.vectors())
    assert engine.metric("trimtab_engine_cache_hits_total") == 5
    assert engine.metric("trimtab_engine_cache_misses_total") == 3

    for start in range(0, 48, 8):
        assert engine.infer(v2_body(TEXTS[start : start + 8])).status == 200
    assert 0 < engine.metric("trimtab_engine_cache_bytes") <= 16384
    assert engine.metric("trimtab_engine_cache_limit_bytes") == 16384
    assert engine.metric("trimtab_engine_cache_evictions_total") > 30
    assert engine.infer(v2_body(TEXTS[:1])).headers["trimtab-cache"] == "m"


def test_equal_requests_at_the_same_time_are_computed_once_and_each_keeps_its_own_deadline(
    start_engine: EngineFactory,
) -> None:
    engine = start_engine(TRIMTAB_CACHE_BYTES="1Mi")
    engine.signal_worker(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(4) as clients:
            first = clients.submit(engine.infer, v2_body(["a"]))
            engine.wait_for(lambda: engine.metric("trimtab_engine_inflight_requests") == 1)
            others = [clients.submit(engine.infer, v2_body(["a"])) for _ in range(2)]
            engine.wait_for(lambda: engine.metric("trimtab_engine_cache_shared_total") == 2)
            engine.signal_worker(signal.SIGCONT)
            answers = [future.result(30) for future in (first, *others)]
    finally:
        engine.signal_worker(signal.SIGCONT)
    assert [answer.headers["trimtab-cache"] for answer in answers] == ["m", "s", "s"]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer.vectors(), answers[0].vectors())
    assert engine.metric("trimtab_engine_queue_requests") == 0
