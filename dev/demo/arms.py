"""Runs one arm: cold pods, the recorded traffic, and what both sides counted."""

from __future__ import annotations

import time
from collections.abc import Callable

from dev.demo.agreement import compare
from dev.demo.errors import DemoError
from dev.demo.narration import Narrator
from dev.demo.plan import MODEL_NAME, Arm
from dev.demo.prometheus import wait_scraped
from dev.demo.results import ArmResult
from dev.demo.sightings import replica_time
from dev.demo.stage import Stage
from dev.demo.watch import Watch
from dev.load.errors import LoadError
from dev.load.figures import Stretch, figures
from dev.load.outcomes import Run
from dev.load.plan import LoadPlan, Mode
from dev.load.process import LoadProcess, measure

PROGRESS_SECONDS = 5.0


def traffic(stage: Stage, url: str, rate: float) -> LoadPlan:
    """Return the traffic of every arm: the same arrivals, keys and sentences."""
    return LoadPlan(
        url=url,
        model=MODEL_NAME,
        mode=Mode.TRACE,
        rate=rate,
        duration_seconds=stage.plan.arm_seconds,
        objective_seconds=stage.plan.objective_seconds,
    )


def calibrate(stage: Stage, url: str) -> float:
    """Return the requests per second of one saturated replica; raises DemoError when it answers nothing."""
    try:
        capacity = measure(
            traffic(stage, url, 1.0),
            seconds=stage.plan.calibration_seconds,
            callers=stage.plan.calibration_callers,
        )
    except LoadError as error:
        raise DemoError(f"the deployment does not answer: {error}") from error
    return capacity.per_second


def run_arm(stage: Stage, arm: Arm, plan: LoadPlan, at_rest: Callable[[], None]) -> ArmResult:
    """Run one arm from cold pods to its figures; raises DemoError when a step fails.

    `at_rest` is called once the policy's traffic is over and nothing is measured any more.
    """
    stage.narrator.headline(f"{arm.name}: {arm.replicas} replica{'s' if arm.replicas > 1 else ''} to begin with")
    stage.resize(arm.replicas)
    with Watch(stage.kube, stage.narrator, with_policy=arm.with_policy) as watch:
        if arm.with_policy:
            stage.apply_policy()
            stage.narrator.stress("kubectl apply -f policy.yaml: from here on nobody else touches the deployment")
        try:
            with LoadProcess(plan, progress_seconds=PROGRESS_SECONDS) as process:
                run = process.wait(Teller(stage.narrator))
        except LoadError as error:
            raise DemoError(str(error)) from error
        result = _measured(stage, arm, run, watch)
        stage.narrator.say(
            f"{arm.name}: {result.load.answered} of {result.load.offered} answered, "
            f"{result.load.goodput_per_second:.1f}/s in time, {result.replicas.paid_seconds:.0f} replica-seconds"
        )
        if arm.with_policy:
            at_rest()
            _wait_for_rest(stage, watch)
    return result


def _measured(stage: Stage, arm: Arm, run: Run, watch: Watch) -> ArmResult:
    scalings = tuple(watch.scalings)
    wait_scraped(stage.prometheus, lambda: watch.sightings[-1].serving, time.time())
    begins, ends = run.started_at_epoch_seconds, run.started_at_epoch_seconds + run.duration_seconds
    load = figures(run, stage.plan.objective_seconds)
    return ArmResult(
        arm=arm,
        load=load,
        replicas=replica_time(watch.sightings, begins, ends),
        agreement=compare(load, stage.prometheus.served(begins, time.time())),
        scalings=scalings,
    )


def _wait_for_rest(stage: Stage, watch: Watch) -> None:
    """Let the reader see the policy give back what the traffic no longer needs; nothing is measured any more."""
    seconds = stage.plan.rest_seconds
    stage.narrator.say(f"the traffic is over; the policy has up to {seconds:.0f} s to give replicas back")
    deadline = time.monotonic() + seconds
    while watch.sightings[-1].desired > 1 and time.monotonic() < deadline:
        time.sleep(0.5)


class Teller:
    """Tells one line for each stretch of the run."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._before = 0.0

    def __call__(self, stretch: Stretch) -> None:
        length = stretch.at_seconds - self._before
        self._before = stretch.at_seconds
        latency = "none" if stretch.p95_latency_seconds is None else f"{stretch.p95_latency_seconds * 1000:.0f} ms"
        share = f"{stretch.within_objective / stretch.ended:.0%}" if stretch.ended else "none"
        self._narrator.say(
            f"{stretch.at_seconds:4.0f} s of traffic: {stretch.ended / length:5.1f}/s ended, {share:>4} in time, "
            f"p95 {latency:>8}, {stretch.open} waiting"
        )
