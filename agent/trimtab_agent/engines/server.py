"""The wire's HTTP routes: an engine asks for its settings and reports; only its token tells which pod it is."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trimtab_agent.engines.attached import Engines
from trimtab_agent.engines.documents import document_for
from trimtab_agent.engines.identity import PodIdentity, Refusal
from trimtab_agent.engines.known_tuning import KnownTuning
from trimtab_agent.engines.pace import Buckets
from trimtab_agent.engines.polls import Polls, Wake
from trimtab_agent.engines.protocol import MAX_HEAD_BYTES, WireProtocol, bound_buffers
from trimtab_agent.engines.reports import BadReportError, read_report
from trimtab_agent.engines.token_review import ReviewUnavailableError, TokenReviews
from trimtab_api.wire import LONGEST_WAIT_SECONDS, MAX_BODY_BYTES, REASON_HEADER, REPORT_PATH, SETTINGS_PATH

MAX_TOKEN_CHARACTERS = 8 * 1024
BODY_SECONDS = 10.0
SAY_AGAIN_SECONDS = 60.0
MAX_SAID = 1024

_log = logging.getLogger(__name__)


class TurnedAwayError(Exception):
    """The request ends here, with this answer."""

    def __init__(self, status: int, reason: str, outcome: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(reason)
        self.outcome = outcome
        headers = {REASON_HEADER: reason}
        if retry_after_seconds is not None:
            headers["Retry-After"] = str(retry_after_seconds)
        if status not in (404, 429):
            # Whoever is not let in, or sent what was not read to its end, holds no connection.
            headers["Connection"] = "close"
        self.response = Response(status_code=status, headers=headers)


Answer = tuple[str, Response]
"""How it went, for the count, and what is sent."""


@dataclass(frozen=True)
class Desk:
    """What the two routes work with. `now` tells the time; `count` is told path and outcome of each request."""

    known: KnownTuning
    polls: Polls
    engines: Engines
    reviews: TokenReviews
    buckets: Buckets
    now: Callable[[], datetime]
    count: Callable[[str, str], None]


class Wire:
    """The two routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._said: dict[str, float] = {}

    def app(self) -> Starlette:
        """Build the application."""
        return Starlette(
            routes=[
                Route(SETTINGS_PATH, self._counted("settings", self._settings)),
                Route(REPORT_PATH, self._counted("report", self._report), methods=["POST"]),
            ]
        )

    def _counted(
        self, path: str, answer: Callable[[Request], Awaitable[Answer]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                outcome, response = await answer(request)
            except TurnedAwayError as turned:
                outcome, response = turned.outcome, turned.response
            self._desk.count(path, outcome)
            return response

        return endpoint

    async def _admit(self, request: Request) -> PodIdentity:
        """Return the pod that asks. Raises TurnedAwayError."""
        if not self._desk.known.synced:
            raise TurnedAwayError(503, "NotSynced", "not_synced", 1)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN_CHARACTERS:
            raise self._refused(Refusal.NOT_AUTHENTICATED)
        try:
            pod = await self._desk.reviews.judge(token)
        except ReviewUnavailableError as error:
            raise TurnedAwayError(503, "ReviewUnavailable", "unavailable", 1) from error
        if isinstance(pod, Refusal):
            raise self._refused(pod)
        wait = self._desk.buckets.retry_after_seconds(pod.uid)
        if wait:
            raise TurnedAwayError(429, "TooManyRequests", "limited", wait)
        return pod

    def _refused(self, refusal: Refusal) -> TurnedAwayError:
        if self._may_say(refusal):
            _log.warning("engine refused", extra={"values": {"reason": refusal}})
        return TurnedAwayError(refusal.status, refusal, "refused")

    def _may_say(self, what: str) -> bool:
        """Whether the log has not had it for a minute: callers must not fill it."""
        now = time.monotonic()
        if now - self._said.get(what, -SAY_AGAIN_SECONDS) < SAY_AGAIN_SECONDS:
            return False
        if len(self._said) >= MAX_SAID:
            self._said.clear()
        self._said[what] = now
        return True

    async def _settings(self, request: Request) -> Answer:
        pod = await self._admit(request)
        known, seconds = _question(request)
        deadline = time.monotonic() + seconds
        if self._desk.known.entry_hash(pod.uid) is not None:
            self._desk.engines.asked(pod.uid)
        wake = Wake.CHANGED
        while wake is Wake.CHANGED and self._desk.known.entry_hash(pod.uid) in (None, known):
            wake = await self._desk.polls.wait(pod.uid, max(0.0, deadline - time.monotonic()))
        document = document_for(self._desk.known.body, pod.uid, self._desk.now())
        if document is not None:
            self._desk.engines.asked(pod.uid)
            if document["entry"] != known:
                return "document", JSONResponse(document)
        if document is None and wake is not Wake.DISPLACED:
            raise TurnedAwayError(404, "NoEntry", "no_entry")
        return "unchanged", Response(status_code=204)

    async def _report(self, request: Request) -> Answer:
        pod = await self._admit(request)
        if self._desk.known.entry_hash(pod.uid) is None:
            raise TurnedAwayError(404, "NoEntry", "no_entry")
        try:
            report = read_report(await _body(request))
        except BadReportError as error:
            if self._may_say(pod.uid):
                values = {"pod": pod.pod, "uid": pod.uid, "error": str(error)}
                _log.warning("report refused", extra={"values": values})
            raise TurnedAwayError(400, "BadReport", "bad") from error
        self._desk.engines.reported(pod.uid, report)
        return "accepted", Response(status_code=204)


def _question(request: Request) -> tuple[str | None, float]:
    """Return the known entry, and how long to wait. Raises TurnedAwayError."""
    try:
        seconds = float(request.query_params.get("wait", "0"))
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise TurnedAwayError(400, "BadWait", "bad")
    return request.query_params.get("known"), min(seconds, LONGEST_WAIT_SECONDS)


async def _body(request: Request) -> bytes:
    """Read a report's body, no more of it than it may have. Raises TurnedAwayError."""
    declared = request.headers.get("content-length", "0")
    body = bytearray()
    if not declared.isdecimal() or int(declared) > MAX_BODY_BYTES:
        raise TurnedAwayError(413, "BadReport", "bad")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise TurnedAwayError(413, "BadReport", "bad")
    except (TimeoutError, ClientDisconnect) as error:
        raise TurnedAwayError(408, "BadReport", "bad") from error
    return bytes(body)


class WireServer(uvicorn.Server):
    """uvicorn that leaves the process's signals to the metrics server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def build_server(app: Starlette, context: ssl.SSLContext) -> WireServer:
    """Build the HTTPS server around a live TLS context."""
    bound_buffers()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="asyncio",
        http=WireProtocol,
        ws="none",
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ssl_context_factory=lambda _config, _default: context,
    )
    return WireServer(config)
