"""InferenceX: closed loops of fixed lengths around vLLM, SGLang and TensorRT-LLM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench.fidelity.judgement import FEWEST_LEVELS, MeasuredSet, Table
from trimtab_replay.calibration import calibrate
from trimtab_replay.closed_loop import Level, run_closed_loop
from trimtab_replay.tables import rows_of_all

PATTERN = "inferencex*grids.csv"
CONFIGURATION = ("grid", "backend", "precision", "tp")
NEEDED = (*CONFIGURATION, "concurrency", "isl", "osl", "ttft_ms", "tpot_ms")


def read(folder: Path) -> Table[Level]:
    """Return the configurations with enough levels. Raises UnfitFileError."""
    found: dict[str, list[Level]] = defaultdict(list)
    for row in rows_of_all(folder, PATTERN, NEEDED):
        lengths = round(float(row["isl"])), round(float(row["osl"]))
        times = float(row["ttft_ms"]) / 1e3, float(row["tpot_ms"]) / 1e3
        key = "|".join(row[name] for name in CONFIGURATION)
        found[key].append(Level(round(float(row["concurrency"])), *lengths, *times))
    ordered = {key: sorted(levels, key=lambda each: each.clients) for key, levels in found.items()}
    return Table({key: levels for key, levels in ordered.items() if len(levels) >= FEWEST_LEVELS})


def calibrated(low: Level, high: Level) -> Callable[[int, Level], Level]:
    """Return the loop around the replica of these two levels. Raises ValueError where they do not grow."""
    model = calibrate(low, high)
    return lambda clients, like: run_closed_loop(model, clients, like.prompt_tokens, like.output_tokens)


INFERENCEX = MeasuredSet(
    "InferenceX",
    read,
    calibrated,
    {
        "time to first token": lambda each: each.ttft_seconds,
        "time per output token": lambda each: each.tpot_seconds,
    },
    capacity_by="time per output token",
    not_answered={
        "p50 and p95 of both": "one number each, and the source does not say whether it is a mean or a median",
    },
)
