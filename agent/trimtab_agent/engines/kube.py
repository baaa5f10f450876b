"""The API server as the agent needs it: its own NodeTuning, TokenReviews and its certificate signing requests."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

Json = dict[str, Any]

CALL_TIMEOUT_SECONDS = 10.0
CONNECT_TIMEOUT_SECONDS = 5.0
SILENT_WATCH_SECONDS = 120.0
"""A watch that is silent for so long (the API server writes a bookmark each minute) is taken for dead."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""256 entries with their reports are far below; the API server stores no object above 1.5 MiB."""
MAX_CALLS = 32

TUNINGS = "/apis/trimtab.dev/v1alpha1/nodetunings"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
SIGNING_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


class ApiError(Exception):
    """The API server did not do what was asked."""


class ApiUnavailableError(ApiError):
    """It was not reached, did not answer in time, or could not answer now: worth another try."""


class ApiRefusedError(ApiError):
    """It understood and refused; the same call again would be refused again."""


class ApiNotFoundError(ApiRefusedError):
    """There is no such object."""


class ApiConflictError(ApiRefusedError):
    """The object is another one than the call spoke of: changed meanwhile, or there already."""


class ApiGoneError(ApiError):
    """The version from which a watch should go on is no longer kept: list anew."""


_ERRORS: dict[int, type[ApiError]] = {404: ApiNotFoundError, 409: ApiConflictError, 410: ApiGoneError}


@dataclass(frozen=True)
class ApiAccess:
    """Where the API server is, and the two files by which both sides know each other; both rotate."""

    server: str
    token_file: Path
    ca_file: Path


class KubeApi:
    """One connection pool. Nothing is retried here: the loops do that, each at its own pace."""

    def __init__(self, access: ApiAccess, call_timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> None:
        self._access = access
        self._call_timeout = aiohttp.ClientTimeout(call_timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None
        self._context_of: float | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def list_tunings(self, node: str) -> Json:
        """List the NodeTuning of the node: a list of one or none, and the version from which to watch."""
        return await self._call("GET", TUNINGS, query={"fieldSelector": f"metadata.name={node}"})

    async def tuning(self, node: str) -> Json:
        """Return the NodeTuning of the node as it is now. Raises ApiNotFoundError."""
        return await self._call("GET", f"{TUNINGS}/{quote(node)}")

    async def patch_tuning_status(self, node: str, resource_version: str, status: Json) -> Json:
        """Write the node's status, if the object still is that version. Raises ApiConflictError when it is not."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        return await self._call("PATCH", f"{TUNINGS}/{quote(node)}/status", body)

    async def review_token(self, token: str, audience: str) -> Json:
        """Ask who a token belongs to; returns the status of the TokenReview."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        status: Json = (await self._call("POST", TOKEN_REVIEWS, review)).get("status") or {}
        return status

    async def create_signing_request(self, request: Json) -> Json:
        """Create a CertificateSigningRequest. Raises ApiConflictError when there is one of that name."""
        return await self._call("POST", SIGNING_REQUESTS, request)

    async def signing_request(self, name: str) -> Json:
        """Return a CertificateSigningRequest. Raises ApiNotFoundError."""
        return await self._call("GET", f"{SIGNING_REQUESTS}/{quote(name)}")

    async def watch_tunings(self, node: str, resource_version: str, seconds: int) -> AsyncIterator[Json]:
        """Yield the events of the node's NodeTuning after a version, for so long. Raises ApiError."""
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={node}",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        timeout = aiohttp.ClientTimeout(
            seconds + CALL_TIMEOUT_SECONDS, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=SILENT_WATCH_SECONDS
        )
        async with self._answer("GET", TUNINGS, None, query, timeout) as answer:
            async for line in _lines(answer):
                event = _parsed(line)
                if event.get("type") == "ERROR":
                    failure = event.get("object") or {}
                    _raise(failure.get("code", 500), "watch", str(failure.get("message", "")))
                yield event

    async def _call(
        self, method: str, path: str, body: Json | None = None, query: Mapping[str, str] | None = None
    ) -> Json:
        async with self._answer(method, path, body, query or {}, self._call_timeout) as answer:
            return _parsed(await _whole(answer))

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: Json | None, query: Mapping[str, str], patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open one call; whatever goes wrong on the way becomes an ApiError."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=MAX_CALLS))
        try:
            async with self._session.request(
                method,
                self._access.server + path,
                params=query,
                data=None if body is None else json.dumps(body),
                headers=self._headers(method),
                timeout=patience,
                ssl=self._tls(),
                allow_redirects=False,
            ) as answer:
                if answer.status >= 300:
                    _raise(answer.status, f"{method} {path}", _message(path, await _whole(answer)))
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailableError(f"{method} {path}: {type(error).__name__}: {error}") from error

    def _headers(self, method: str) -> dict[str, str]:
        """Read the token anew for each call: the kubelet replaces it long before it expires."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        token = self._access.token_file.read_text().strip()
        return {"Authorization": f"Bearer {token}", "Accept": "application/json", "Content-Type": kind}

    def _tls(self) -> ssl.SSLContext:
        changed = self._access.ca_file.stat().st_mtime
        if self._context is None or changed != self._context_of:
            self._context, self._context_of = ssl.create_default_context(cafile=str(self._access.ca_file)), changed
        return self._context


def _raise(code: int, call: str, message: str) -> None:
    kind = _ERRORS.get(code, ApiRefusedError if 400 <= code < 500 and code not in (408, 429) else ApiUnavailableError)
    raise kind(f"{call}: {code} {message[:500]}".strip())


def _message(path: str, answer: bytes) -> str:
    """Return what the API server says about a failure; about a TokenReview nothing, it may repeat the token."""
    if path == TOKEN_REVIEWS:
        return ""
    try:
        return str(_parsed(answer).get("message", ""))
    except ApiUnavailableError:
        return ""


def _parsed(text: bytes) -> Json:
    """Decode an answer. The error does not quote it: the answer to a TokenReview repeats the token."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ApiUnavailableError("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise ApiUnavailableError("the answer is no object")
    return found


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        _bound(body)
    return bytes(body)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Split a watch into lines; the client library's own reader refuses lines as long as a full NodeTuning."""
    rest = bytearray()
    async for part in answer.content.iter_any():
        rest += part
        while (end := rest.find(b"\n")) >= 0:
            line = bytes(rest[:end])
            del rest[: end + 1]
            if line.strip():
                yield line
        _bound(rest)


def _bound(body: bytearray) -> None:
    if len(body) > MAX_ANSWER_BYTES:
        raise ApiUnavailableError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
