"""Judges what a TokenReview answered about an engine's token: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from trimtab_api.wire import AUDIENCE

NODE_NAME_KEY = "authentication.kubernetes.io/node-name"
POD_NAME_KEY = "authentication.kubernetes.io/pod-name"
POD_UID_KEY = "authentication.kubernetes.io/pod-uid"


class Refusal(StrEnum):
    """Why a token is not accepted; also what the answer's reason header says."""

    NOT_AUTHENTICATED = "NotAuthenticated"
    """The API server does not know the token: forged, expired, for others only, or of a pod that is gone."""
    WRONG_AUDIENCE = "WrongAudience"
    """The API server accepts it, but not for us."""
    NOT_A_POD = "NotAPod"
    """It is not bound to a pod."""
    OTHER_NODE = "OtherNode"
    """Its pod runs on another node, whose agent is the one to ask."""

    @property
    def status(self) -> int:
        """The HTTP status: 401 where another token would help, 403 where the caller is known and not welcome."""
        return 401 if self in (Refusal.NOT_AUTHENTICATED, Refusal.WRONG_AUDIENCE) else 403


@dataclass(frozen=True)
class PodIdentity:
    """The pod that a token is bound to; `user` and `pod` are for logs only."""

    uid: str
    pod: str
    user: str


def identify(review_status: Mapping[str, Any], node: str) -> PodIdentity | Refusal:
    """Return the pod that presented the token, or why it is refused. An audience that is not told does not count."""
    if review_status.get("authenticated") is not True:
        return Refusal.NOT_AUTHENTICATED
    if AUDIENCE not in (review_status.get("audiences") or ()):
        return Refusal.WRONG_AUDIENCE
    user = review_status.get("user") or {}
    uid = _single(user, POD_UID_KEY)
    if not uid:
        return Refusal.NOT_A_POD
    if not node or _single(user, NODE_NAME_KEY) != node:
        return Refusal.OTHER_NODE
    return PodIdentity(uid, _single(user, POD_NAME_KEY) or "", str(user.get("username", "")))


def _single(user: Mapping[str, Any], key: str) -> str | None:
    """Return the value of an extra; several values mean nothing."""
    values: list[str] = (user.get("extra") or {}).get(key) or []
    return values[0] if len(values) == 1 else None
