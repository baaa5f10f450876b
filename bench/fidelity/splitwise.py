"""Splitwise: one batch at a time, whose prompts are read together and whose answers are all equally long."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.fidelity.judgement import FEWEST_LEVELS, MeasuredSet, Table
from trimtab_replay.closed_loop import Level
from trimtab_replay.replica import Replica
from trimtab_replay.serving import ServingModel
from trimtab_replay.tables import rows_of_all

PATTERN = "perf_splitwise*.csv.gz"
CONFIGURATION = ("model", "hardware", "tensor_parallel", "prompt_size", "token_size")
NEEDED = (*CONFIGURATION, "batch_size", "prompt_time", "token_time", "e2e_time")
NOT_MEASURED = "pcap"  # prompt times are exactly 1.3 times those of the same hardware, token times are the same
MOST_CONTRADICTION = 0.5  # of the whole time by the sum of its parts
CONTRADICTS = "the times of its parts contradict that of the whole"

Row = Mapping[str, str]


def read(folder: Path) -> Table[Level]:
    """Return the configurations with enough batch sizes: medians over the repeats. Raises UnfitFileError."""
    repeats: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_of_all(folder, PATTERN, NEEDED):
        if NOT_MEASURED not in row["hardware"]:
            repeats["|".join(row[name] for name in CONFIGURATION)][int(row["batch_size"])].append(row)
    found, left_out = {}, []
    for key, by_size in repeats.items():
        if len(by_size) < FEWEST_LEVELS:
            continue
        found[key] = [_level(size, same) for size, same in sorted(by_size.items()) if not _contradicts(same)]
        left_out += [f"{key}, batch {size}: {CONTRADICTS}" for size, same in by_size.items() if _contradicts(same)]
    return Table({key: levels for key, levels in found.items() if len(levels) >= FEWEST_LEVELS}, left_out)


def _level(size: int, same: Sequence[Row]) -> Level:
    prompt_tokens, output_tokens = int(same[0]["prompt_size"]), int(same[0]["token_size"])
    return Level(size, prompt_tokens, output_tokens, _median(same, "prompt_time"), _median(same, "token_time"))


def _contradicts(same: Sequence[Row]) -> bool:
    parts = _median(same, "prompt_time") + (int(same[0]["token_size"]) - 1) * _median(same, "token_time")
    return abs(parts / _median(same, "e2e_time") - 1.0) > MOST_CONTRADICTION


def _median(same: Sequence[Row], column: str) -> float:
    """Return seconds."""
    return median(float(row[column]) for row in same) / 1e3


def calibrate_batch(low: Level, high: Level) -> ServingModel:
    """Return the model of a replica that was measured with these two batches; no first token waits for steps.

    Raises ValueError where a larger batch is not slower.
    """
    if high.tpot_seconds <= low.tpot_seconds or high.ttft_seconds <= low.ttft_seconds:
        raise ValueError(f"a batch of {high.clients} is not slower than one of {low.clients}")
    more = high.clients - low.clients
    sequence = (high.tpot_seconds - low.tpot_seconds) / more
    reading = (high.ttft_seconds - low.ttft_seconds) / more
    overhead = low.ttft_seconds - low.clients * reading
    if overhead < 0.0:
        overhead, reading = 0.0, math.sqrt(low.ttft_seconds / low.clients * high.ttft_seconds / high.clients)
    return ServingModel(
        step_seconds=low.tpot_seconds - low.clients * sequence,
        sequence_seconds=sequence,
        prompt_token_seconds=reading / low.prompt_tokens,
        overhead_seconds=overhead,
    )


def calibrated(low: Level, high: Level) -> Callable[[int, Level], Level]:
    """Return what runs a batch through the replica of these two. Raises ValueError where they do not grow."""
    model = calibrate_batch(low, high)
    return lambda size, like: run_batch(model, size, like.prompt_tokens, like.output_tokens)


def run_batch(model: ServingModel, size: int, prompt_tokens: int, output_tokens: int) -> Level:
    """Run requests that come at once. The batch has its first token when the last of them has."""
    replica = Replica(model, size)
    for _ in range(size):
        replica.arrive(0.0, prompt_tokens, output_tokens)
    while math.isfinite(replica.next_change):
        replica.advance(replica.next_change)
    last = int(replica.answered.first_token.argmax())
    first_token, token = replica.answered.ttft_seconds[last], replica.answered.tpot_seconds[last]
    return Level(size, prompt_tokens, output_tokens, float(first_token), float(token))


SPLITWISE = MeasuredSet(
    "splitwise",
    read,
    calibrated,
    {
        "time to first token p50": lambda each: each.ttft_seconds,
        "time per output token p50": lambda each: each.tpot_seconds,
    },
    capacity_by="time per output token p50",
    not_answered={"p95 of both": "five repeats of the same batch, whose requests are not told apart"},
)
