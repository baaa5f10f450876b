"""One run at a time in the embedded cluster: two of them would remove each other's namespaces and releases."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import TextIO

from dev.cluster.errors import ClusterError
from dev.cluster.paths import Paths

_held: dict[str, TextIO] = {}


def claim(paths: Paths) -> None:
    """Take the cluster for the rest of this process; a process that ends, however it ends, gives it up.

    Raises ClusterError, which names the holder, where another process has it.
    """
    path = paths.state.with_name(paths.state.name + ".claim")
    if str(path) in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        holder = handle.read().strip()
        handle.close()
        raise ClusterError(f"the cluster is in use by {holder}: wait until that ends, or stop it") from None
    handle.truncate(0)
    handle.write(f"`{' '.join(sys.argv)}` in {Path.cwd()}, process {os.getpid()}")
    handle.flush()
    _held[str(path)] = handle
