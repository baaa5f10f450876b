"""A settings document: bytes from the wire to something that can be put in force whole, or a refusal. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trimtab_api.wire import MAX_BODY_BYTES, RefusedValue, settings_hash
from trimtab_engine.agent_link.history import History, Version
from trimtab_engine.agent_link.values import BASE_ONLY, Body, Offers, read_settings_body, refused
from trimtab_engine.settings import LiveSettings

_LONGEST_TRIAL_SECONDS = 7 * 24 * 3600.0
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Trial:
    """The end of an entry under trial: when, and what is in force from then on."""

    name: str
    expires_in_seconds: float
    fallback: LiveSettings
    fallback_hash: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document that may be put in force; `settings` are complete."""

    version: Version
    entry: str
    settings: LiveSettings
    trial: Trial | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a document changes nothing; version and entry as far as they could be read."""

    refused: list[RefusedValue]
    version: Version | None
    entry: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a document is checked against: whose, what absent settings mean, what came before, what is offered."""

    pod_uid: str
    started: LiveSettings
    history: History
    offers: Offers = field(default_factory=lambda: BASE_ONLY)


class _Named(msgspec.Struct, frozen=True):
    """The least that is read of a document that is refused."""

    entry: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]


class _Versioned(msgspec.Struct, frozen=True):
    version: Version


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The shape of a document: nothing more, nothing less."""

    pod_uid: Annotated[str, Meta(min_length=1, max_length=64)]
    version: Version
    entry: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
    settings: dict[str, msgspec.Raw]
    trial: Annotated[str, Meta(min_length=1, max_length=63)] | UnsetType = UNSET
    expires_in_seconds: Annotated[float, Meta(ge=0, le=_LONGEST_TRIAL_SECONDS)] | UnsetType = UNSET
    fallback: dict[str, msgspec.Raw] | UnsetType = UNSET


def read_document(body: bytes, expected: Expected) -> Document | Refusal:
    """Check a document whole: one wrong value, and nothing of it counts."""
    if len(body) > MAX_BODY_BYTES:
        reason = f"is longer than {MAX_BODY_BYTES} bytes"
        return Refusal([refused("document", f"{len(body)} bytes or more", reason)], None, None)
    outcome = _read(body, expected)
    return outcome if isinstance(outcome, Document) else _refusal(body, outcome)


def _read(body: bytes, expected: Expected) -> Document | list[RefusedValue]:
    try:
        wire = msgspec.json.decode(body, type=_Wire)
    except msgspec.ValidationError as error:
        return [_misshapen(body, str(error))]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [refused("document", body[:256].decode(errors="replace"), "is not JSON")]
    return _objections(wire, expected) or _read_settings(wire, expected)


def _read_settings(wire: _Wire, expected: Expected) -> Document | list[RefusedValue]:
    settings = read_settings_body(wire.settings, expected.started, expected.offers)
    if isinstance(settings, list):
        return settings
    trial = _read_trial(wire, expected)
    if isinstance(trial, list):
        return trial
    found = settings_hash(_plain(wire.settings))
    if found != wire.version.hash:
        return [refused("version.hash", wire.version.hash, f"is not that of the settings, {found}")]
    return Document(wire.version, wire.entry, settings, trial)


def _objections(wire: _Wire, expected: Expected) -> list[RefusedValue]:
    """Return what is wrong with the document beside its settings."""
    version = wire.version
    parts = {"trial": wire.trial, "expiresInSeconds": wire.expires_in_seconds, "fallback": wire.fallback}
    absent = [name for name, value in parts.items() if value is UNSET]
    history = expected.history.objection(version)
    if wire.pod_uid != expected.pod_uid:
        return [refused("podUid", wire.pod_uid, "is not this pod")]
    if history is not None:
        return [refused("version", version.generation, history)]
    if absent and len(absent) < len(parts):
        return [refused(absent[0], "(absent)", "trial, expiresInSeconds and fallback go together")]
    return []


def _read_trial(wire: _Wire, expected: Expected) -> Trial | list[RefusedValue] | None:
    if wire.trial is UNSET or wire.expires_in_seconds is UNSET or wire.fallback is UNSET:
        return None
    fallback = read_settings_body(wire.fallback, expected.started, expected.offers)
    if isinstance(fallback, list):
        return [{**value, "reason": f"in fallback: {value['reason']}"} for value in fallback]
    return Trial(wire.trial, wire.expires_in_seconds, fallback, settings_hash(_plain(wire.fallback)))


def _plain(body: Body) -> dict[str, Any]:
    return {name: msgspec.json.decode(raw) for name, raw in body.items()}


def _refusal(body: bytes, objections: list[RefusedValue]) -> Refusal:
    named, versioned = _lenient(body, _Named), _lenient(body, _Versioned)
    return Refusal(objections, None if versioned is None else versioned.version, None if named is None else named.entry)


def _lenient(body: bytes, shape: type[S]) -> S | None:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _misshapen(body: bytes, message: str) -> RefusedValue:
    """Turn msgspec's message into field, value and reason."""
    reason, found, place = message.rpartition(" - at `$")
    if not found:
        reason, place = message, ""
    unknown = _UNKNOWN_FIELD.fullmatch(reason)
    path = [part for part in place.strip(".`").split(".") if part] + ([unknown[1]] if unknown else [])
    return refused(".".join(path) or "document", _value_at(body, path), reason[:200])


def _value_at(body: bytes, path: list[str]) -> str:
    """Return the JSON text at a path, or a word where there is none."""
    raw = msgspec.Raw(body)
    try:
        for part in path:
            raw = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])[part]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return "(unreadable)"
    return bytes(raw)[:256].decode(errors="replace")
