"""Makes the document that an engine is given out of a NodeTuning's body: pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trimtab_api.wire import SettingsDocument, entry_hash, settings_hash

Json = dict[str, Any]


def entries_of(tuning: Mapping[str, Any] | None) -> dict[str, Json]:
    """Map pod uid to its entry; no object has no entries."""
    engines = ((tuning or {}).get("spec") or {}).get("engines") or ()
    return {entry["podUid"]: entry for entry in engines}


def is_expired(entry: Mapping[str, Any], now: datetime) -> bool:
    """Whether the entry's trial is over; an entry without trial never is."""
    expires_at = entry.get("expiresAt")
    return expires_at is not None and now >= datetime.fromisoformat(expires_at)


def asked_settings(entry: Mapping[str, Any], now: datetime) -> Json:
    """Return what the entry asks for now: its settings, or its fallback once the trial is over."""
    return dict((entry.get("fallback") if is_expired(entry, now) else entry.get("settings")) or {})


def document_for(tuning: Mapping[str, Any] | None, pod_uid: str, now: datetime) -> SettingsDocument | None:
    """Return the document of one pod, None when it has no entry. `now` is in any time zone.

    An entry whose trial is over is told as its fallback, without a trial: an engine that first asks then must not
    start it.
    """
    entry = entries_of(tuning).get(pod_uid)
    if tuning is None or entry is None:
        return None
    settings = asked_settings(entry, now)
    metadata = tuning["metadata"]
    document: SettingsDocument = {
        "podUid": pod_uid,
        "version": {
            "uid": metadata.get("uid", ""),
            "generation": metadata.get("generation", 0),
            "hash": settings_hash(settings),
        },
        "entry": entry_hash(entry),
        "settings": settings,
    }
    if entry.get("trial") is not None and not is_expired(entry, now):
        document["trial"] = entry["trial"]
        document["expiresInSeconds"] = (datetime.fromisoformat(entry["expiresAt"]) - now).total_seconds()
        document["fallback"] = dict(entry.get("fallback") or {})
    return document
