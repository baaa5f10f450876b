"""`python -m bench.reaction`: from a step in load to the moment a new replica is asked for, on the demo's deployment.

Limit: two scrape intervals and one tick. The load is 0.4 of one replica's capacity, then 1.5 of it; the time is taken
from the step of the schedule to the change of the Deployment's spec.replicas, as the API server shows it. Run it after
`make demo`, whose Prometheus, deployment and policy it uses.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from dev.demo.arms import calibrate, traffic
from dev.demo.errors import DemoError
from dev.demo.ground import cluster_up
from dev.demo.kube import Kube
from dev.demo.narration import Narrator
from dev.demo.plan import SCRAPE_SECONDS, DemoPlan
from dev.demo.prometheus import Prometheus
from dev.demo.stage import Stage
from dev.demo.watch import look
from dev.load.arrivals import Step
from dev.load.errors import LoadError
from dev.load.plan import Keys, LoadPlan, Mode
from dev.load.process import LoadProcess

QUIET = Step(60.0, 0.4)
BUSY = Step(60.0, 1.5)
TICK_SECONDS = 5.0
LIMIT_SECONDS = 2 * SCRAPE_SECONDS + TICK_SECONDS
LOOK_SECONDS = 0.2


class FirstScaling:
    """Notes when the deployment first asks for more than one replica; a thread of its own, ended by `stop`."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.at_epoch_seconds: float | None = None

    def __enter__(self) -> FirstScaling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while self.at_epoch_seconds is None and not self._stop.wait(LOOK_SECONDS):
            try:
                seen = look(self._kube)
            except DemoError:
                continue  # the next look comes at once; a deployment that is gone shows as no scaling
            if seen.desired > 1:
                self.at_epoch_seconds = seen.at_seconds


def reaction_seconds(step_at_epoch: float, scaled_at_epoch: float | None) -> float:
    """Return the time from the step to the scaling; raises DemoError when there was none or it came before."""
    if scaled_at_epoch is None:
        raise DemoError("no replica was asked for within a minute of the step")
    if scaled_at_epoch < step_at_epoch:
        raise DemoError("a replica was asked for before the step: the quiet load was not quiet enough")
    return scaled_at_epoch - step_at_epoch


def measure_once(stage: Stage, plan: LoadPlan) -> float:
    """Measure one step, from a single cold replica with a policy that has settled."""
    stage.remove_policy()
    stage.resize(1)
    stage.apply_policy()
    with FirstScaling(stage.kube) as scaling:
        try:
            with LoadProcess(plan, progress_seconds=5.0) as process:
                run = process.wait()
        except LoadError as error:
            raise DemoError(str(error)) from error
    return reaction_seconds(run.started_at_epoch_seconds + QUIET.duration_seconds, scaling.at_epoch_seconds)


def measure(times: int, narrator: Narrator) -> list[float]:
    """Measure several steps on the demo's deployment; raises DemoError when it is not there."""
    ground = cluster_up()
    kube = Kube(ground.programs.kubeconfig)
    plan = DemoPlan(gpus=0 if ground.paths is None else 1)
    stage = Stage(plan, ground.programs, kube, Prometheus(kube), narrator)
    stage.remove_policy()
    stage.resize(1)
    url = stage.url()
    capacity = calibrate(stage, url)
    load = dataclasses.replace(
        traffic(stage, url, capacity), mode=Mode.STEP, steps=(QUIET, BUSY), keys=Keys.TRACE, seed=int(time.time())
    )
    found = []
    for position in range(times):
        found.append(measure_once(stage, load))
        narrator.say(f"step {position + 1} of {times}: a replica was asked for after {found[-1]:.1f} s")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reactions: 0 when all are within the limit, 1 when one is not, 2 when they cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.reaction", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="how many steps")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    narrator = Narrator()
    try:
        found = measure(options.times, narrator)
    except DemoError as error:
        narrator.failure(f"reaction: {error}")
        return 2
    narrator.block(f"load step to new replica: {min(found):.1f} … {max(found):.1f} s, at most {LIMIT_SECONDS:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps({"seconds": found, "limit_seconds": LIMIT_SECONDS}))
    return 0 if max(found) <= LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
