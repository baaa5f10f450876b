"""Writes tests/data/rivals/dynamo.json: `make -C dev/rivals dynamo`."""

from __future__ import annotations

import argparse
import json
import logging
import random
from importlib.metadata import version
from pathlib import Path

from dev.rivals.dynamo.plans import plans
from dev.rivals.dynamo.predictions import predictions

SEED = 6


def main() -> None:
    """Make the vectors and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    logging.disable(logging.CRITICAL)
    generator = random.Random(SEED)
    content = {
        "source": f"ai-dynamo {version('ai-dynamo')}",
        "seed": SEED,
        "predictions": [predictions(generator, f"traffic-{number:03}") for number in range(40)],
        "vectors": [plans(generator, f"planner-{number:03}", ticks=8) for number in range(80)],
    }
    output.write_text(json.dumps(content, separators=(",", ":")) + "\n")


main()
