"""When the authority is replaced, and which of the two signs meanwhile. State and time come in; nothing is done here.

A rotation: the new authority is stored and published beside the old one; `settle` seconds after both are published
(engines have read the new one by then) the new one signs; `grace` seconds later the last leaf of the old one is over,
and the old one goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from trimtab_operator.controllers.trust.authority import AUTHORITY_SECONDS, Authority
from trimtab_operator.settings import TrustSettings

ROTATE_BELOW_SECONDS: Final = AUTHORITY_SECONDS / 4


@dataclass(frozen=True)
class Authorities:
    """What is stored: the newest authority, and during a rotation the one before it.

    `published_at` (unix seconds): since when every namespace has both; None until then. `asked` is the person's newest
    wish to rotate, `honoured` the last one that was followed.
    """

    current: Authority
    previous: Authority | None = None
    published_at: float | None = None
    asked: str = ""
    honoured: str = ""

    @property
    def bundle(self) -> str:
        """The certificates to trust, as PEM: that of the newest authority first."""
        previous = "" if self.previous is None else self.previous.certificate_pem
        return self.current.certificate_pem + previous


class Plan(StrEnum):
    """What to do with the stored authorities now."""

    CREATE = "create"
    KEEP = "keep"
    BEGIN = "begin a rotation"
    DROP = "drop the previous"


def plan(stored: Authorities | None, now: float, settings: TrustSettings) -> Plan:
    """Decide at `now` (unix seconds). A wish during a rotation waits for its end: two are trusted at most."""
    if stored is None or stored.current.expires_at <= now:
        return Plan.CREATE
    if stored.previous is not None:
        return Plan.DROP if _seconds_published(stored, now) >= settings.rotation_seconds else Plan.KEEP
    is_asked_for = bool(stored.asked) and stored.asked != stored.honoured
    is_due = stored.current.expires_at - now < ROTATE_BELOW_SECONDS
    return Plan.BEGIN if is_asked_for or is_due else Plan.KEEP


def signer(stored: Authorities, now: float, settings: TrustSettings) -> Authority:
    """Return the authority that signs at `now` (unix seconds)."""
    previous = stored.previous
    if previous is None or previous.expires_at <= now or _seconds_published(stored, now) >= settings.settle_seconds:
        return stored.current
    return previous


def _seconds_published(stored: Authorities, now: float) -> float:
    return -1.0 if stored.published_at is None else now - stored.published_at
