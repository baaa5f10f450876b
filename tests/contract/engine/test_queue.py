"""Bounded queue, deadlines and clients that leave, with the worker stopped so that nothing moves."""

from __future__ import annotations

import json
import math
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from contract.engine.running_engine import INFER, TEXTS, TOLERANCE, EngineProcess, Reply, v2_body
from numpy.typing import NDArray


@contextmanager
def stopped_worker(engine: EngineProcess) -> Iterator[None]:
    engine.signal_worker(signal.SIGSTOP)
    try:
        yield
    finally:
        engine.signal_worker(signal.SIGCONT)


def increments(engine: EngineProcess, outcome: str) -> Callable[[], float]:
    before = engine.metric("trimtab_engine_requests_total", outcome=outcome)
    return lambda: engine.metric("trimtab_engine_requests_total", outcome=outcome) - before


def fill_the_worker(engine: EngineProcess, pool: ThreadPoolExecutor) -> Future[Reply]:
    """One request into the stopped worker's hands, so that what follows stays in the queue."""
    held = pool.submit(engine.infer, v2_body(["held"]))
    engine.wait_for(lambda: engine.metric("trimtab_engine_inflight_requests") == 1)
    return held


def test_a_full_queue_answers_429_with_retry_after_and_what_was_admitted_is_answered(
    engine: EngineProcess, reference: dict[str, NDArray[np.float32]]
) -> None:
    rejected = increments(engine, "rejected")
    with ThreadPoolExecutor(20) as pool:
        with stopped_worker(engine):
            held = fill_the_worker(engine, pool)
            waiting = [pool.submit(engine.infer, v2_body(TEXTS[n : n + 4])) for n in range(6, 38, 4)]
            engine.wait_for(lambda: engine.metric("trimtab_engine_queue_requests") == 32)
            refused = engine.infer(v2_body(["one more"]))
            assert (refused.status, refused.headers["trimtab-reason"]) == (429, "QueueFull")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            openai_form = engine.embed({"model": "all-MiniLM-L6-v2", "input": "one more"}).json()["error"]
            assert (openai_form["type"], openai_form["code"]) == ("rate_limit_error", "rate_limit_exceeded")
            assert engine.metric("trimtab_engine_queue_limit_requests") == 32
        assert held.result().status == 200
        for start, future in zip(range(6, 38, 4), waiting, strict=True):
            expected = np.stack([reference[text] for text in TEXTS[start : start + 4]])
            np.testing.assert_allclose(future.result().vectors(), expected, rtol=0, atol=TOLERANCE)
    assert rejected() == 2
    assert engine.metric("trimtab_engine_queue_requests") == 0


def test_a_deadline_that_passes_in_the_queue_is_answered_504_before_any_work(engine: EngineProcess) -> None:
    expired, batches = increments(engine, "expired"), engine.metric("trimtab_engine_batch_size_sum")
    with ThreadPoolExecutor(4) as pool:
        with stopped_worker(engine):
            held = fill_the_worker(engine, pool)
            by_header = pool.submit(engine.infer, v2_body(["a", "b"]), trimtab_deadline_ms="150")
            by_parameter = pool.submit(engine.infer, v2_body(["c"], parameters={"timeout": 150_000}))
            for future in (by_header, by_parameter):
                reply = future.result()
                assert (reply.status, reply.headers["trimtab-reason"]) == (504, "DeadlineExpired")
        assert held.result().status == 200
    assert expired() == 2
    assert engine.metric("trimtab_engine_batch_size_sum") - batches == 1  # only what was held


def test_a_request_whose_client_is_gone_leaves_the_queue(engine: EngineProcess) -> None:
    canceled, batches = increments(engine, "canceled"), engine.metric("trimtab_engine_batch_size_sum")
    body = json.dumps(v2_body(["a", "b", "c"])).encode()
    with ThreadPoolExecutor(1) as pool:
        with stopped_worker(engine):
            held = fill_the_worker(engine, pool)
            with socket.create_connection(("127.0.0.1", engine.port)) as client:
                client.sendall(
                    f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )
                engine.wait_for(lambda: engine.metric("trimtab_engine_queue_requests") == 3)
            engine.wait_for(lambda: canceled() == 1)
            assert engine.metric("trimtab_engine_queue_requests") == 0
        assert held.result().status == 200
    assert engine.metric("trimtab_engine_batch_size_sum") - batches == 1


def test_a_lower_priority_number_is_served_first(engine: EngineProcess) -> None:
    with ThreadPoolExecutor(4) as pool:
        done: list[tuple[float, int]] = []

        def ask(priority: int) -> None:
            assert engine.infer(v2_body([f"p{priority}"] * 8), trimtab_priority=str(priority)).status == 200
            done.append((time.monotonic(), priority))

        with stopped_worker(engine):
            held = fill_the_worker(engine, pool)
            futures = []
            for place, priority in enumerate((9, 5, 1), start=1):
                futures.append(pool.submit(ask, priority))
                engine.wait_for(lambda queued=8 * place: engine.metric("trimtab_engine_queue_requests") == queued)
        for future in [held, *futures]:
            future.result()
    assert [priority for _, priority in sorted(done)] == [1, 5, 9]


def test_a_long_text_does_not_hold_up_the_others(engine: EngineProcess) -> None:
    long_text = "word and more " * 70_000  # about half a second of tokenizing
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(engine.infer, v2_body([long_text]))
        engine.wait_for(lambda: engine.metric("trimtab_engine_queue_requests") == 1 or slow.done())
        quick = [engine.ask("GET", "/v2/health/live").status for _ in range(20)]
        assert quick == [200] * 20
        assert slow.result().status == 200


def test_metrics_agree_with_what_was_asked(engine: EngineProcess) -> None:
    names = (
        "request_seconds_count",
        "queue_seconds_count",
        "batch_seconds_count",
        "batch_size_count",
        "batch_size_sum",
    )
    before = {name: engine.metric(f"trimtab_engine_{name}") for name in names}
    outcomes, busy = engine.outcomes(), engine.metric("trimtab_engine_worker_busy_seconds_total", device="cpu")
    for count in (1, 2, 20):
        assert engine.infer(v2_body(["x"] * count)).status == 200
    engine.infer(v2_body([]))
    engine.ask("GET", INFER)
    engine.ask("POST", INFER, bytes((1 << 20) + 1))
    engine.infer(v2_body(["x"]), trimtab_deadline_ms="0")
    engine.ask("GET", "/nowhere")
    after = {name: engine.metric(f"trimtab_engine_{name}") - before[name] for name in names}
    batches = after["batch_size_count"]
    assert 5 <= batches <= 22  # as few as eight to a batch allow, or more where that is faster
    assert after == {
        "request_seconds_count": 3,
        "queue_seconds_count": 3,
        "batch_seconds_count": batches,
        "batch_size_count": batches,
        "batch_size_sum": 23,
    }
    changed = {name: count - outcomes[name] for name, count in engine.outcomes().items() if count != outcomes[name]}
    assert changed == {"ok": 3, "bad_request": 3, "expired": 1}
    worked = engine.metric("trimtab_engine_worker_busy_seconds_total", device="cpu") - busy
    assert 0 < worked < 30
    assert engine.metric("trimtab_engine_ready") == 1
    assert engine.metric("trimtab_engine_build", device="cpu") == 1
    assert engine.metric("trimtab_engine_setting", name="max_batch_size") == 8
    assert math.isclose(engine.metric("trimtab_engine_setting", name="max_queue_delay_seconds"), 0.005)
    assert engine.metric("trimtab_engine_cache_misses_total") == 0  # the cache is off
