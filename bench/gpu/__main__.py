"""`python -m bench.gpu [--json F] [--only PART ...]`: figures of a real GPU; without one every row is "not run".

Speeds are ratios of paired slices in random order with a 95 % bootstrap interval, beside the engine's own pass in
float32; where that pass beside itself leaves 0.97 to 1.03 a row is not resolved. Exit code as of `bench.engine`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.engine.__main__ import exit_code
from bench.engine.errors import BenchError
from bench.engine.measures.not_run import GPU_ROWS, NO_GPU
from bench.engine.progress import say
from bench.engine.results import Result
from bench.gpu import ceilings, hot_settings, passes
from bench.gpu.card import read_card
from bench.gpu.workloads import bert_large, minilm

Part = Callable[[], list[Result]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for and print their rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    options = parser.parse_args(arguments)
    card = read_card()
    found: list[Result] = []
    try:
        for rows in _run(options.only) if card else [[Result(name, note=NO_GPU) for name in GPU_ROWS]]:
            found.extend(rows)
            if options.json is not None:
                document = {"card": card and asdict(card), "rows": [each.document() for each in found]}
                options.json.write_text(json.dumps(document, indent=2) + "\n")
    finally:
        say(f"{card.name}, driver {card.driver}, torch {card.torch}" if card else NO_GPU)
        for result in found:
            print(result.line())
    return exit_code(found)


def _run(names: Sequence[str]) -> Iterator[list[Result]]:
    for name in names:
        say(f"{name}:")
        try:
            yield PARTS[name]()
        except BenchError as error:
            yield [Result(name, note=str(error), broken=str(error))]


def _passes() -> list[Result]:
    measured, rows = ceilings.measure()
    for make in (minilm, bert_large):
        rows += passes.measure(make(), measured)
    return rows


PARTS: dict[str, Part] = {"passes": _passes, "hot-settings": hot_settings.measure}

if __name__ == "__main__":
    sys.exit(main())
