"""Parses a network namespace's counters out of /proc/<pid>/net/dev: pure, no file is opened here."""

from __future__ import annotations

from trimtab_agent.snapshot import Traffic

_RECEIVED_BYTES, _TRANSMITTED_BYTES = 0, 8
"""Positions of the two byte counters among the 16 numbers of an interface."""


def parse_traffic(text: str) -> Traffic | None:
    """Bytes over all interfaces but the loopback; None when there is no such interface."""
    interfaces = []
    for line in text.splitlines():
        name, colon, numbers = line.partition(":")
        counters = numbers.split()
        if not colon or name.strip() == "lo" or len(counters) < 16:
            continue
        interfaces.append((int(counters[_RECEIVED_BYTES]), int(counters[_TRANSMITTED_BYTES])))
    if not interfaces:
        return None
    received, transmitted = zip(*interfaces, strict=True)
    return Traffic(sum(received), sum(transmitted))
