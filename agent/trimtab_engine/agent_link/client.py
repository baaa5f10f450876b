"""The link's thread: asks the agent for settings without end, and tells it what became of them.

It never ends because of the agent: whatever goes wrong is tried again, later and later.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar
from urllib.parse import quote

from trimtab_api.wire import LONGEST_WAIT_SECONDS, REPORT_PATH, SETTINGS_PATH
from trimtab_engine.agent_link.connection import AgentConnection, Reply
from trimtab_engine.agent_link.credentials import Token, read_token
from trimtab_engine.agent_link.failures import LinkError
from trimtab_engine.agent_link.link import AgentLink, Standing
from trimtab_engine.log import Log
from trimtab_engine.metrics import AgentState
from trimtab_engine.settings import AgentSettings

_ANSWER_SECONDS = 10.0  # for an answer that is due now
_HANDLE_SECONDS = 10.0  # for the event loop to put settings in force
_FIRST_BACK_OFF_SECONDS = 0.2
_LONGEST_BACK_OFF_SECONDS = 10.0
_LONGEST_RETRY_AFTER_SECONDS = 60.0
_SHORTEST_TURN_SECONDS = 0.2  # an agent that answers without waiting costs no more than this
_NO_ENTRY = "NoEntry"
_REPORT_REFUSED = frozenset({400, 413, 415, 422})

T = TypeVar("T")


class AgentClient:
    """Owns the thread and the connection; everything that it learns is handed to the event loop."""

    def __init__(self, settings: AgentSettings, link: AgentLink, log: Log) -> None:
        self._settings = settings
        self._link = link
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._connection = AgentConnection(settings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent-link", daemon=True)
        self._state = (AgentState.OFF, "")
        self._was_attached = False
        self._answered = False  # a question, not only a report
        self._reported: int | None = None  # number of the last report that the agent has taken
        self._failures = 0

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def close(self) -> None:
        """Ask no more; a question under way is left to the end of the process."""
        self._stop.set()

    def _run(self) -> None:
        self._tell(AgentState.CONNECTING, "Started")
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._turn()
                self._failures = 0
                pause = _SHORTEST_TURN_SECONDS - (time.monotonic() - began)
            except LinkError as failure:
                pause = self._failed(failure)
            except Exception as error:  # this thread must outlive every defect
                pause = self._failed(LinkError(type(error).__name__))
            if pause > 0:
                self._stop.wait(pause)
        self._connection.close()

    def _turn(self) -> None:
        """One report if one is due, one question, one document if there is one. Raises LinkError."""
        token = read_token(self._settings.token_file)
        self._report(token)
        standing = self._link.standing
        wait = _wait_seconds(standing, self._longest_wait(), time.monotonic())
        reply = self._connection.ask(token, "GET", _question(standing, wait), None, wait + _ANSWER_SECONDS)
        no_entry = _is_no_entry(reply)
        if not no_entry and reply.status not in (200, 204):
            raise _failure(reply)
        self._attached()
        self._answered = True
        if no_entry:
            self._in_loop(self._link.no_entry)
        elif reply.status == 200:
            heard = self._in_loop(lambda: self._link.deliver(reply.body, token.pod_uid))
            self._report(token)
            if not heard:  # it would be sent again at once
                raise LinkError("DocumentUnreadable", AgentState.ATTACHED)

    def _report(self, token: Token) -> None:
        standing = self._link.standing
        if standing.number == self._reported:
            return
        reply = self._connection.ask(token, "POST", REPORT_PATH, standing.report, _ANSWER_SECONDS)
        if reply.status in _REPORT_REFUSED:  # the same again would be refused again, and settings matter more
            self._log.event("report_refused", status=reply.status, reason=reply.reason[:64])
        elif not 200 <= reply.status < 300 and not _is_no_entry(reply):
            raise _failure(reply)
        self._reported = standing.number
        self._attached()

    def _longest_wait(self) -> float:
        """Return the seconds for an answer; the first one is asked for sooner, as readiness may wait for it."""
        if self._answered or self._settings.first_settings_wait_seconds <= 0:
            return LONGEST_WAIT_SECONDS
        return min(LONGEST_WAIT_SECONDS, self._settings.first_settings_wait_seconds)

    def _attached(self) -> None:
        self._tell(AgentState.ATTACHED, "Answered")
        self._was_attached = True

    def _failed(self, failure: LinkError) -> float:
        """Note a failure. Returns the seconds to wait."""
        unreachable = AgentState.LOST if self._was_attached else AgentState.CONNECTING
        self._tell(failure.state or unreachable, failure.reason)
        if failure.state is not AgentState.ATTACHED:
            self._reported = None  # the agent that answers next may know nothing of us
        ceiling: float = min(_LONGEST_BACK_OFF_SECONDS, _FIRST_BACK_OFF_SECONDS * 2 ** min(self._failures, 16))
        self._failures += 1
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  spreads engines, hides nothing

    def _tell(self, state: AgentState, reason: str) -> None:
        if (state, reason) != self._state and not self._stop.is_set():
            self._state = (state, reason)
            with contextlib.suppress(RuntimeError):  # the loop has ended: the process does too
                self._loop.call_soon_threadsafe(self._link.state_is, state, reason)

    def _in_loop(self, call: Callable[[], T]) -> T:
        """Run a call in the event loop and wait for its result."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return future.result(_HANDLE_SECONDS)


def _question(standing: Standing, wait_seconds: int) -> str:
    known = "" if standing.known is None else f"known={quote(standing.known, safe='')}&"
    return f"{SETTINGS_PATH}?{known}wait={wait_seconds}"


def _wait_seconds(standing: Standing, longest_seconds: float, now: float) -> int:
    """How long the agent may hold the answer; no longer than a trial runs, whose end is to be reported."""
    if standing.ends_at is not None:
        longest_seconds = min(longest_seconds, standing.ends_at - now)
    return max(1, math.ceil(longest_seconds))


def _is_no_entry(reply: Reply) -> bool:
    return reply.status == 404 and reply.reason == _NO_ENTRY


def _failure(reply: Reply) -> LinkError:
    reason = reply.reason[:64] if reply.reason.isalnum() else f"Status{reply.status}"
    match reply.status:
        case 401 | 403:
            return LinkError(reason, AgentState.REFUSED)
        case 429:
            return LinkError(reason, AgentState.ATTACHED, _retry_after_seconds(reply.retry_after))
        case 503:
            return LinkError(reason, AgentState.CONNECTING)
        case _:
            return LinkError(reason)


def _retry_after_seconds(text: str) -> float:
    seconds = int(text) if re.fullmatch("[0-9]{1,6}", text) else 1
    return min(max(1.0, float(seconds)), _LONGEST_RETRY_AFTER_SECONDS)
