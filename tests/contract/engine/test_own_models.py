"""Models of the user's own: that of the how-to page, one of variable length in numpy, and some that are wrong."""

from __future__ import annotations

import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from contract.engine.conftest import EngineFactory
from contract.engine.running_engine import EngineProcess, Reply, import_path, start_in_vain, v2_tensor
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

PAGE = (Path(__file__).parents[3] / "docs/how-to/serve-your-own-model.md").read_text()

NUMPY_MODELS = """
import numpy as np
from trimtab_engine.model_api import TensorSpec

class Words:
    '''One answer per token and one per row; a mixed-up row or length would show. 13 divides by zero.'''
    inputs = [TensorSpec("ids", "int64", (-1,)), TensorSpec("mask", "bool", (-1,))]
    outputs = [TensorSpec("shifted", "int64", (-1,)), TensorSpec("mean", "float64", ())]
    max_length = 50

    def __call__(self, inputs):
        ids, mask = inputs["ids"], inputs["mask"]
        with np.errstate(all="ignore"):  # of 13
            counts = np.where((ids == 13).any(1), 0, np.maximum(mask.sum(1), 1))
            return {"shifted": ids + 1, "mean": (ids * mask).sum(1) / counts}

class Picture:
    inputs = [TensorSpec("pixels", "uint8", (2, 2))]
    outputs = [TensorSpec("class", "int64", ())]

    def preprocess(self, row):
        return {"scaled": row["pixels"].astype(np.float32) / 255}

    def __call__(self, inputs):
        return {"logits": inputs["scaled"].reshape(len(inputs["scaled"]), -1)}

    def postprocess(self, row):
        return {"class": np.int64(row["logits"].argmax())}

class Hoarder:
    inputs = [TensorSpec("x", "float32", (2,))]
    outputs = [TensorSpec("y", "float32", (2,))]
    kept = []
    def __call__(self, inputs):
        if (inputs["x"] == 13).any():
            self.kept.append(np.ones(64 << 20))
        return {"y": inputs["x"]}

class Wrong:
    inputs = [TensorSpec("x", "float32", (2,))]
    outputs = [TensorSpec("y", "float32", (2,))]
    def __init__(self, call):
        self.call = call
    def __call__(self, inputs):
        return self.call(inputs["x"])

def other_dtype(): return Wrong(lambda x: {"y": x.astype(np.float64)})
def undeclared(): return len
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    (made / "my_models.py").write_text(PAGE.split("```python\n", 1)[1].split("```", 1)[0])
    (made / "numpy_models.py").write_text(NUMPY_MODELS)
    return made


def settings(folder: Path, model: str, **more: str) -> dict[str, str]:
    return {"PYTHONPATH": import_path(folder), "TRIMTAB_MODEL": model, "TRIMTAB_MODEL_NAME": "own", **more}


@pytest.fixture(scope="module")
def words(start_engine: EngineFactory, folder: Path) -> EngineProcess:
    return start_engine(
        **settings(folder, "numpy_models:Words", TRIMTAB_FAULT="exit_on_token:77", TRIMTAB_MAX_QUEUE_DELAY="50ms")
    )


def words_body(ids: list[list[int]]) -> dict[str, Any]:
    array = np.array(ids)
    return {"inputs": [v2_tensor("ids", "INT64", array), v2_tensor("mask", "BOOL", array > 0)]}


def test_the_page_shows_what_is_served(start_engine: EngineFactory, folder: Path) -> None:
    engine = start_engine(**settings(folder, "my_models:scorer", TRIMTAB_MODEL_NAME="scorer"))
    body = re.search(r"-d \\\n\s+'(.*)'", PAGE)
    assert body is not None
    reply = engine.ask("POST", "/v2/models/scorer/infer", body[1].encode())
    assert [output["data"] for output in reply.json()["outputs"]] == [[6.0, -6.0], [1, 0]]
    assert reply.headers["trimtab-version"] == "1/base"
    client = triton.InferenceServerClient(f"127.0.0.1:{engine.port}")
    try:
        assert client.get_model_metadata("scorer")["inputs"] == [
            {"name": "features", "datatype": "FP32", "shape": [-1, 3]}
        ]
        features = np.array([[1, 2, 3], [-4, 0, 1], [0, 0, 0]], np.float32)
        for binary in (True, False):
            tensor = triton.InferInput("features", [3, 3], "FP32")
            tensor.set_data_from_numpy(features, binary_data=binary)
            answer = client.infer("scorer", [tensor])
            np.testing.assert_allclose(answer.as_numpy("score"), features.sum(1))
            assert answer.as_numpy("label").tolist() == [1, 0, 0]
    finally:
        client.close()


def test_rows_of_different_lengths_share_batches_and_none_is_mixed_up(words: EngineProcess) -> None:
    def ask(number: int) -> None:
        if number % 5 == 4:
            assert words.infer(words_body([[1] * 51]), model="own").status == 400
            return
        rows = [[1 + (number * 7 + row * 3 + place) % 12 for place in range(1 + number % 9)] for row in range(2)]
        shifted, mean = words.infer(words_body(rows), model="own").json()["outputs"]
        assert shifted["data"] == [value + 1 for row in rows for value in row]
        np.testing.assert_allclose(mean["data"], np.mean(rows, axis=1))

    before = words.metric("trimtab_engine_batch_size_count")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(60)))
    assert words.metric("trimtab_engine_batch_size_count") - before < 96 / 2  # of 96 rows


def test_a_row_whose_answer_is_not_finite_fails_alone(words: EngineProcess) -> None:
    with ThreadPoolExecutor(2) as pool:
        bad = pool.submit(words.infer, words_body([[13, 1]]), model="own")
        good = pool.submit(words.infer, words_body([[2, 4]]), model="own")
    assert good.result().json()["outputs"][1]["data"] == [3.0]
    assert (bad.result().status, bad.result().headers["trimtab-reason"]) == (500, "ModelFailed")


def test_a_row_found_in_two_worker_deaths_is_refused_and_its_neighbour_answered(words: EngineProcess) -> None:
    with ThreadPoolExecutor(2) as pool:
        poison = pool.submit(words.infer, words_body([[77, 1]]), model="own")
        good = pool.submit(words.infer, words_body([[2, 4]]), model="own")
    assert good.result().json()["outputs"][1]["data"] == [3.0]
    assert (poison.result().status, poison.result().headers["trimtab-reason"]) == (500, "PoisonRequest")
    again = words.infer(words_body([[77, 1]]), model="own")
    assert (again.status, again.headers["trimtab-reason"]) == (500, "PoisonRequest")


def test_rows_are_prepared_and_finished_one_by_one(start_engine: EngineFactory, folder: Path) -> None:
    engine = start_engine(**settings(folder, "numpy_models:Picture"))
    pixels = np.array([[[0, 255], [3, 4]], [[0, 1], [3, 255]], [[9, 1], [3, 5]]], np.uint8)
    reply = engine.infer({"inputs": [v2_tensor("pixels", "UINT8", pixels)]}, model="own")
    assert reply.json()["outputs"] == [{"name": "class", "datatype": "INT64", "shape": [3], "data": [1, 3, 0]}]
    assert engine.embed({"model": "own", "input": "text"}).status == 404


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("numpy_models:other_dtype", "output 'y' is float64[1, 2]; declared is float32[1, 2]"),
        ("numpy_models:undeclared", "inputs is (); accepted is a list of one or more TensorSpec"),
        ("no_such_models:load", "No module named 'no_such_models'"),
    ],
)
def test_a_model_that_is_wrong_ends_the_process_and_the_log_says_why(folder: Path, model: str, message: str) -> None:
    run = start_in_vain("serve", model, **settings(folder, ""))
    assert run.returncode == 1
    refused = next(line for line in run.stderr.splitlines() if "model_refused" in line)
    assert message in refused.replace('\\"', '"')


def test_the_worker_of_an_own_model_comes_back_after_a_kill(words: EngineProcess) -> None:
    words.signal_worker(signal.SIGKILL)
    assert words.infer(words_body([[2, 4]]), model="own").json()["outputs"][1]["data"] == [3.0]


def test_what_a_model_holds_for_good_is_freed_by_a_new_worker_and_not_refused_over_for_ever(
    start_engine: EngineFactory, folder: Path
) -> None:
    own = settings(folder, "numpy_models:Hoarder")
    idle = start_engine(**own)
    engine = start_engine(**own, TRIMTAB_MEMORY_LIMIT=str(int(1.3 * idle.resident_bytes)))

    def ask(value: float) -> Reply:
        return engine.infer({"inputs": [v2_tensor("x", "FP32", np.array([[value, 0.0]]))]}, model="own")

    engine.wait_for(lambda: b'memory_bytes{kind="idle"}' in engine.ask("GET", "/metrics").body)
    assert ask(1.0).status == 200
    assert ask(13.0).status == 200  # at once: its pass is not measured, and taken to need no more
    engine.wait_for(lambda: ask(1.0).status == 503)
    engine.wait_for(lambda: ask(1.0).status == 200, seconds=60)
    assert len(engine.events("worker_renewed")) == engine.metric("trimtab_engine_worker_restarts_total") == 1


json_tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["ids", "mask", "x"]),
        "datatype": st.sampled_from(["INT64", "BOOL", "FP32", "BYTES"]),
        "shape": st.lists(st.integers(-1, 60), max_size=3),
    },
    optional={
        "data": st.lists(st.integers(-3, 12) | st.booleans() | st.none(), max_size=8),
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 80) | st.text()}),
    },
)


@hypothesis_settings(max_examples=60)
@given(st.lists(json_tensors, max_size=3), st.binary(max_size=80), st.integers(-3, 3))
def test_no_tensors_cause_a_server_error_or_touch_a_neighbour(
    words: EngineProcess, tensors: list[dict[str, Any]], tail: bytes, shift: int
) -> None:
    head = json.dumps({"inputs": tensors}).encode()
    with ThreadPoolExecutor(1) as pool:
        neighbour = pool.submit(words.infer, words_body([[2, 4, 9]]), model="own")
        reply = words.ask(
            "POST", "/v2/models/own/infer", head + tail, inference_header_content_length=str(max(0, len(head) + shift))
        )
    assert reply.status in (200, 400)
    assert neighbour.result().json()["outputs"] == [
        {"name": "shifted", "datatype": "INT64", "shape": [1, 3], "data": [3, 5, 10]},
        {"name": "mean", "datatype": "FP64", "shape": [1], "data": [5.0]},
    ]
