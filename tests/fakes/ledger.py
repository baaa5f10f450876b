"""Builders of what stands in a policy's status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fakes.builders import NOW


def stamp(seconds: float) -> str:
    """Unix seconds as the API writes them."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def an_entry(*, at: float = NOW - 60.0, **fields: Any) -> dict[str, Any]:
    """An entry of the ledger: our scaling from 1 to 2, a minute ago."""
    entry = {"id": "e", "what": "Scaled", "from": "1", "to": "2", "why": "Utilization: busy", "at": stamp(at)}
    return entry | fields


def an_intent(*, at: float = NOW - 1.0, **fields: Any) -> dict[str, Any]:
    """An intent to scale from 2 to 3, a second old."""
    intent = {"id": "scale-1", "kind": "Scale", "from": "2", "to": "3", "reason": "Utilization: busy", "at": stamp(at)}
    return intent | fields


def replicas(current: int = 2, desired: int | None = None, *, at: float = NOW - 15.0, **fields: Any) -> dict[str, Any]:
    """The replicas as they stood in status at the last write."""
    wanted = current if desired is None else desired
    return {"current": current, "desired": wanted, "uncapped": wanted, "at": stamp(at), "reason": ""} | fields
