"""The wire between an engine and the agent of its node: paths, headers, limits and the shape of the two documents.

HTTPS and JSON; the engine dials. `GET SETTINGS_PATH?known=<entry>&wait=<seconds>` is answered with

* 200 and a SettingsDocument, when the pod's entry is not the known one;
* 204, when it still was after the wait;
* 404 with the reason NoEntry, when the pod had no entry all that time (which never changes a running engine);
* 401 or 403 with a reason, 429 with Retry-After, or 503 with the reason NotSynced.

`POST REPORT_PATH` with a SettingsReport is answered with 204, or as above. Plain data without pydantic: the engine's
front process imports it at every start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypedDict

AUDIENCE: Final = "trimtab-agent"
"""Audience of the projected service account token that an engine presents."""
SIGNER: Final = "trimtab.dev/agent-serving"
"""signerName of the agents' certificate signing requests."""
SERVICE: Final = "trimtab-agent"
"""Name of the agents' Service in the release's namespace; its traffic stays on the node."""
PORT: Final = 9443
CA_CONFIG_MAP: Final = "trimtab-ca"
"""ConfigMap with the certificates to trust, in every namespace whose policies need it."""
CA_KEY: Final = "ca.crt"

SETTINGS_PATH: Final = "/v1/settings"
REPORT_PATH: Final = "/v1/report"
REASON_HEADER: Final = "trimtab-reason"
MAX_BODY_BYTES: Final = 64 * 1024
MAX_REFUSED: Final = 8
MAX_PENDING: Final = 4
"""Most rows of `refused`, and of `pending` and `shadowed`, in a report: what the status of a NodeTuning takes."""
LONGEST_WAIT_SECONDS: Final = 30.0
LOST_SECONDS: Final = 90.0
"""An engine that has not asked for so long counts as not attached: three waits."""


class Version(TypedDict):
    """Which state of the NodeTuning a document was made from, and the hash of its settings."""

    uid: str
    generation: int
    hash: str


class SettingsDocument(TypedDict):
    """Everything that an engine shall run with. Complete, not a patch: an absent setting is the one it started with.

    `settings` and `fallback` are bodies of EngineSettings. Under a trial the engine goes back to `fallback` by itself
    after `expiresInSeconds`. `entry` names this very entry for the next `known`.
    """

    podUid: str
    version: Version
    entry: str
    settings: dict[str, Any]
    trial: NotRequired[str]
    expiresInSeconds: NotRequired[float]
    fallback: NotRequired[dict[str, Any]]


class RefusedValue(TypedDict):
    """A setting that the engine would not take; `setting` is a Knob, or the document's offending field."""

    setting: str
    value: str
    reason: str


class PendingSetting(TypedDict):
    """A setting whose effect takes time: what was asked for and is under way; `phase` is the engine's word for where.

    Until then `applied` shows what is really in force; what comes to nothing ends in `refused`.
    """

    setting: str
    value: str
    phase: str


class Compared(TypedDict):
    """How a setting that alters answers compared with the unmodified model, before it answered a request.

    `accuracyLow` is the lower end of a 95 % interval of their agreement on so many inputs.
    """

    setting: str
    value: str
    accuracyLow: str
    minAccuracy: str
    inputs: int


class ShadowedSetting(Compared, total=False):
    """What was found in shadow; `speedup` is how many times as fast as the unmodified model it was timed.

    The row stands while the setting is in force, or refused. Its numbers are written as in the kind NodeTuning.
    """

    speedup: str


class DeclaredKnob(TypedDict):
    """A knob as the engine declares it: `low` and `high` written as settings are, or the `allowed` words."""

    setting: str
    low: NotRequired[str]
    high: NotRequired[str]
    allowed: NotRequired[list[str]]
    cost: str


class ReportOfEveryEngine(TypedDict):
    """What every engine tells of the newest document.

    `version` is that of the document, null before the first. `appliedHash` is the hash of the settings in force: those
    of a document, of its fallback after the trial expired (`expired`), or null while the engine runs as it started.
    """

    version: Version | None
    applied: dict[str, Any]
    appliedHash: str | None
    refused: list[RefusedValue]
    pending: list[PendingSetting]
    expired: bool
    knobs: list[DeclaredKnob]


class SettingsReport(ReportOfEveryEngine, total=False):
    """What the engine made of the newest document. `shadowed` is absent where there is nothing to tell."""

    shadowed: list[ShadowedSetting]


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Return 16 hex digits that name a settings body, whatever the order of its fields."""
    return _digest(settings)


def entry_hash(entry: Mapping[str, Any]) -> str:
    """Return 16 hex digits that name an engine's entry in a NodeTuning: settings, trial, expiry and fallback."""
    return _digest({key: entry.get(key) for key in ("settings", "trial", "expiresAt", "fallback")})


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
