"""`python -m dev.demo.controls`: what `make demo-controls` runs; exit status 0 only when every control holds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dev.demo.controls.run import run_controls
from dev.demo.errors import DemoError
from dev.demo.narration import Narrator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the controls: 0 when all hold, 1 when one does not, 2 when a step could not be done."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo.controls", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the results of all controls")
    options = parser.parse_args(arguments)
    narrator = Narrator()
    try:
        results, failures = run_controls(narrator)
    except DemoError as error:
        narrator.failure(f"controls: {error}")
        return 2
    except KeyboardInterrupt:
        narrator.failure("controls: interrupted; `make demo-controls` starts them again")
        return 2
    if options.json is not None:
        document = {"controls": [asdict(result) for result in results], "failures": failures}
        options.json.write_text(json.dumps(document, indent=2))
    for failure in failures:
        narrator.failure(f"controls: {failure}")
    if not failures:
        narrator.success(f"controls: all of them hold; {narrator.elapsed_seconds / 60:.1f} minutes")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
