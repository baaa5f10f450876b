"""OpenAI's embeddings API: which inputs are taken, and what is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.errors import BadRequest
from trimtab_engine.http_message import Request
from trimtab_engine.jobs import TokenRow
from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.routes.openai_embeddings import OpenAIEmbeddings

OPENAI = OpenAIEmbeddings(ModelDescription("m", "1", "/m", "bert", 100, 4, 8, "mean", normalize=True))


def a_request(body: bytes) -> Request:
    return Request("POST", "/v1/embeddings", {}, body, 0.0, 0.0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_no_input_makes_the_openai_parser_fail_otherwise(value: object) -> None:
    try:
        inputs = OPENAI.parse(a_request(msgspec.json.encode({"model": "m", "input": value}))).inputs
    except BadRequest:
        return
    assert all(isinstance(row, str | TokenRow) for row in inputs.rows)


@pytest.mark.parametrize(
    ("value", "count"), [("a", 1), (["a", ""], 2), ([1, 2], 1), ([[1], [2, 3]], 2)], ids=["str", "list", "ids", "rows"]
)
def test_openai_inputs_come_in_four_kinds(value: object, count: int) -> None:
    assert len(OPENAI.parse(a_request(msgspec.json.encode({"model": "m", "input": value}))).inputs.rows) == count


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"input": []}, 400, "input"),
        ({"input": [[]]}, 400, "input"),
        ({"input": ["a", 1]}, 400, "input"),
        ({"input": [1.5]}, 400, "input"),
        ({"input": [True]}, 400, "input"),
        ({"input": [100]}, 400, "input"),
        ({"input": [-1]}, 400, "input"),
        ({"input": [1 << 40]}, 400, "input"),
        ({"input": list(range(9))}, 400, "input"),
        ({"input": {"a": 1}}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"model": "gpt"}, 404, None),
        ({"encoding_format": "hex"}, 400, None),
        ({"dimensions": 5}, 400, "dimensions"),
    ],
)
def test_a_bad_openai_request_is_refused(change: dict[str, object], status: int, param: str | None) -> None:
    body = msgspec.json.encode({"model": "m", "input": "a", **change})
    with pytest.raises(BadRequest) as refusal:
        OPENAI.parse(a_request(body))
    assert (refusal.value.status, refusal.value.param) == (status, param)
