"""Tensors of a model's own declaration, by JSON and binary: what becomes of each, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.errors import BadRequest, NotReady
from trimtab_engine.http_message import Request
from trimtab_engine.jobs import Answer
from trimtab_engine.model_directory import FactoryModel
from trimtab_engine.routes.open_inference import OpenInference
from trimtab_engine.signature import DATATYPES, PADDED, Signature, TensorSpec

MODEL = FactoryModel("own", "1", "m:f")
SIGNATURE = Signature(
    (TensorSpec("x", "float32", (2,)), TensorSpec("ids", "int16", (PADDED,))),
    (TensorSpec("y", "float32", (PADDED, 2)), TensorSpec("z", "bool", ())),
    max_length=4,
)
V2 = OpenInference(MODEL, lambda: SIGNATURE)


def parse(v2: OpenInference, body: object, tail: bytes = b"") -> Any:
    head = msgspec.json.encode(body)
    headers = {b"inference-header-content-length": str(len(head)).encode()} if tail else {}
    return v2.parse(Request("POST", "/", headers, head + tail, 0.0, 0.0))


def tensor(name: str, datatype: str, shape: list[int], data: object) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


X = tensor("x", "FP32", [1, 2], [1, 2.5])
IDS = tensor("ids", "INT16", [1, 3], [[7, 8, 9]])

arrays = st.tuples(st.sampled_from(list(DATATYPES)), st.integers(1, 4), st.integers(1, 3)).flatmap(
    lambda made: st.tuples(
        st.just(made[0]),
        st.lists(st.lists(values_of(made[0]), min_size=made[2], max_size=made[2]), min_size=made[1], max_size=made[1]),
    )
)


def values_of(dtype: str) -> st.SearchStrategy[Any]:
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind == "f":
        return st.floats(width=16, allow_nan=False, allow_infinity=False)
    bounds = np.iinfo(dtype)
    # JSON whole numbers are read as numpy reads a list of them: beyond 63 bits only where all are positive.
    return st.integers(int(bounds.min), min(int(bounds.max), (1 << 63) - 1))


@given(arrays)
def test_every_datatype_comes_out_as_it_went_in_by_json_and_by_binary(given_rows: tuple[str, list[list[Any]]]) -> None:
    dtype, rows = given_rows
    array = np.array(rows, dtype)
    v2 = OpenInference(MODEL, lambda: Signature((TensorSpec("x", dtype, array.shape[1:]),), ()))
    head = {"name": "x", "datatype": DATATYPES[dtype], "shape": list(array.shape)}
    tail = array.tobytes()
    binary = parse(v2, {"inputs": [head | {"parameters": {"binary_data_size": len(tail)}}]}, tail)
    nested = parse(v2, {"inputs": [head | {"data": rows}]})
    flat = parse(v2, {"inputs": [head | {"data": [value for row in rows for value in row]}]})
    for parsed in (binary, nested, flat):
        found = [row.tensors[0] for row in parsed.inputs.rows]
        assert all(one.dtype == array.dtype for one in found)
        np.testing.assert_array_equal(np.stack(found), array)


def test_the_padded_axis_of_the_inputs_is_the_length_of_the_rows() -> None:
    (row,) = parse(V2, {"inputs": [IDS, X]}).inputs.rows
    assert row.length == 3
    assert [array.tolist() for array in row.tensors] == [[1, 2.5], [7, 8, 9]]


BAD: dict[str, tuple[list[dict[str, object]], str]] = {
    "an input is missing": ([X], r"\[x\]; accepted are \[x, ids\]"),
    "an input too many": ([X, IDS, tensor("w", "FP32", [1], [1])], r"accepted are \[x, ids\]"),
    "another datatype": ([X | {"datatype": "FP64"}, IDS], r"'x' has datatype 'FP64'; accepted is FP32"),
    "no batch axis": ([X | {"shape": [2]}, IDS], r"'x' has shape \[2\]; accepted is \[-1, 2\]"),
    "another size": ([X | {"shape": [1, 3]}, IDS], r"'x' has shape \[1, 3\]; accepted is \[-1, 2\]"),
    "no row": ([X | {"shape": [0, 2], "data": []}, IDS], "1 row or more"),
    "a negative size": ([X | {"shape": [-1, 2]}, IDS], r"accepted is \[-1, 2\]"),
    "other counts of rows": ([X, IDS | {"shape": [2, 3], "data": [1] * 6}], "'ids' has 2 rows, the one before 1"),
    "too long": ([X, IDS | {"shape": [1, 5], "data": [1] * 5}], "rows of length 5; accepted is 1 to 4"),
    "length 0": ([X, IDS | {"shape": [1, 0], "data": []}], "rows of length 0; accepted is 1 to 4"),
    "an enormous size": ([X, IDS | {"shape": [1 << 62, 3]}], "has 4611686018427387904 rows"),
    "no data": ([{k: v for k, v in X.items() if k != "data"}, IDS], "neither data nor binary_data_size"),
    "data is null": ([X | {"data": None}, IDS], "not a flat or .* list of numbers"),
    "text among numbers": ([X | {"data": [1, "2"]}, IDS], "list of numbers"),
    "flags for numbers": ([X | {"data": [True, False]}, IDS], "list of numbers"),
    "fractions for whole numbers": ([X, IDS | {"data": [1, 2, 3.5]}], "list of whole numbers"),
    "ragged": ([X | {"data": [[1], [2, 3]]}, IDS], "list of numbers"),
    "transposed": ([X | {"data": [[1], [2]]}, IDS], "elements of another shape"),
    "beyond 16 bits": ([X, IDS | {"data": [1, 40000, 3]}], "holds 40000; accepted are -32768 to 32767"),
    "beyond 64 bits": ([X, IDS | {"data": [1, 1 << 70, 3]}], "list of whole numbers"),
    "beyond single precision": ([X | {"data": [1, 1e300]}, IDS], "'x' holds a value that is not finite in FP32"),
}


@pytest.mark.parametrize(("inputs", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_tensor_is_refused_with_field_value_and_what_is_accepted(
    inputs: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(BadRequest, match=message):
        parse(V2, {"inputs": inputs})


@pytest.mark.parametrize(
    ("datatype", "tail", "message"),
    [
        ("FP32", np.float32([1, np.nan]).tobytes(), "not finite"),
        ("FP32", b"1234", "has 4 bytes; shape .* needs 8"),
        ("BOOL", b"\x00\x02", "a byte other than 0 and 1"),
    ],
)
def test_bad_bytes_are_refused(datatype: str, tail: bytes, message: str) -> None:
    dtype = {name: dtype for dtype, name in DATATYPES.items()}[datatype]
    v2 = OpenInference(MODEL, lambda: Signature((TensorSpec("x", dtype, (2,)),), ()))
    head = {"name": "x", "datatype": datatype, "shape": [1, 2], "parameters": {"binary_data_size": len(tail)}}
    with pytest.raises(BadRequest, match=message):
        parse(v2, {"inputs": [head]}, tail)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, st.lists(st.integers(-3, 9), max_size=3), st.sampled_from(list(DATATYPES)))
def test_no_data_makes_the_reader_fail_otherwise(data: object, shape: list[int], dtype: str) -> None:
    v2 = OpenInference(MODEL, lambda: Signature((TensorSpec("x", dtype, (PADDED,)),), (), max_length=5))
    try:
        rows = parse(v2, {"inputs": [tensor("x", DATATYPES[dtype], shape, data)]}).inputs.rows
    except BadRequest:
        return
    assert len(rows) == shape[0]


@given(st.binary(max_size=64), st.integers(0, 70), st.lists(st.integers(-1, 9), max_size=3))
def test_no_bytes_make_the_reader_fail_otherwise(tail: bytes, size: int, shape: list[int]) -> None:
    head = {"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": size}}
    v2 = OpenInference(MODEL, lambda: Signature((TensorSpec("x", "float32", (PADDED,)),), (), max_length=9))
    try:
        rows = parse(v2, {"inputs": [head]}, tail).inputs.rows
    except BadRequest:
        return
    assert len(rows) == shape[0]
    assert len(tail) == size


def answers() -> list[Answer]:
    made = []
    for row in range(2):
        y, z = np.arange(6, dtype=np.float32) + 10 * row, np.array(row == 1)
        made.append(Answer(y.tobytes() + z.tobytes(), 3, "1/base"))
    return made


TWO = [X | {"shape": [2, 2], "data": [1, 2, 3, 4]}, IDS | {"shape": [2, 3], "data": [[1, 2, 3], [4, 5, 6]]}]


def test_outputs_are_all_sent_as_declared_or_those_that_are_named_in_that_order() -> None:
    rendered = msgspec.json.decode(parse(V2, {"inputs": TWO}).render(answers(), ()).body)
    y = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]
    assert rendered["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 3, 2], "data": y},
        {"name": "z", "datatype": "BOOL", "shape": [2], "data": [False, True]},
    ]
    named = [{"name": "z"}, {"name": "y", "parameters": {"binary_data": True}}]
    response = parse(V2, {"inputs": TWO, "outputs": named}).render(answers(), ())
    length = int(dict(response.headers)["Inference-Header-Content-Length"])
    assert [output["name"] for output in msgspec.json.decode(response.body[:length])["outputs"]] == ["z", "y"]
    assert np.frombuffer(response.body[length:], np.float32).tolist() == y


@given(st.none() | st.text(max_size=20), st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2))
def test_an_answer_is_the_json_of_its_parts_byte_for_byte(request_id: str | None, numbers: list[float]) -> None:
    signature = Signature((TensorSpec("x", "float32", (2,)),), (TensorSpec("y", "float32", (2,)),))
    v2 = OpenInference(FactoryModel('a "name"', "1", "m:f"), lambda: signature)
    parsed = parse(v2, {"inputs": [tensor("x", "FP32", [1, 2], [0.5, 1.5])], "id": request_id})
    answer = Answer(np.array(numbers, np.float32).tobytes(), 1, "1/base")
    outputs = [tensor("y", "FP32", [1, 2], numbers)]
    named = {} if request_id is None else {"id": request_id}
    expected = {"model_name": 'a "name"', "model_version": "1"} | named | {"outputs": outputs}
    assert parsed.render([answer], ()).body == msgspec.json.encode(expected)


@pytest.mark.parametrize("names", [["q"], ["y", "y"], ["y", "q"]])
def test_an_output_that_is_unknown_or_named_twice_is_refused(names: list[str]) -> None:
    with pytest.raises(BadRequest, match="accepted are y, z"):
        parse(V2, {"inputs": TWO, "outputs": [{"name": name} for name in names]})


def test_until_a_worker_has_told_what_the_model_takes_nothing_is_ready() -> None:
    v2 = OpenInference(MODEL, lambda: None)
    with pytest.raises(NotReady):
        parse(v2, {"inputs": TWO})
    with pytest.raises(NotReady):
        v2.model_metadata()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=90))
def test_a_list_of_floats_short_or_long_is_rounded_to_float32_or_refused_beyond_it(numbers: list[float]) -> None:
    size = len(numbers)
    signature = Signature((TensorSpec("x", "float32", (size,)),), SIGNATURE.outputs[1:])
    body = {"inputs": [tensor("x", "FP32", [1, size], numbers)]}
    with np.errstate(over="ignore"):
        expected = np.array(numbers).astype(np.float32)
    v2 = OpenInference(MODEL, lambda: signature)
    if np.isfinite(expected).all():
        (row,) = parse(v2, body).inputs.rows
        np.testing.assert_array_equal(row.tensors[0], expected)
    else:
        with pytest.raises(BadRequest, match="not finite in FP32"):
            parse(v2, body)
