"""The bytes of a request, for both protocols that the engine speaks."""

from __future__ import annotations

import json
from enum import StrEnum

from dev.load.addresses import Target


class Protocol(StrEnum):
    """How a sentence is asked."""

    EMBEDDINGS = "embeddings"
    INFER = "infer"


def request_bytes(target: Target, protocol: Protocol, model: str, sentence: str) -> bytes:
    """Return a whole HTTP/1.1 request for one sentence, kept alive."""
    path, body = _embeddings(model, sentence) if protocol is Protocol.EMBEDDINGS else _infer(model, sentence)
    payload = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode("ascii") + payload


def embedding_in(protocol: Protocol, body: bytes) -> list[float]:
    """Return the vector in an answer; raises ValueError, KeyError, IndexError or TypeError when there is none."""
    document = json.loads(body)
    vector = document["data"][0]["embedding"] if protocol is Protocol.EMBEDDINGS else document["outputs"][0]["data"]
    return [float(value) for value in vector]


def _embeddings(model: str, sentence: str) -> tuple[str, dict[str, object]]:
    return "/v1/embeddings", {"model": model, "input": sentence}


def _infer(model: str, sentence: str) -> tuple[str, dict[str, object]]:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [sentence]}
    return f"/v2/models/{model}/infer", {"inputs": [tensor]}
