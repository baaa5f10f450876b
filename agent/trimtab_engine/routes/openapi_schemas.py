"""The bodies of the HTTP surface as JSON Schema: requests from the structs that read them, answers as they are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab_engine.jobs import MAX_PRIORITY
from trimtab_engine.routes.open_inference import InferBody
from trimtab_engine.routes.openai_embeddings import EmbeddingsBody
from trimtab_engine.signature import DATATYPES

Schema = dict[str, Any]

BYTES: Schema = {"type": "string", "format": "binary"}

_PLACE = "#/components/schemas/{name}"
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_NUMBER_OR_TEXT: Schema = {"type": ["number", "boolean", "string"]}


def ref(name: str) -> Schema:
    """Refer to one of the components."""
    return {"$ref": _PLACE.format(name=name)}


def an_object(required: dict[str, Schema], **optional: Schema) -> Schema:
    """Describe an object by its fields."""
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def a_list(items: Schema, **more: Any) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": items, **more}


# What the structs leave open, because the routes check it with messages of their own.
_TENSOR_DATA: Schema = {
    "description": "Values, flat or nested by shape; absent where the bytes follow the JSON.",
    "anyOf": [a_list(_NUMBER_OR_TEXT), a_list(a_list(_NUMBER_OR_TEXT))],
}
_NARROWER: dict[tuple[str, str], Schema] = {
    ("InputTensor", "data"): _TENSOR_DATA,
    ("InputTensor", "datatype"): {"enum": ["BYTES", *DATATYPES.values()]},
    ("InputTensor", "shape"): a_list({"type": "integer", "minimum": 0}, minItems=1),
    ("InputTensor", "parameters"): an_object({}, binary_data_size={"type": "integer", "minimum": 0}),
    ("RequestedOutput", "parameters"): an_object({}, binary_data={"type": "boolean"}),
    ("InferBody", "parameters"): an_object(
        {},
        timeout={"type": "integer", "minimum": 0, "description": "Microseconds, 0 = none."},
        priority={"type": "integer", "minimum": 0, "maximum": MAX_PRIORITY},
        binary_data_output={"type": "boolean"},
    ),
    ("EmbeddingsBody", "input"): {
        "anyOf": [
            _TEXT,
            a_list(_TEXT, minItems=1),
            a_list(_WHOLE, minItems=1),
            a_list(a_list(_WHOLE, minItems=1), minItems=1),
        ]
    },
}

_TENSOR = an_object(
    {"name": _TEXT, "datatype": {"enum": [*DATATYPES.values()]}, "shape": a_list(_WHOLE)},
    data=a_list({"type": ["number", "boolean"]}),
    parameters=an_object({"binary_data_size": _WHOLE}),
)
_DECLARED = an_object(
    {"name": _TEXT, "datatype": {"enum": ["BYTES", *DATATYPES.values()]}, "shape": a_list(_WHOLE)},
)
_MODEL = an_object({"id": _TEXT, "object": {"const": "model"}, "created": _WHOLE, "owned_by": _TEXT})
_VECTOR: Schema = {"anyOf": [a_list({"type": "number"}), {"type": "string", "contentEncoding": "base64"}]}

ANSWERS: dict[str, Schema] = {
    "ServerMetadata": an_object({"name": _TEXT, "version": _TEXT, "extensions": a_list(_TEXT)}),
    "ModelMetadata": an_object(
        {
            "name": _TEXT,
            "versions": a_list(_TEXT),
            "platform": _TEXT,
            "inputs": a_list(_DECLARED),
            "outputs": a_list(_DECLARED),
        }
    ),
    "Live": an_object({"live": {"type": "boolean"}}),
    "Ready": an_object({"ready": {"type": "boolean"}}, name=_TEXT),
    "InferAnswer": an_object({"model_name": _TEXT, "model_version": _TEXT, "outputs": a_list(_TENSOR)}, id=_TEXT),
    "Embeddings": an_object(
        {
            "object": {"const": "list"},
            "data": a_list(an_object({"object": {"const": "embedding"}, "index": _WHOLE, "embedding": _VECTOR})),
            "model": _TEXT,
            "usage": an_object({"prompt_tokens": _WHOLE, "total_tokens": _WHOLE}),
        }
    ),
    "Model": _MODEL,
    "ModelList": an_object({"object": {"const": "list"}, "data": a_list(_MODEL)}),
    "OpenApi": an_object({"openapi": _TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}),
    "Error": an_object({"error": _TEXT}),
    "OpenAIError": an_object(
        {"error": an_object({"message": _TEXT, "type": _TEXT, "param": {"type": ["string", "null"]}, "code": _TEXT})}
    ),
}


def components(encoders: Sequence[str]) -> dict[str, Schema]:
    """Return every schema by its name, for a server of text encoders of these names."""
    _, found = msgspec.json.schema_components([InferBody, EmbeddingsBody], ref_template=_PLACE)
    for (struct, field), schema in _NARROWER.items():
        found[struct]["properties"][field] = schema
    found["InferBody"]["properties"]["inputs"]["minItems"] = 1
    found["EmbeddingsBody"]["properties"]["model"] = {"enum": sorted(encoders)}
    return {**found, **ANSWERS}
