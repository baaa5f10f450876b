"""Tensors of the Open Inference Protocol: what becomes of each, and what is refused."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.errors import BadRequest
from trimtab_engine.http_message import Request
from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.routes.open_inference import OpenInference

DESCRIPTION = ModelDescription("m", "1", "/m", "bert", 100, 4, 8, "mean", normalize=True)
V2 = OpenInference(DESCRIPTION)


def a_request(body: bytes, **headers: str) -> Request:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("POST", "/", named, body, 0.0, 0.0)


def v2(body: object, tail: bytes = b"", **headers: str) -> Any:
    head = msgspec.json.encode(body)
    if tail:
        headers.setdefault("inference_header_content_length", str(len(head)))
    return V2.parse(a_request(head + tail, **headers)).inputs


def text_input(data: object, shape: list[int], **more: object) -> dict[str, object]:
    return {"name": "text", "shape": shape, "datatype": "BYTES", "data": data, **more}


def ids_input(data: object, shape: list[int], name: str = "input_ids", **more: object) -> dict[str, object]:
    return {"name": name, "shape": shape, "datatype": "INT64", "data": data, **more}


def packed(values: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def rows_of(inputs: Any) -> list[tuple[list[int], list[int] | None]]:
    return [(row.ids.tolist(), None if row.mask is None else row.mask.tolist()) for row in inputs.rows]


@pytest.mark.parametrize(
    ("data", "shape"), [(["a", ""], [2]), ([["a"], [""]], [2, 1]), (["a", ""], [2, 1])], ids=["[N]", "[N,1]", "flat"]
)
def test_texts_are_read_in_both_shapes(data: object, shape: list[int]) -> None:
    assert v2({"inputs": [text_input(data, shape)]}).rows == ["a", ""]


@given(st.lists(st.text(), min_size=1, max_size=8))
def test_binary_texts_come_out_as_they_went_in(values: list[str]) -> None:
    tail = packed([value.encode() for value in values])
    tensor = {
        "name": "text",
        "shape": [len(values)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(tail)},
    }
    assert v2({"inputs": [tensor]}, tail).rows == values


@given(st.lists(st.lists(st.integers(0, 99), min_size=3, max_size=3), min_size=1, max_size=5))
def test_token_rows_are_the_same_by_json_flat_nested_and_binary(rows: list[list[int]]) -> None:
    shape = [len(rows), 3]
    tail = np.array(rows, "<i8").tobytes()
    binary = {
        "name": "input_ids",
        "shape": shape,
        "datatype": "INT64",
        "parameters": {"binary_data_size": len(tail)},
    }
    expected = [(row, None) for row in rows]
    assert rows_of(v2({"inputs": [ids_input(rows, shape)]})) == expected
    assert rows_of(v2({"inputs": [ids_input([i for row in rows for i in row], shape)]})) == expected
    assert rows_of(v2({"inputs": [binary]}, tail)) == expected


def test_a_mask_with_its_ones_first_shortens_the_row_and_any_other_is_kept() -> None:
    body = {
        "inputs": [
            ids_input([[1, 2, 3], [1, 2, 3]], [2, 3]),
            ids_input([[1, 1, 0], [1, 0, 1]], [2, 3], name="attention_mask"),
        ]
    }
    assert rows_of(v2(body)) == [([1, 2], None), ([1, 2, 3], [1, 0, 1])]


GOOD = [text_input(["a"], [1])]
BAD_V2: dict[str, object] = {
    "no inputs": {},
    "inputs is no list": {"inputs": 3},
    "no known input": {"inputs": [text_input(["a"], [1]) | {"name": "x"}]},
    "empty inputs": {"inputs": []},
    "the same name twice": {"inputs": GOOD * 2},
    "text and ids": {"inputs": [*GOOD, ids_input([[1]], [1, 1])]},
    "mask alone": {"inputs": [ids_input([[1]], [1, 1], name="attention_mask")]},
    "wrong datatype": {"inputs": [text_input(["a"], [1]) | {"datatype": "FP32"}]},
    "fewer elements than the shape": {"inputs": [text_input(["a"], [2])]},
    "more elements than the shape": {"inputs": [text_input(["a", "b"], [1])]},
    "shape [N,2]": {"inputs": [text_input(["a", "b"], [1, 2])]},
    "shape []": {"inputs": [text_input(["a"], [])]},
    "shape [0]": {"inputs": [text_input([], [0])]},
    "negative shape": {"inputs": [text_input(["a"], [-1])]},
    "enormous shape": {"inputs": [text_input(["a"], [1 << 62])]},
    "fractional shape": {"inputs": [text_input(["a"], [1]) | {"shape": [1.5]}]},
    "a number among texts": {"inputs": [text_input(["a", 1], [2])]},
    "null among texts": {"inputs": [text_input([None], [1])]},
    "data is a string": {"inputs": [text_input("a", [1])]},
    "no data": {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES"}]},
    "ids of shape [N]": {"inputs": [ids_input([1, 2], [2])]},
    "ids with no token": {"inputs": [ids_input([[]], [1, 0])]},
    "ragged ids": {"inputs": [ids_input([[1, 2], [3]], [2, 2])]},
    "transposed ids": {"inputs": [ids_input([[1, 2, 3], [1, 2, 3]], [3, 2])]},
    "ids as numbers with a point": {"inputs": [ids_input([[1.0]], [1, 1])]},
    "ids as booleans": {"inputs": [ids_input([[True]], [1, 1])]},
    "ids as strings": {"inputs": [ids_input([["1"]], [1, 1])]},
    "negative id": {"inputs": [ids_input([[-1]], [1, 1])]},
    "id beyond the vocabulary": {"inputs": [ids_input([[100]], [1, 1])]},
    "id beyond 64 bits": {"inputs": [ids_input([[1 << 70]], [1, 1])]},
    "too many tokens": {"inputs": [ids_input([list(range(9))], [1, 9])]},
    "mask of another shape": {"inputs": [ids_input([[1]], [1, 1]), ids_input([[1, 1]], [1, 2], name="attention_mask")]},
    "mask of two": {"inputs": [ids_input([[1]], [1, 1]), ids_input([[2]], [1, 1], name="attention_mask")]},
    "mask of zeros": {"inputs": [ids_input([[1]], [1, 1]), ids_input([[0]], [1, 1], name="attention_mask")]},
    "unknown output": {"inputs": GOOD, "outputs": [{"name": "logits"}]},
    "classification output": {"inputs": GOOD, "outputs": [{"name": "embedding", "parameters": {"classification": 2}}]},
    "binary_data is no flag": {"inputs": GOOD, "outputs": [{"name": "embedding", "parameters": {"binary_data": 1}}]},
    "negative timeout": {"inputs": GOOD, "parameters": {"timeout": -1}},
    "fractional timeout": {"inputs": GOOD, "parameters": {"timeout": 0.5}},
    "timeout as a flag": {"inputs": GOOD, "parameters": {"timeout": True}},
    "negative priority": {"inputs": GOOD, "parameters": {"priority": -1}},
    "id of 300 characters": {"inputs": GOOD, "id": "x" * 300},
    "id as a number": {"inputs": GOOD, "id": 7},
}


@pytest.mark.parametrize("body", BAD_V2.values(), ids=BAD_V2.keys())
def test_a_bad_v2_request_is_refused_with_a_message(body: object) -> None:
    with pytest.raises(BadRequest) as refusal:
        v2(body)
    assert len(str(refusal.value)) > 10


BAD_BYTES = {
    "broken JSON": (b'{"inputs": [', {}),
    "empty body": (b"", {}),
    "NaN": (b'{"inputs":[{"name":"input_ids","datatype":"INT64","shape":[1,1],"data":[[NaN]]}]}', {}),
    "invalid UTF-8": (b'{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":["\xff"]}]}', {}),
    "lone surrogate": (b'{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":["\\ud800abcdefgh"]}]}', {}),
    "nested a hundred thousand deep": (b'{"inputs":' + b"[" * 100_000, {}),
    "header length beyond the body": (b"{}", {"inference_header_content_length": "3"}),
    "header length negative": (b"{}", {"inference_header_content_length": "-1"}),
    "header length no number": (b"{}", {"inference_header_content_length": "\u00b2"}),
}


@pytest.mark.parametrize(("body", "headers"), BAD_BYTES.values(), ids=BAD_BYTES.keys())
def test_a_body_that_is_no_json_is_refused(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        V2.parse(a_request(body, **headers))


def binary_text(size: int | None, **more: object) -> dict[str, object]:
    return {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size}, **more}


BAD_BINARY = {
    "announces more than there is": ([binary_text(9)], packed([b"abcd"])),
    "announces less than there is": ([binary_text(7)], packed([b"abcd"])),
    "negative size": ([binary_text(-1)], packed([b"abcd"])),
    "size is no number": ([binary_text("8")], packed([b"abcd"])),  # type: ignore[arg-type]
    "element longer than the rest": ([binary_text(5)], b"\xff\xff\xff\xffa"),
    "ends within a length": ([binary_text(2)], b"\x01\x00"),
    "invalid UTF-8": ([binary_text(5)], packed([b"\xff"])),
    "data as well": ([binary_text(8, data=["a"])], packed([b"abcd"])),
    "bytes of nobody": ([text_input(["a"], [1])], b"abcd"),
    "ids of the wrong length": (
        [{"name": "input_ids", "shape": [1, 2], "datatype": "INT64", "parameters": {"binary_data_size": 12}}],
        bytes(12),
    ),
}


@pytest.mark.parametrize(("inputs", "tail"), BAD_BINARY.values(), ids=BAD_BINARY.keys())
def test_a_bad_binary_body_is_refused(inputs: object, tail: bytes) -> None:
    with pytest.raises(BadRequest):
        v2({"inputs": inputs}, tail)


@given(st.binary(max_size=200), st.integers(0, 220))
def test_no_bytes_make_the_v2_parser_fail_otherwise(body: bytes, length: int) -> None:
    with pytest.raises(BadRequest):
        V2.parse(a_request(body, inference_header_content_length=str(length)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, st.sampled_from(["text", "input_ids"]), st.lists(st.integers(-3, 9), max_size=3))
def test_no_data_makes_the_tensor_parser_fail_otherwise(data: object, name: str, shape: list[int]) -> None:
    datatype = "BYTES" if name == "text" else "INT64"
    try:
        inputs = v2({"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data}]})
    except BadRequest:
        return
    assert len(inputs.rows) == shape[0]


@pytest.mark.parametrize(
    ("headers", "parameters", "budget"),
    [
        ({}, {}, None),
        ({"trimtab_deadline_ms": "250"}, {}, 0.25),
        ({"trimtab_deadline_ms": "0.5"}, {}, 0.0005),
        ({"trimtab_deadline_ms": "-3"}, {}, -0.003),
        ({}, {"timeout": 2000}, 0.002),
        ({}, {"timeout": 0}, None),
        ({"trimtab_deadline_ms": "250"}, {"timeout": 2000}, 0.25),
        ({"x_envoy_expected_rq_timeout_ms": "40"}, {}, 0.04),
        ({"x_envoy_expected_rq_timeout_ms": "40", "trimtab_deadline_ms": "250"}, {}, 0.25),
        ({"x_envoy_expected_rq_timeout_ms": "15000"}, {"timeout": 2000}, 0.002),
        ({"x_envoy_expected_rq_timeout_ms": "1"}, {"timeout": 2000}, 0.001),
        ({"x_envoy_expected_rq_timeout_ms": "never"}, {}, None),
    ],
)
def test_the_deadline_comes_from_the_header_else_the_parameter(
    headers: dict[str, str], parameters: dict[str, object], budget: float | None
) -> None:
    assert v2({"inputs": GOOD, "parameters": parameters}, **headers).budget_seconds == budget


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "1e3", "", "0x10", "1 2"])
def test_a_deadline_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="trimtab-deadline-ms"):
        v2({"inputs": GOOD}, trimtab_deadline_ms=text)


@pytest.mark.parametrize(
    ("headers", "parameters", "priority"),
    [({}, {}, 0), ({"trimtab_priority": "9"}, {"priority": 2}, 9), ({}, {"priority": 2}, 2)],
)
def test_the_priority_comes_from_the_header_else_the_parameter(
    headers: dict[str, str], parameters: dict[str, object], priority: int
) -> None:
    assert v2({"inputs": GOOD, "parameters": parameters}, **headers).priority == priority


@pytest.mark.parametrize("text", ["-1", "10", "high", "1.5", "", "99999999999"])
def test_a_priority_outside_zero_to_nine_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="trimtab-priority"):
        v2({"inputs": GOOD}, trimtab_priority=text)


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(BadRequest) as refusal:
        v2({"inputs": GOOD}, content_encoding="gzip")
    assert refusal.value.status == 415
