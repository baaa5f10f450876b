"""What the sender of a dropped request is told."""

from __future__ import annotations

from trimtab_engine.batching.rule import DropReason
from trimtab_engine.errors import DeadlineExpired, DeadlineUnreachable, EngineError, Overloaded


def error_of(reason: DropReason, retry_after_seconds: int) -> EngineError:
    """Return the refusal of a request that left the queue for this reason."""
    if reason is DropReason.EXPIRED:
        return DeadlineExpired("the deadline passed while the request waited in the queue; no work was spent")
    if reason is DropReason.UNREACHABLE:
        return DeadlineUnreachable("a pass through the model takes longer than is left; no work was spent")
    return Overloaded("others can be served in time only without this request", retry_after_seconds)
