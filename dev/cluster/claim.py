"""One run at a time in the embedded cluster: two of them would remove each other's namespaces and releases."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.paths import Paths

MOST_HOLDER_BYTES = 4096
_held: dict[Path, int] = {}
"""Descriptors by path: open until the process ends, and given to no child."""


def claim(paths: Paths) -> None:
    """Take the cluster for the rest of this process; a process that ends, however it ends, gives it up.

    Raises ClusterError, which names the holder, where another process has it.
    """
    path = paths.state.with_name(paths.state.name + ".claim")
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, MOST_HOLDER_BYTES).decode(errors="replace")
        os.close(descriptor)
        raise ClusterError(f"the cluster is in use by {holder}: wait until that ends, or stop it") from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"`{' '.join(sys.argv)}` in {Path.cwd()}, process {os.getpid()}".encode())
    _held[path] = descriptor
