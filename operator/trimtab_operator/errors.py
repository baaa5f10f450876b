"""The error tree. Few verbs: skip the tick and retry (most), refuse (invalid input), stop (leadership lost).

TrimtabError
├── InvalidSettings        the process settings cannot work: refuse to start
├── InvalidPolicy          the stored policy does not fit its model: a condition, no tick
├── PrometheusError        one query failed: the signal's state is Error
├── LeadershipLost         the Lease is not ours any more: stop the process, write nothing
├── UnsafeStep             a step that both persists an intent and acts: refuse
└── KubeError              one call to the API server failed
    ├── KubeUnavailable    no answer, or a server error: retry
    ├── KubeNotFound       404
    ├── KubeConflict       409, a stale resourceVersion or an existing name
    ├── KubeForbidden      401 or 403
    └── KubeInvalid        400, 413, 415 or 422: the body was refused
"""

from __future__ import annotations


class TrimtabError(Exception):
    """Root of everything that this operator raises on purpose."""


class InvalidSettings(TrimtabError):  # noqa: N818 - named by what happened
    """A process setting is missing or wrong; the message names the variable, its value and what is accepted."""


class InvalidPolicy(TrimtabError):  # noqa: N818 - named by what happened
    """A stored policy does not fit its model; the message names field, value and what is accepted."""


class PrometheusError(TrimtabError):
    """One query failed. `query` is the PromQL."""

    def __init__(self, query: str, message: str) -> None:
        super().__init__(message)
        self.query = query


class LeadershipLost(TrimtabError):  # noqa: N818 - named by what happened
    """The Lease is not held, or its renewal is overdue: nothing may be written."""


class UnsafeStep(TrimtabError):  # noqa: N818 - named by what happened
    """A step carries a new intent and actions at once; acting on it could leave a change that nobody verifies."""


class KubeError(TrimtabError):
    """One call to the API server failed. `call` reads as `patch deployments/scale prod/llama`."""

    def __init__(self, call: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{call}: {message}")
        self.call = call
        self.message = message
        self.status = status


class KubeUnavailable(KubeError):  # noqa: N818 - named by what happened
    """No answer in time, no connection, 429 or a server error."""


class KubeNotFound(KubeError):  # noqa: N818 - named by what happened
    """The object (or its kind) does not exist."""


class KubeConflict(KubeError):  # noqa: N818 - named by what happened
    """The resourceVersion is stale, or the name is taken."""


class KubeForbidden(KubeError):  # noqa: N818 - named by what happened
    """The service account may not do this."""


class KubeInvalid(KubeError):  # noqa: N818 - named by what happened
    """The API server refused the body."""
