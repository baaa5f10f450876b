"""Why a turn of the link came to nothing, and how it stands with the agent then."""

from __future__ import annotations

from trimtab_engine.metrics import AgentState


class LinkError(Exception):
    """A turn that is tried again later; the message is one word for the log.

    `state` None means that nothing answers; `retry_after_seconds` is what the agent asked for.
    """

    def __init__(self, reason: str, state: AgentState | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.state = state
        self.retry_after_seconds = retry_after_seconds


def untrusted(reason: str) -> LinkError:
    """Return the failure of a proof: ours to the agent, or the agent's to us."""
    return LinkError(reason, AgentState.UNTRUSTED)
