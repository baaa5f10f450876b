"""What all inference routes share: parse, admit, answer in the protocol's form, count how it ended."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from trimtab_engine.errors import BadRequest, EngineError, ModelFailed, Outcome
from trimtab_engine.http_exchange import Exchange
from trimtab_engine.http_message import Request, Response
from trimtab_engine.intake import Intake
from trimtab_engine.jobs import Answer, InferenceInputs, Job
from trimtab_engine.log import Log
from trimtab_engine.routes.error_form import error_response

# One letter per input, in order: h = answered from the cache, m = computed, s = shared with an equal input.
CACHE_HEADER = "trimtab-cache"
# The model's version and variant that computed the answer; one per input, with commas, where they differ.
VERSION_HEADER = "trimtab-version"

Headers = tuple[tuple[str, str], ...]
Render = Callable[[list[Answer], Headers], Response]

T = TypeVar("T")


class ParsedRequest(NamedTuple):
    """Inputs, and how their answers become a response."""

    inputs: InferenceInputs
    render: Render


def read_json(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Read a JSON body.

    Raises:
        BadRequest: it is no JSON, or not of the decoder's type.
    """
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the JSON body cannot be read: {error or 'nested too deeply'}") from error


class InferenceEndpoint:
    """One route that runs a model."""

    def __init__(self, intake: Intake, parse: Callable[[Request], ParsedRequest], log: Log) -> None:
        self._intake = intake
        self._parse = parse
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._succeeded = 0  # not yet in the metrics

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer the exchange, now or when the model is done. Raises nothing."""
        try:
            parsed = self._parse(request)
            request.body = b""  # a request may wait long; its inputs live on in the job
            job = self._intake.infer(
                parsed.inputs,
                request.began_at,
                request.received_at,
                partial(self._end, parsed.render, request, exchange),
            )
            if not job.ended:
                exchange.on_gone = partial(self._intake.cancel, job)
        except EngineError as error:
            self._intake.metrics.refused(error)
            exchange.reply(error_response(request.path, error))
        except Exception as error:
            self._unexpected(error, request, exchange)

    def _end(self, render: Render, request: Request, exchange: Exchange, job: Job) -> None:
        if job.canceled:
            self._intake.metrics.requests[Outcome.CANCELED].inc()
            return
        try:
            if job.error is not None:
                raise job.error
            answers = [answer for answer in job.answers if answer is not None]
            headers = ((CACHE_HEADER, job.hits.decode()), (VERSION_HEADER, _versions(answers)))
            response = render(answers, headers)
            self._time(job)
            self._count_success()
            exchange.reply(response)
        except EngineError as error:
            if error.outcome is Outcome.ERROR:
                self._time(job)
            self._intake.metrics.refused(error, job.longest)
            exchange.reply(error_response(request.path, error))
        except Exception as error:
            self._unexpected(error, request, exchange)

    def _time(self, job: Job) -> None:
        self._intake.metrics.request_seconds.observe(time.monotonic() - job.received_at, job.period)

    def _count_success(self) -> None:
        """Count at the end of the turn: a batch's requests are all answered in one."""
        if self._succeeded == 0:
            self._loop.call_soon(self._book_successes)
        self._succeeded += 1

    def _book_successes(self) -> None:
        self._intake.metrics.requests[Outcome.OK].inc(self._succeeded)
        self._succeeded = 0

    def _unexpected(self, error: Exception, request: Request, exchange: Exchange) -> None:
        failure = ModelFailed("an unexpected error; the server's log has the trace")
        self._intake.metrics.refused(failure)
        log_defect(self._log, error)
        exchange.reply(error_response(request.path, failure))


def _versions(answers: list[Answer]) -> str:
    first = answers[0].version
    if len(answers) == 1:
        return first
    return first if all(answer.version == first for answer in answers) else ",".join(a.version for a in answers)


def log_defect(log: Log, error: Exception) -> None:
    """Log where a defect is; not its message, which may quote an input."""
    frames = traceback.extract_tb(error.__traceback__)
    log.event("defect", error=type(error).__name__, trace=" < ".join(f"{f.filename}:{f.lineno}" for f in frames[::-1]))
