"""Recorded traffic, cut into the windows that are played, and made as large as is wanted.

The two hours of conversations bring their own lengths. Of the days of ServeGen the times are taken, and the lengths
are drawn from Azure's conversations: its own requests are so short that a replica takes twenty of them in a second.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trimtab_operator.model.arrays import Floats
from trimtab_replay.tables import UnfitFileError, rows
from trimtab_replay.trace import Trace

HOUR = 3600.0
TRACES = Path(__file__).parents[3] / "shared" / "data" / "traces"


@dataclass(frozen=True)
class Family:
    """Traffic of one origin. `windows` are seconds from its start; `startups_seconds` those it is played with.

    A replica takes `gpus`. A copy of a request lies within `jitter_seconds` of it: larger traffic has more clients, not
    larger bursts. ServeGen's requests were thinned a thousandfold, which made each burst of a client as much longer.
    """

    name: str
    file: str
    startups_seconds: tuple[float, ...]
    windows: tuple[tuple[float, float], ...]
    own_lengths: bool = True
    jitter_seconds: float = 30.0
    gpus: int = 1


AZURE = Family("azure-conv", "llm_azure_conv_2023.csv.gz", (60.0, 180.0), ((0.0, 3501.0),))
FAMILIES = (
    AZURE,
    # Prompts of 12 000 tokens: the cache of one GPU holds fourteen.
    Family("mooncake", "llm_mooncake_conversation.jsonl.gz", (60.0, 180.0), ((0.0, 3540.0),), gpus=2),
    Family(
        "servegen-mid",
        "semisynth_servegen_m-mid_3d.csv.gz",
        (60.0, 180.0, 600.0),
        ((8.0 * HOUR, 9.5 * HOUR), (57.0 * HOUR, 58.5 * HOUR)),
        own_lengths=False,
        jitter_seconds=300.0,
    ),
    Family(
        "servegen-small",
        "semisynth_servegen_m-small_wk1_7d.csv.gz",
        (60.0, 180.0, 600.0),
        ((18.5 * HOUR, 20.0 * HOUR), (31.0 * HOUR, 32.5 * HOUR)),
        own_lengths=False,
        jitter_seconds=300.0,
    ),
)


def windows(folder: Path, family: Family) -> list[Trace]:
    """Return the windows of a family at its own rate, each from its own second 0. Raises UnfitFileError."""
    whole = _read(folder / family.file)
    lengths = whole if family.own_lengths else _read(folder / AZURE.file)
    return [_cut(whole, lengths, *window, own=family.own_lengths) for window in family.windows]


def scaled(trace: Trace, factor: float, jitter_seconds: float, seed: int) -> Trace:
    """Return a trace of `factor` times the requests: copies that lie within the jitter, thinned to the factor."""
    dice = np.random.default_rng(seed)
    copies = max(1, int(np.ceil(factor)))
    place = np.repeat(np.arange(len(trace)), copies)
    place = place[dice.random(len(place)) < factor / copies]
    arrived = trace.arrived[place] + dice.uniform(-jitter_seconds, jitter_seconds, len(place))
    arrived = _reflected(arrived, trace.seconds)
    order = np.argsort(arrived, kind="stable")
    place = place[order]
    return Trace(arrived[order], trace.prompt_tokens[place], trace.output_tokens[place])


def _reflected(arrived: Floats, end: float) -> Floats:
    inside = np.abs(arrived)
    return np.asarray(np.where(inside > end, 2.0 * end - inside, inside))


def _cut(times: Trace, lengths: Trace, start: float, end: float, *, own: bool) -> Trace:
    inside = np.flatnonzero((times.arrived >= start) & (times.arrived < end))
    place = inside if own else np.random.default_rng(len(inside)).integers(0, len(lengths), len(inside))
    return Trace(times.arrived[inside] - start, lengths.prompt_tokens[place], lengths.output_tokens[place])


def _read(path: Path) -> Trace:
    in_lines = ".jsonl" in path.name
    try:
        found = _of_lines(path) if in_lines else list(rows(path, ()))
    except OSError as error:
        raise UnfitFileError(f"{path}: {error.strerror or error}") from error
    times = _column(path, found, "t_ms") / 1000.0 if in_lines else _column(path, found, "t_s")
    order = np.argsort(times, kind="stable")
    prompt, output = (np.maximum(_column(path, found, name)[order], 1.0) for name in ("in_tok", "out_tok"))
    return Trace(times[order], prompt, output)


def _of_lines(path: Path) -> list[dict[str, float]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _column(path: Path, found: Sequence[Mapping[str, str | float]], name: str) -> Floats:
    if not found or name not in found[0]:
        raise UnfitFileError(f"{path} has no column {name}")
    return np.array([float(row[name]) for row in found])
