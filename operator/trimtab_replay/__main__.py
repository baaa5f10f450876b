"""`trimtab-replay RECORDING.jsonl`: run recorded ticks again. Exit 1: a step differs; 2: not a recording."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from trimtab_replay.replay import replay


def main(argv: Sequence[str] | None = None) -> int:
    """Replay a recording and print every difference, then one line of summary."""
    parser = argparse.ArgumentParser(prog="trimtab-replay", description="Run recorded ticks through the pure code.")
    parser.add_argument("recording", type=Path, help="JSON lines of snapshot, policy and the step that was taken")
    path: Path = parser.parse_args(argv).recording
    ticks = differing = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for _, differences in replay(lines):
                ticks += 1
                differing += bool(differences)
                for difference in differences:
                    print(difference)
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    print(f"{ticks} ticks replayed, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
