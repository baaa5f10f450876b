"""Composes NodeTuning.status out of the entries, what the engines reported, and the status so far: pure.

Only pods with an entry are reported. What an engine told a former agent stands until it tells something new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trimtab_agent.engines.attached import Engine
from trimtab_agent.engines.documents import asked_settings, entries_of, is_expired
from trimtab_api.engine_knobs import ENGINE_KNOBS, ChangeCost, Knob
from trimtab_api.wire import LOST_SECONDS, SettingsReport, settings_hash

Json = dict[str, Any]

MAX_SENTENCE = 1024


@dataclass(frozen=True)
class _State:
    """A condition's status, reason and message."""

    status: str
    reason: str
    message: str = ""


def compose_status(
    tuning: Mapping[str, Any], engines: Mapping[str, Engine], started_at: datetime, now: datetime
) -> Json:
    """Return the whole status. `started_at` is when this agent began to listen; times are zone-aware."""
    before = {report["podUid"]: report for report in (tuning.get("status") or {}).get("engines") or ()}
    entries = entries_of(tuning)
    reports = [
        _report(entry, engine, before.get(uid), now)
        for uid, entry in entries.items()
        if (engine := engines.get(uid) or _unheard(before.get(uid), started_at)) is not None
    ]
    running = sum(all(condition["status"] == "True" for condition in report["conditions"]) for report in reports)
    return {
        "observedGeneration": tuning["metadata"].get("generation", 0),
        "summary": f"{running}/{len(entries)}",
        "engines": reports,
    }


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two statuses say the same, whenever the engines answered."""
    return _timeless(one) == _timeless(other)


def _timeless(status: Mapping[str, Any]) -> Json:
    engines = status.get("engines") or ()
    return {**status, "engines": [{**engine, "at": None} for engine in engines]}


def _unheard(before: Mapping[str, Any] | None, started_at: datetime) -> Engine | None:
    """Return an engine that only a former agent heard: it has from our start on to ask again."""
    return None if before is None else Engine(started_at)


def _report(entry: Mapping[str, Any], engine: Engine, before: Mapping[str, Any] | None, now: datetime) -> Json:
    told = _told(engine, before)
    states = {"Attached": _attached(engine, now), "Applied": _applied(entry, engine.report, told, now)}
    conditions = [_condition(kind, state, before, now) for kind, state in states.items()]
    return {"podUid": entry["podUid"], **told, "conditions": conditions}


def _told(engine: Engine, before: Mapping[str, Any] | None) -> Json:
    """Return what the engine said: to us, or to a former agent."""
    report = engine.report
    if report is None or engine.reported_at is None:
        kept = {key: value for key, value in (before or {}).items() if key not in ("podUid", "conditions")}
        return {"at": _time(engine.asked_at), **kept}
    told: Json = {
        "applied": dict(report["applied"]),
        "refused": [dict(row) for row in report["refused"] if row["setting"] in set(Knob)],
        "pending": [dict(row) for row in report["pending"]],
        "knobs": [dict(row) for row in report["knobs"]],
        "at": _time(engine.reported_at),
    }
    if "shadowed" in report:
        told["shadowed"] = [dict(row) for row in report["shadowed"]]
    return told if report["appliedHash"] is None else {"appliedHash": report["appliedHash"], **told}


def _attached(engine: Engine, now: datetime) -> _State:
    if engine.is_attached(now):
        return _State("True", "Asking")
    return _State("False", "Lost", f"The engine has not asked for {LOST_SECONDS:g} s.")


def _applied(entry: Mapping[str, Any], report: SettingsReport | None, told: Json, now: datetime) -> _State:
    if "applied" not in told:
        return _State("Unknown", "NotReported", "The engine has not reported yet.")
    expired = is_expired(entry, now)
    wanted = settings_hash(asked_settings(entry, now))
    if told.get("appliedHash") == wanted:
        return _slow(told, wanted, report) or _State("True", "Expired" if expired else "AsAsked")
    is_about_this = report is None or _asked_hash(report) == wanted
    rows = told.get("refused", ()) if report is None else report["refused"]
    if rows and is_about_this:
        return _refused(rows)
    return _State("False", "Pending", "The engine has not applied what its entry asks now.")


def _slow(told: Json, wanted: str, report: SettingsReport | None) -> _State | None:
    """Return how it stands with settings in force whose effect takes time; None where all have taken effect.

    The newest document may be another one that was refused; its refusals say nothing of the settings in force.
    """
    rows = [row for row in told.get("refused", ()) if ENGINE_KNOBS[Knob(row["setting"])].cost is not ChangeCost.HOT]
    pending = told.get("pending", ())
    if pending:
        said = "; ".join(f"{row['setting']} {row['value']}: {row['phase']}" for row in pending)
        return _State("False", "Pending", said)
    if rows and (report is None or _asked_hash(report) == wanted):
        return _refused(rows)
    return None


def _asked_hash(report: SettingsReport) -> str | None:
    """Return the hash of the newest document's settings, whatever became of it."""
    return None if report["version"] is None else report["version"]["hash"]


def _refused(rows: Iterable[Mapping[str, Any]]) -> _State:
    said = "; ".join(f"{row['setting']} {row['value']}: {row['reason']}" for row in rows)
    return _State("False", "Refused", said[:MAX_SENTENCE])


def _condition(kind: str, state: _State, before: Mapping[str, Any] | None, now: datetime) -> Json:
    former = next((each for each in (before or {}).get("conditions") or () if each["type"] == kind), None)
    since = former["lastTransitionTime"] if former is not None and former["status"] == state.status else _time(now)
    return {
        "type": kind,
        "status": state.status,
        "reason": state.reason,
        "message": state.message,
        "lastTransitionTime": since,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
