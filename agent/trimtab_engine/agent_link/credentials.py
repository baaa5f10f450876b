"""What proves us to the agent and the agent to us: the files of the projected volume, read anew each time."""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from trimtab_engine.agent_link.failures import untrusted

_MAX_TOKEN_BYTES = 16 * 1024
_MAX_CA_BYTES = 1 << 20
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A service account token and the pod that it is bound to."""

    text: str
    pod_uid: str

    def __repr__(self) -> str:
        """Name the pod only: the text is a secret."""
        return f"Token(pod_uid={self.pod_uid!r})"


class _Pod(msgspec.Struct, frozen=True):
    uid: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class _Bound(msgspec.Struct, frozen=True):
    pod: _Pod


class _Claims(msgspec.Struct, frozen=True):
    """The claims that are read. The signature is the agent's business: the file is our own."""

    bound: _Bound = msgspec.field(name="kubernetes.io")


def read_token(path: str) -> Token:
    """Read the token; the kubelet replaces it long before it ends.

    Raises:
        LinkError: it is missing, or is no token of a pod.
    """
    text = _read(path, _MAX_TOKEN_BYTES, "TokenMissing").decode("ascii", errors="replace").strip()
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise untrusted("TokenUnreadable")
    try:
        payload = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
        claims = msgspec.json.decode(payload, type=_Claims)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise untrusted("TokenUnreadable") from None
    return Token(text, claims.bound.pod.uid)


def read_ca(path: str) -> bytes:
    """Read the certificates that vouch for the agent.

    Raises:
        LinkError: they are missing.
    """
    return _read(path, _MAX_CA_BYTES, "CaMissing")


def trust(ca: bytes) -> ssl.SSLContext:
    """Return a context that accepts only servers that one of these certificates vouches for.

    Raises:
        LinkError: they are no certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise untrusted("CaUnreadable") from None
    return context


def _read(path: str, limit_bytes: int, absent: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError:
        raise untrusted(absent) from None
    if not content.strip() or len(content) > limit_bytes:
        raise untrusted(absent)
    return content
