"""`python -m dev.load`: one run of the load generator; JSON lines of progress on standard output.

SIGTERM ends the schedule there: the answers under way are waited for and everything is reported as at a usual end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import uvloop

from dev.load.arrivals import Step
from dev.load.errors import LoadError
from dev.load.figures import figures, stretch
from dev.load.outcomes import Record
from dev.load.plan import Keys, LoadPlan, Mode, calibrate, run_plan
from dev.load.report import write_report
from dev.load.requests import Protocol


def steps(text: str) -> tuple[Step, ...]:
    """Parse `60:1,60:2,60:0.25` into steps of seconds and factor."""
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return tuple(Step(float(duration), float(factor)) for duration, factor in pairs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form seconds:factor,seconds:factor") from error


def parser() -> argparse.ArgumentParser:
    """Return the command line; its defaults are those of LoadPlan."""
    plan = LoadPlan(url="")
    result = argparse.ArgumentParser(prog="python -m dev.load", description=__doc__)
    result.add_argument("--url", required=True, help="http://host:port of a loopback or cluster-internal address")
    result.add_argument("--model", default=plan.model)
    result.add_argument("--mode", type=Mode, choices=list(Mode), default=plan.mode)
    result.add_argument("--rate", type=float, default=plan.rate, help="requests per second: all, at factor 1, or mean")
    result.add_argument(
        "--duration", type=float, default=plan.duration_seconds, help="seconds (modes constant and trace)"
    )
    result.add_argument("--steps", type=steps, default=(), help="mode step: seconds:factor,… as 60:1,60:2,60:0.25")
    result.add_argument("--keys", type=Keys, choices=list(Keys), default=plan.keys)
    result.add_argument("--key-offset", type=int, default=plan.key_offset)
    result.add_argument("--sentences", type=int, default=plan.sentences, help="of which an input is made")
    result.add_argument("--protocol", type=Protocol, choices=list(Protocol), default=plan.protocol)
    result.add_argument("--objective", type=float, default=plan.objective_seconds, help="seconds, for goodput")
    result.add_argument(
        "--timeout", type=float, default=plan.timeout_seconds, help="seconds until an answer is given up"
    )
    result.add_argument("--connections", type=int, default=plan.connections, help="idle connections kept open")
    result.add_argument("--connection-lifetime", type=float, default=plan.connection_lifetime_seconds)
    result.add_argument("--seed", type=int, default=plan.seed)
    result.add_argument("--verify", action="store_true", help="check that each answer belongs to its own input")
    result.add_argument("--calibrate", type=float, metavar="SECONDS", help="measure the capacity instead of a run")
    result.add_argument("--callers", type=int, default=16, help="requests under way while calibrating")
    result.add_argument("--report", type=Path, help="file for all records")
    result.add_argument("--progress", type=float, default=1.0, help="seconds between progress lines")
    return result


def plan_of(options: argparse.Namespace) -> LoadPlan:
    """Return the plan that the command line describes."""
    return LoadPlan(
        url=options.url,
        model=options.model,
        mode=options.mode,
        rate=options.rate,
        duration_seconds=options.duration,
        steps=options.steps,
        keys=options.keys,
        key_offset=options.key_offset,
        sentences=options.sentences,
        protocol=options.protocol,
        objective_seconds=options.objective,
        timeout_seconds=options.timeout,
        connections=options.connections,
        connection_lifetime_seconds=options.connection_lifetime,
        seed=options.seed,
        verify=options.verify,
    )


async def perform(options: argparse.Namespace) -> None:
    """Calibrate or run, and print what came of it."""
    plan = plan_of(options)
    if options.calibrate is not None:
        capacity = await calibrate(plan, seconds=options.calibrate, callers=options.callers)
        print(json.dumps(asdict(capacity)), flush=True)
        return

    def progress(at_seconds: float, ended: Sequence[Record], still_open: int) -> None:
        print(json.dumps(asdict(stretch(at_seconds, ended, still_open, plan.objective_seconds))), flush=True)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    run = await run_plan(plan, progress=progress, every_seconds=options.progress, stop=stop)
    if options.report is not None:
        write_report(options.report, run, plan.objective_seconds)
    else:
        print(json.dumps({"figures": asdict(figures(run, plan.objective_seconds))}), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 when the run took place, whatever the answers were; 2 when it could not."""
    options = parser().parse_args(arguments)
    try:
        uvloop.run(perform(options))
    except LoadError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
