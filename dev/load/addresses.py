"""Where requests may go: loopback and private addresses only, for a load generator aimed outside is a weapon."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from dev.load.errors import LoadError


@dataclass(frozen=True)
class Target:
    """One HTTP address, resolved once: the run never asks DNS again."""

    host: str
    port: int
    address: str

    @property
    def url(self) -> str:
        """The address as a base URL, without a path."""
        return f"http://{self.host}:{self.port}"


def resolve(url: str) -> Target:
    """Resolve `http://host[:port]` to a target; raises LoadError for other schemes and for public addresses."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise LoadError(f"--url: {url!r} is not of the form http://host:port")
    port = parts.port or 80
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LoadError(f"--url: the name {parts.hostname!r} cannot be resolved: {error}") from error
    address = str(found[0][4][0])
    parsed = ipaddress.ip_address(address)
    if not (parsed.is_loopback or (parsed.is_private and not parsed.is_unspecified)):
        raise LoadError(f"--url: {address} is a public address; only loopback and cluster-internal ones are accepted")
    return Target(host=parts.hostname, port=port, address=address)
