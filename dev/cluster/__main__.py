"""Command line of the local cluster: `python -m dev.cluster up | down | status | kubeconfig | images`."""

from __future__ import annotations

import argparse
import sys

from dev.cluster import lifecycle
from dev.cluster.errors import ClusterError
from dev.cluster.paths import default_paths


def main() -> int:
    """Run one command; exit status 1 with one line of advice when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m dev.cluster", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "kubeconfig", "images"))
    command = parser.parse_args().command
    try:
        return _embedded(command)
    except ClusterError as error:
        print(f"cluster {command}: {error}", file=sys.stderr)
        return 1


def _embedded(command: str) -> int:
    paths = default_paths()
    if command == "up":
        lifecycle.up(paths)
    elif command == "down":
        lifecycle.down(paths)
    elif command == "kubeconfig":
        print(paths.kubeconfig)
    else:
        healthy, lines = lifecycle.status(paths)
        print("\n".join(lines))
        return 0 if healthy else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
