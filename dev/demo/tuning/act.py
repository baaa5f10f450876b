"""Runs one act: a load that never pauses, a window before, what happens in between, and a window after."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from dev.demo.arms import calibrate
from dev.demo.plan import MODEL_NAME, NAMESPACE
from dev.demo.stage import Stage
from dev.demo.tuning.manifests import tuned_workload
from dev.demo.tuning.plan import RATE_ANNOTATION, TUNED, TUNED_PODS, Quality, Start, TuningPlan
from dev.demo.tuning.results import ActResult
from dev.demo.tuning.traffic import Traffic
from dev.demo.tuning.watch import TuningWatch
from dev.demo.tuning.windows import Window, measured
from dev.load.plan import Keys, LoadPlan, Mode

LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Script:
    """What happens between the windows of an act.

    `policy` is the manifest that is applied, None to leave the engines alone. The second window comes once the search
    has ended, or after `seconds`, or, when a change was kept, at `enough_at` (monotonic seconds) at the latest. With a
    `quality` that the policy names, the load then goes on until a trial of it is judged, at the longest to `over_at`.
    """

    name: str
    policy: str | None
    seconds: float
    enough_at: float | None = None
    quality: Quality | None = None
    over_at: float = 0.0


def tuned_stage(stage: Stage, tuning: TuningPlan) -> Stage:
    """Return the stage with the second act's Deployment and its CPU limit in place of the first act's."""
    plan = dataclasses.replace(stage.plan, cpu_millicores=tuning.cpu_millicores)
    return dataclasses.replace(stage, plan=plan, workload=TUNED)


def deploy(stage: Stage, tuning: TuningPlan, engine_image: str, start: Start) -> None:
    """Put engines there that nobody has tuned; they need not serve yet when this returns."""
    stage.remove_policy(TUNED)
    stage.redeploy(tuned_workload(stage.plan, tuning, engine_image, start))


def measured_rate(stage: Stage, tuning: TuningPlan) -> float:
    """Saturate the replicas as they are and return the rate to offer; it is noted on the Deployment."""
    capacity = calibrate(stage, stage.url())
    rate = capacity * tuning.overload
    stage.narrator.say(
        f"{tuning.replicas} replicas ({stage.plan.cpu_millicores}m CPU each) answer {capacity:.1f} requests per "
        f"second when saturated; {rate:.1f} will be offered without a break"
    )
    stage.programs.run_kubectl(
        "-n", NAMESPACE, "annotate", "deployment", TUNED, "--overwrite", f"{RATE_ANNOTATION}={rate:.3f}"
    )
    return rate


def load_of(stage: Stage, tuning: TuningPlan, rate: float) -> LoadPlan:
    """Return the load of every act of this rate: the same arrivals and the same recorded keys."""
    return LoadPlan(
        url=stage.url(),
        model=MODEL_NAME,
        mode=Mode.CONSTANT,
        rate=rate,
        duration_seconds=tuning.traffic_seconds,
        keys=Keys.TRACE,
        key_offset=tuning.key_offset,
        objective_seconds=stage.plan.objective_seconds,
    )


def perform(stage: Stage, tuning: TuningPlan, load: LoadPlan, script: Script) -> ActResult:
    """Run an act on engines that serve; raises DemoError when a step fails."""
    with_policy = script.policy is not None
    with (
        TuningWatch(stage.kube, stage.narrator, with_policy=with_policy) as watch,
        Traffic(load, stage.narrator) as traffic,
    ):
        _pass(traffic, tuning.lead_seconds)
        before = _window(stage, traffic, tuning, "before")
        applied_at = time.time()
        if script.policy is not None:
            stage.programs.run_kubectl("apply", "-f", "-", text=script.policy)
            stage.narrator.stress("kubectl apply -f tuning-policy.yaml: from here on nobody else touches the engines")
        _between(traffic, watch, script)
        _pass(traffic, tuning.settle_seconds)
        under_way = [trial for trial in watch.trials if trial.under_way]
        if under_way:
            stage.narrator.say(f"trial {under_way[0].name} ({under_way[0].change}) goes on in the second window")
        after = _window(stage, traffic, tuning, "after")
        if script.quality is not None:
            _until_judged(stage, traffic, watch, script)
        run = traffic.stop()
        accuracy = stage.prometheus.accuracy(TUNED_PODS, time.time())
        verdict_at = watch.first_verdict_at_seconds
        return ActResult(
            name=script.name,
            before=measured(load, run, before, stage.prometheus),
            after=measured(load, run, after, stage.prometheus),
            trials=watch.trials,
            first_verdict_seconds=None if verdict_at is None else verdict_at - applied_at,
            progressing=watch.progressing,
            gate=None if script.quality is None else watch.gate(script.quality, accuracy),
        )


def _until_judged(stage: Stage, traffic: Traffic, watch: TuningWatch, script: Script) -> None:
    """Keep the load up until the format has had its turn: nothing is tried or measured without requests."""
    if not watch.format_judged:
        stage.narrator.say("the second window is over; the load goes on until the number format is judged")
    while not (watch.format_judged or watch.search_ended) and time.monotonic() < script.over_at:
        _pass(traffic, LOOK_SECONDS)


def _between(traffic: Traffic, watch: TuningWatch, script: Script) -> None:
    deadline = time.monotonic() + script.seconds
    while time.monotonic() < deadline and not (script.policy is not None and watch.search_ended):
        if watch.promoted and script.enough_at is not None and time.monotonic() >= script.enough_at:
            return
        _pass(traffic, LOOK_SECONDS)


def _window(stage: Stage, traffic: Traffic, tuning: TuningPlan, name: str) -> Window:
    stage.narrator.say(f"window {name}: {tuning.measured_seconds:.0f} s are measured")
    begins = time.time()
    _pass(traffic, tuning.measured_seconds)
    return Window(begins, time.time())


def _pass(traffic: Traffic, seconds: float) -> None:
    """Let time pass, but not beyond the end of the load."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        traffic.check()
        time.sleep(min(LOOK_SECONDS, left))
