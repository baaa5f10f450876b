"""Tables of measured replicas, in the columns of the public ones, written from simulated levels."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.fidelity.llmpilot import MixedLevel, run_mixed_loop
from bench.fidelity.splitwise import run_batch
from trimtab_replay.closed_loop import Level, run_closed_loop
from trimtab_replay.serving import ServingModel

TRUE = ServingModel(0.008, 0.0002, 4e-6, first_token_steps=6.0, overhead_seconds=0.02)
DIRECT = ServingModel(0.02, 0.0005, 2e-5, overhead_seconds=0.02)

CLOSED_LOOPS = [run_closed_loop(TRUE, clients, 1024, 256, seed=7) for clients in (4, 16, 64, 128, 256)]
BATCHES = [run_batch(DIRECT, size, 512, 128) for size in (1, 4, 16, 64)]
SUDDENLY_SLOW = replace(BATCHES[-2], ttft_seconds=9.0, tpot_seconds=0.2)
ASKED = MixedLevel(1, 120.0, 20.0, 1.0, 1.0, 1.0, 0.0)
MIXED_LOOPS = [run_mixed_loop(DIRECT, users, ASKED, seed=7) for users in (1, 4, 16, 32)]


def inferencex(path: Path, levels: Sequence[Level], backend: str = "a") -> None:
    """Write closed loops of one configuration."""
    fixed = {"grid": "made up", "backend": backend, "precision": "fp8", "tp": "1"}
    _write(path, [
        fixed | {
            "concurrency": each.clients, "isl": each.prompt_tokens, "osl": each.output_tokens,
            "ttft_ms": 1e3 * each.ttft_seconds, "tpot_ms": 1e3 * each.tpot_seconds,
        }
        for each in levels
    ])  # fmt: skip


def llmpilot(path: Path, by_model: Mapping[str, Sequence[MixedLevel]], **changed: object) -> None:
    """Write users of mixed requests, one configuration for each model."""
    _write(path, [
        {
            "model": model, "gpu_type": "a", "n_gpus": 1, "users": each.clients, "err_rate": 0.0,
            "in_tok_mean": each.prompt_tokens, "out_tok_mean": each.output_tokens, "req_s": each.requests_per_second,
            "itl_p50": 1e3 * each.gap_p50_seconds, "itl_p95": 1e3 * each.gap_p95_seconds, "ttft_p50": 0.0,
        } | changed
        for model, levels in by_model.items() for each in levels
    ])  # fmt: skip


def splitwise(path: Path, levels: Sequence[Level], **changed: object) -> None:
    """Write batches of one configuration, each measured once."""
    fixed = {"model": "made up", "hardware": "a", "tensor_parallel": 1}
    _write(path, [
        fixed | {
            "prompt_size": each.prompt_tokens, "token_size": each.output_tokens, "batch_size": each.clients,
            "prompt_time": 1e3 * each.ttft_seconds, "token_time": 1e3 * each.tpot_seconds,
            "e2e_time": 1e3 * (each.ttft_seconds + (each.output_tokens - 1) * each.tpot_seconds),
        } | changed
        for each in levels
    ])  # fmt: skip


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
