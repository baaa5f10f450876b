"""`python -m dev.demo`: the story that `make demo` tells; exit status 0 only when it shows what it claims."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dev.demo.errors import DemoError
from dev.demo.narration import Narrator
from dev.demo.plan import DemoPlan
from dev.demo.story import tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo: 0 when both policies did their work, 1 when one did not, 2 when a step could not be done."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the results of all arms")
    parser.add_argument("--arm-seconds", type=float, default=DemoPlan().arm_seconds, help="length of each arm")
    options = parser.parse_args(arguments)
    narrator = Narrator()
    try:
        told = tell(DemoPlan(arm_seconds=options.arm_seconds), narrator)
    except DemoError as error:
        narrator.failure(f"demo: {error}")
        return 2
    except KeyboardInterrupt:
        narrator.failure("demo: interrupted; `make demo` starts it again, `make cluster-down` removes the cluster")
        return 2
    if options.json is not None:
        document = {
            "arms": [asdict(result) for result in told.arms],
            "tuning": asdict(told.tuning),
            "failures": told.failures,
        }
        options.json.write_text(json.dumps(document, indent=2))
    for failure in told.failures:
        narrator.failure(f"demo: {failure}")
    if not told.failures:
        minutes = narrator.elapsed_seconds / 60
        narrator.success(
            "demo: more goodput than one replica, cheaper than the maximum, and a poor start tuned; "
            f"{minutes:.1f} minutes"
        )
    return 1 if told.failures else 0


if __name__ == "__main__":
    sys.exit(main())
