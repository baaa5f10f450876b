"""The authority's Secret: how it is written, read, and taken one step further. Its keys go nowhere else."""

from __future__ import annotations

import base64
import binascii
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from trimtab_operator.controllers.trust.authority import Authority, load_authority, make_authority
from trimtab_operator.controllers.trust.rotation import Authorities, Plan, plan
from trimtab_operator.errors import KubeNotFound
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import SECRETS
from trimtab_operator.settings import TrustSettings

SECRET: Final = "trimtab-ca"  # noqa: S105 - the name of an object
OURS: Final = {"app.kubernetes.io/managed-by": "trimtab", "app.kubernetes.io/name": "trimtab"}
"""Labels of what this operator makes; nothing without the first is ever changed."""

ROTATE: Final = "trimtab.dev/rotate"
"""Annotation for people: any new value starts a rotation."""
ROTATED: Final = "trimtab.dev/rotated"
PUBLISHED: Final = "trimtab.dev/published"

_CURRENT: Final = ("ca.crt", "ca.key")
_PREVIOUS: Final = ("previous.crt", "previous.key")

log = logging.getLogger(__name__)


class AuthoritySecret:
    """Reads and writes the Secret in the operator's namespace. Every write carries the version that was read."""

    def __init__(self, kube: Kube, namespace: str, settings: TrustSettings) -> None:
        self._kube = kube
        self._namespace = namespace
        self._settings = settings
        self._version = ""

    async def keep(self, now: float) -> Authorities | None:
        """Read, do what is due at `now` (unix seconds), and return what is stored then.

        None where a Secret that is not ours has the name. Raises KubeError, LeadershipLost.
        """
        try:
            body = await self._kube.get(SECRETS, self._namespace, SECRET)
        except KubeNotFound:
            return await self._create(now)
        if not is_ours(body):
            log.error("a foreign secret has our name", extra={"pairs": {"secret": self._where}})
            return None
        stored = self._read(body)
        due = plan(stored, now, self._settings)
        if stored is not None and due is Plan.KEEP:
            return stored
        log.warning("certificate authority changes", extra={"pairs": {"plan": due.value, "secret": self._where}})
        return await self._write(_next(stored, due, now))

    async def published(self, stored: Authorities, now: float) -> None:
        """Store that every namespace has both certificates since `now`; the settling time counts from here.

        Raises KubeConflict where the Secret changed since keep(), other KubeErrors, LeadershipLost.
        """
        await self._write(replace(stored, published_at=now))

    @property
    def _where(self) -> str:
        return f"{self._namespace}/{SECRET}"

    async def _create(self, now: float) -> Authorities | None:
        body: Json = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "type": "Opaque",
            "metadata": {"name": SECRET, "namespace": self._namespace, "labels": dict(OURS)},
            "data": _pair(_CURRENT, make_authority(now)),
        }
        stored = self._read(await self._kube.create(SECRETS, self._namespace, body))
        log.warning("certificate authority made", extra={"pairs": {"secret": self._where}})
        return stored

    async def _write(self, after: Authorities) -> Authorities | None:
        annotations = {ROTATED: after.honoured or None, PUBLISHED: _stamp(after.published_at)}
        patch: Json = {"metadata": {"annotations": annotations}, "data": _data(after)}
        return self._read(await self._kube.patch(SECRETS, self._namespace, SECRET, patch, self._version))

    def _read(self, body: Json) -> Authorities | None:
        self._version = body["metadata"]["resourceVersion"]
        return parse(body)


def is_ours(body: Json) -> bool:
    """Whether this operator made the object."""
    labels = body["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/managed-by") == "trimtab")


def parse(body: Json) -> Authorities | None:
    """Read the Secret; None where its authority cannot be used. A previous one that cannot be read is none."""
    data, annotations = body.get("data") or {}, body["metadata"].get("annotations") or {}
    current = _load(data, _CURRENT)
    if current is None:
        return None
    return Authorities(
        current,
        _load(data, _PREVIOUS),
        _unix(annotations.get(PUBLISHED)),
        asked=annotations.get(ROTATE, ""),
        honoured=annotations.get(ROTATED, ""),
    )


def _next(stored: Authorities | None, due: Plan, now: float) -> Authorities:
    """Return what shall be stored; nothing readable, or nothing valid, starts anew without a previous one."""
    if stored is None or due is Plan.CREATE:
        asked = "" if stored is None else stored.asked
        return Authorities(make_authority(now), asked=asked, honoured=asked)
    if due is Plan.BEGIN:
        return Authorities(make_authority(now), stored.current, asked=stored.asked, honoured=stored.asked)
    return replace(stored, previous=None, published_at=None)


def _data(authorities: Authorities) -> dict[str, str | None]:
    return {**_pair(_CURRENT, authorities.current), **_pair(_PREVIOUS, authorities.previous)}


def _pair(keys: tuple[str, str], authority: Authority | None) -> dict[str, str | None]:
    if authority is None:
        return dict.fromkeys(keys)
    texts = (authority.certificate_pem, authority.key_pem)
    return {key: base64.b64encode(text.encode()).decode() for key, text in zip(keys, texts, strict=True)}


def _load(data: Json, keys: tuple[str, str]) -> Authority | None:
    try:
        certificate, key = (base64.b64decode(data[name], validate=True) for name in keys)
    except (KeyError, TypeError, binascii.Error):
        return None
    return load_authority(certificate, key)


def _stamp(unix_seconds: float | None) -> str | None:
    return None if unix_seconds is None else datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds")


def _unix(stamp: str | None) -> float | None:
    try:
        return None if stamp is None else datetime.fromisoformat(stamp).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None
