"""Both endurance runs. Without options a short form: two minutes of growing inputs and 20 000 requests with faults.

The published figures take `--minutes 10 --requests 1000000`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.endurance.runs import FRONT_LIMIT_BYTES, faults, growing
from bench.endurance.tally import MEBIBYTE

MINUTES = 2.0
REQUESTS = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures: 0 when all hold, 1 when one does not, 2 when they could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of growing inputs; 0 = leave out")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="with faults; 0 = leave out")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    figures, holds = {}, True
    with tempfile.TemporaryDirectory(prefix="trimtab-endurance-") as name:
        try:
            if options.minutes > 0:
                grown = growing(60 * options.minutes)
                light = grown.front_idle_mebibytes * MEBIBYTE <= FRONT_LIMIT_BYTES
                figures["growing"], holds = asdict(grown), holds and grown.holds and light
            if options.requests > 0:
                faulty = faults(Path(name), options.requests)
                figures["faults"], holds = asdict(faulty), holds and faulty.holds
        except OSError as error:
            print(f"endurance: {error}", file=sys.stderr)
            return 2
    print(json.dumps(figures, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
