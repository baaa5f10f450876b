"""Errors as responses, in the form of the protocol that was asked."""

from __future__ import annotations

import msgspec

from trimtab_engine.errors import EngineError
from trimtab_engine.http_message import Response

OPENAI_PREFIX = "/v1/"

_OPENAI_CODES = {"UnknownModel": "model_not_found", "QueueFull": "rate_limit_exceeded"}


def error_response(path: str, error: EngineError, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """OpenAI's error object under /v1, the Open Inference Protocol's elsewhere; `trimtab-reason` names the cause."""
    message = str(error)
    if path.startswith(OPENAI_PREFIX):
        body: dict[str, object] = {
            "error": {
                "message": message,
                "type": _openai_type(error.status),
                "param": getattr(error, "param", None),
                "code": _OPENAI_CODES.get(error.reason, error.reason),
            }
        }
    else:
        body = {"error": message}
    headers = (*headers, ("trimtab-reason", error.reason))
    if error.retry_after_seconds is not None:
        headers = (*headers, ("Retry-After", str(error.retry_after_seconds)))
    return Response(error.status, msgspec.json.encode(body), headers=headers)


def _openai_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
