"""Short of memory, and under faults: the runs of `bench.endurance`, in a short form unless they alone are asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.endurance.runs import LIMIT_RATIO, SLOPE_LIMIT_MEBIBYTES, FaultFigures, GrowingFigures, faults, growing
from bench.engine.errors import BenchError
from bench.engine.extent import ENDURANCE_ALONE
from bench.engine.results import Result
from bench.engine.run import Run


def measure(run: Run) -> list[Result]:
    """Run both. Raises BenchError."""
    extent = run.extent
    try:
        grown = growing(extent.growing_seconds)
        with tempfile.TemporaryDirectory(prefix="trimtab-endurance-") as name:
            faulty = faults(Path(name), extent.fault_requests, extent.fault_seconds)
    except OSError as error:
        raise BenchError(str(error)) from error
    return [_growing_row(grown, run), _faults_row(faulty, run)]


def _growing_row(found: GrowingFigures, run: Run) -> Result:
    long = ENDURANCE_ALONE.growing_seconds
    short = _short(found.seconds < long, f"{found.seconds:.0f} s of {long:.0f} s")
    ladder = "the engine ended" if found.ladder_moves is None else f"{found.ladder_moves:.0f} steps of the ladder"
    return Result(
        f"growing inputs, memory limit {LIMIT_RATIO} x idle",
        trimtab=found.restarts + found.kills,
        holds=found.holds,
        asked="no restart, all answered",
        note=f"{short}{_ends(found.tally)}; limit {found.limit_mebibytes:.0f} MiB by {found.enforced_by}, most "
        f"{found.most_mebibytes:.0f}, {ladder}",
        quick=run.quick,
    )


def _faults_row(found: FaultFigures, run: Run) -> Result:
    long = ENDURANCE_ALONE.fault_requests
    short = _short(found.requests < long, f"{found.requests} of {long} requests")
    slope = "unknown" if found.front_slope_mebibytes is None else f"{found.front_slope_mebibytes:.2f}"
    asked = f"all answered or refused with a reason; slope at most {SLOPE_LIMIT_MEBIBYTES:g} MiB per 10^5 requests"
    return Result(
        "stub model with faults, requests",
        trimtab=found.requests,
        holds=found.answers_hold if short else found.holds,
        asked=f"{asked}{' (not judged in the short form)' if short else ''}",
        note=f"{short}{_ends(found.tally)}; {found.worker_kills} workers killed, slope {slope} MiB, "
        f"{found.requests / found.seconds:.0f}/s",
        quick=run.quick,
    )


def _short(short: bool, words: str) -> str:
    return f"short form, {words}: `--only endurance` runs all; " if short else ""


def _ends(tally: dict[str, Any]) -> str:
    refused = sum(tally["refused"].values())
    return (
        f"{tally['answered']} answered, {refused} refused with a reason, {tally['without_reason']} without, "
        f"{tally['unanswered']} unanswered, {tally['gone']} clients gone"
    )
