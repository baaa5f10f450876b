"""LLM-Pilot: users who ask again as soon as they were answered, requests of very different lengths, IBM's TGIS of 2023.

The first time that its log has of an answer is that of an empty message: an answer of one token has two times. So the
wait for the first token is one of the times between tokens, there and here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import log
from pathlib import Path

import numpy as np

from bench.fidelity.judgement import FEWEST_LEVELS, MeasuredSet, Table
from trimtab_replay.closed_loop import Lengths, play_closed_loop
from trimtab_replay.serving import ServingModel
from trimtab_replay.tables import rows_of_all
from trimtab_replay.token_gaps import token_gaps

PATTERN = "llmpilot*grid.csv"
CONFIGURATION = ("model", "gpu_type", "n_gpus")
TIMES = ("itl_p50", "itl_p95", "ttft_p50")
NEEDED = (*CONFIGURATION, *TIMES, "users", "in_tok_mean", "out_tok_mean", "req_s", "err_rate")
MOST_ERRORS_RATIO = 0.01  # a server that refuses more does not carry that level

FEWEST_ANSWERS, ROUNDS, WARM_UP_ROUNDS = 400, 6, 1.5
LEAST_SECONDS = 1e-6
LIMITS = tuple(2.0 ** (-0.5 * step) for step in range(11))  # what decodes at once, of the users
DECODING_SHARES = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)  # of the time of a server that is loaded


@dataclass(frozen=True)
class MixedLevel:
    """Users and mean lengths in tokens, and what was seen; `message`: the empty one, before the first token."""

    clients: int
    prompt_tokens: float
    output_tokens: float
    requests_per_second: float
    gap_p50_seconds: float
    gap_p95_seconds: float
    message_seconds: float


def read(folder: Path) -> Table[MixedLevel]:
    """Return every second configuration: on the others the calibration was chosen. Raises UnfitFileError."""
    found: dict[tuple[str, ...], list[MixedLevel]] = defaultdict(list)
    left_out: list[tuple[tuple[str, ...], str]] = []
    for row in rows_of_all(folder, PATTERN, NEEDED):
        key, users = tuple(row[name] for name in CONFIGURATION), int(row["users"])
        if float(row["err_rate"]) > MOST_ERRORS_RATIO:
            left_out.append((key, f"{'|'.join(key)}, {users} users: {row['err_rate']} of the requests failed"))
            continue
        asked = float(row["in_tok_mean"]), float(row["out_tok_mean"]), float(row["req_s"])
        found[key].append(MixedLevel(users, *asked, *(float(row[name]) / 1e3 for name in TIMES)))
    judged = sorted(key for key, levels in found.items() if len(levels) >= FEWEST_LEVELS)[1::2]
    ordered = {"|".join(key): sorted(found[key], key=lambda each: each.clients) for key in judged}
    return Table(ordered, [what for key, what in left_out if key in judged])


def calibrate_mixed(low: MixedLevel, high: MixedLevel) -> ServingModel:
    """Return the model that is as fast as was measured, and nearest to the times between tokens at the high level.

    Raises ValueError where no model is as fast at the high level and not slower at the low one.
    """
    possible = list(_as_fast(low, high))
    if not possible or high.gap_p95_seconds <= low.gap_p95_seconds:
        raise ValueError(f"{high.clients} users after {low.clients}: the second level must be higher and slower")
    return min(possible, key=lambda model: _distance(run_mixed_loop(model, high.clients, high), high))


def _as_fast(low: MixedLevel, high: MixedLevel) -> Iterator[ServingModel]:
    """Yield models with the throughput of the high level, by what decodes at once and by what reading prompts takes."""
    answered = low.clients / low.requests_per_second - (low.output_tokens - 1.0) * low.gap_p50_seconds
    first_token = answered - low.message_seconds  # Little's law, less the tokens after the first
    limits = sorted({max(low.clients + 1, round(part * high.clients)) for part in LIMITS})
    for limit, share in product(limits, DECODING_SHARES):
        step = share * limit / (high.requests_per_second * high.output_tokens)
        reading = (1.0 - share) / high.requests_per_second
        sequence = (step - low.gap_p50_seconds) / (limit - low.clients)
        if sequence < LEAST_SECONDS:
            continue
        found = ServingModel(
            step_seconds=max(LEAST_SECONDS, low.gap_p50_seconds - low.clients * sequence),
            sequence_seconds=sequence,
            prompt_token_seconds=reading / high.prompt_tokens,
            overhead_seconds=max(0.0, first_token - reading),
        )
        yield replace(found, max_sequences=limit) if limit < high.clients else found


def _distance(seen: MixedLevel, asked: MixedLevel) -> float:
    median, high = seen.gap_p50_seconds / asked.gap_p50_seconds, seen.gap_p95_seconds / asked.gap_p95_seconds
    return abs(log(median)) + abs(log(high))


def run_mixed_loop(model: ServingModel, users: int, like: MixedLevel, seed: int = 0) -> MixedLevel:
    """Run a closed loop of requests whose lengths vary as exponentials do, the first rounds left out."""
    lengths = Lengths(like.prompt_tokens, like.output_tokens, lambda dice: dice.exponential())
    enough = max(FEWEST_ANSWERS, ROUNDS * users)
    taken = play_closed_loop(model, users, lengths, enough, np.random.default_rng(seed)).taken
    warm = taken.arrived > taken.arrived[int(WARM_UP_ROUNDS * users)]
    which = np.flatnonzero(warm & ~np.isnan(taken.finished))
    gaps = np.concatenate([taken.ttft_seconds[which], token_gaps(model, taken, which)])
    answered = float(np.mean(taken.latency_seconds[which]))
    median, high = (float(np.quantile(gaps, part)) for part in (0.5, 0.95))
    seen = replace(like, clients=users, requests_per_second=users / answered, message_seconds=0.0)
    return replace(seen, gap_p50_seconds=median, gap_p95_seconds=high)


def calibrated(low: MixedLevel, high: MixedLevel) -> Callable[[int, MixedLevel], MixedLevel]:
    """Return the loop around the replica of these two levels. Raises ValueError where they do not grow."""
    model = calibrate_mixed(low, high)
    return lambda users, like: run_mixed_loop(model, users, like)


LLM_PILOT = MeasuredSet(
    "LLM-Pilot",
    read,
    calibrated,
    {
        "time between tokens p50": lambda each: each.gap_p50_seconds,
        "time between tokens p95": lambda each: each.gap_p95_seconds,
    },
    capacity_by="time between tokens p95",
    not_answered={
        "time to first token": "the log's first time is that of an empty message; the wait counts between tokens",
    },
)
