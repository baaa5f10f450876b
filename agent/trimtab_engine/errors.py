"""The engine's error tree: each refusal knows its HTTP status and how it counts in the metrics."""

# ruff: noqa: N818  the class names are the reasons that clients read in `trimtab-reason`

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How one inference request ended; the label `outcome` of trimtab_engine_requests_total."""

    OK = "ok"
    BAD_REQUEST = "bad_request"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ERROR = "error"
    DRAINING = "draining"
    CANCELED = "canceled"


class EngineError(Exception):
    """A request that gets no result; the message is for its sender. The class name is the reason they can match on."""

    status = 500
    outcome = Outcome.ERROR

    @property
    def reason(self) -> str:
        """CamelCase reason, sent as the header `trimtab-reason`."""
        return type(self).__name__

    @property
    def retry_after_seconds(self) -> int | None:
        """Seconds after which a retry makes sense, or None where a retry changes nothing."""
        return None


class BadRequest(EngineError):
    """The request is wrong: shape, datatype, value or syntax."""

    status = 400
    outcome = Outcome.BAD_REQUEST

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnknownModel(BadRequest):
    """No model of that name or version is served here."""

    status = 404


class UnknownPath(BadRequest):
    """No such route."""

    status = 404


class MethodNotAllowed(BadRequest):
    """The route exists, the method does not."""

    status = 405


class TooLarge(BadRequest):
    """Body beyond the limit."""

    status = 413


class UnsupportedEncoding(BadRequest):
    """A compressed body; the engine reads plain bodies only."""

    status = 415


class RequestTimeout(BadRequest):
    """The client took too long to send its request."""

    status = 408


class HeadersTooLarge(BadRequest):
    """Request line and headers beyond the limit."""

    status = 431


class DeadlinePast(EngineError):
    """The deadline had passed when the request was read: no work was begun."""

    status = 408
    outcome = Outcome.EXPIRED


class DeadlineExpired(EngineError):
    """The deadline passed in the queue: no model pass was spent."""

    status = 504
    outcome = Outcome.EXPIRED


class DeadlineUnreachable(EngineError):
    """A model pass takes longer than is left until the deadline: none was spent."""

    status = 504
    outcome = Outcome.EXPIRED


class _RetryLater(EngineError):
    """A refusal that says when to come back, in whole seconds."""

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self._retry_after_seconds = retry_after_seconds

    @property
    def retry_after_seconds(self) -> int | None:
        return self._retry_after_seconds


class QueueFull(_RetryLater):
    """The queue has no room for the items of this request."""

    status = 429
    outcome = Outcome.REJECTED


class Overloaded(_RetryLater):
    """More waits than can be served in time, and without this request the others leave faster."""

    status = 503
    outcome = Outcome.REJECTED


class MemoryPressure(_RetryLater):
    """Memory is short: no new request is taken, or this one alone is predicted to need more than there is."""

    status = 503
    outcome = Outcome.REJECTED


class Draining(_RetryLater):
    """The process is ending; another replica will answer."""

    status = 503
    outcome = Outcome.DRAINING


class NotReady(_RetryLater):
    """No worker has loaded the model yet."""

    status = 503


class TooManyConnections(_RetryLater):
    """The front has no room for another connection."""

    status = 503


class OutOfMemory(_RetryLater):
    """The device had no memory for this request, even alone."""

    status = 503


class ModelFailed(EngineError):
    """The model pass of this request failed, or gave a value that is not finite."""


class WorkerDied(EngineError):
    """The worker process ended while it held this request and could not be brought back in time."""


class PoisonRequest(EngineError):
    """The request was found in two worker deaths; it is not tried again."""


class SettingError(ValueError):
    """A process setting that cannot be used; the message names it, its value and what is accepted."""
