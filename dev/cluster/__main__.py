"""Command line of the local cluster: `python -m dev.cluster up | down | status | kubeconfig | images`.

CLUSTER=current uses the cluster of the current kubectl context: nothing is started, stopped or installed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys

from dev.cluster import catalog, current, lifecycle
from dev.cluster.errors import ClusterError
from dev.cluster.paths import Paths, default_paths


def main() -> int:
    """Run one command; exit status 1 with advice on standard error when it cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m dev.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("up", "down", "status", "kubeconfig", "images"))
    command = parser.parse_args().command
    which = os.environ.get("CLUSTER", "embedded")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        if which not in {"embedded", "current"}:
            raise ClusterError(f"CLUSTER is {which!r}; `current` or `embedded` (the default) would be accepted")
        return (_current if which == "current" else _embedded)(command, default_paths())
    except ClusterError as error:
        print(f"cluster {command}: {error}", file=sys.stderr)
        return 1


def _embedded(command: str, paths: Paths) -> int:
    if command == "up":
        lifecycle.up(paths)
    elif command == "down":
        lifecycle.down(paths)
    elif command == "kubeconfig":
        print(paths.kubeconfig)
    elif command == "images":
        print(json.dumps(lifecycle.images(paths), indent=1))
    else:
        healthy, lines = lifecycle.status(paths)
        print("\n".join(lines))
        return 0 if healthy else 1
    return 0


def _current(command: str, paths: Paths) -> int:
    if command == "kubeconfig":
        print(current.kubeconfig())
    elif command == "images":
        references = catalog.elsewhere(paths, current.target_registry())
        print(json.dumps(references, indent=1))
    else:
        print("\n".join(current.reachable(current.kubectl(paths.tools))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
