"""Runs the controls, one after the other, on a stage that stands or is brought up."""

from __future__ import annotations

from dev.demo.controls.plan import CONTROLS, UNTOUCHED_SECONDS, Control, control_problems, reasons
from dev.demo.ground import cluster_up, images
from dev.demo.narration import Narrator
from dev.demo.plan import NAMESPACE, DemoPlan
from dev.demo.stage import Stage
from dev.demo.story import set_up
from dev.demo.tuning.act import Script, deploy, load_of, measured_rate, perform, tuned_stage
from dev.demo.tuning.manifests import tuning_policy
from dev.demo.tuning.plan import POOR, RATE_ANNOTATION, TUNED, TuningPlan
from dev.demo.tuning.results import ActResult
from dev.demo.tuning.table import gain_line, trial_table, tuning_table


def run_controls(narrator: Narrator) -> tuple[tuple[ActResult, ...], tuple[str, ...]]:
    """Run all controls; returns the acts and what is wrong with them. Raises DemoError when a step cannot be done."""
    narrator.headline("A Kubernetes cluster")
    ground = cluster_up()
    references = images()
    plan = DemoPlan() if ground.paths is not None else DemoPlan(gpus=0)
    tuning = TuningPlan()
    stage = tuned_stage(set_up(plan, ground, references, narrator), tuning)
    rate = _rate(stage, tuning, references["engine"])
    results = []
    for control in CONTROLS:
        results.append(_run(stage, tuning, control, references["engine"], rate))
        stage.remove_policy(TUNED)
    _show(stage, tuning, results)
    failures = [
        problem
        for control, result in zip(CONTROLS, results, strict=True)
        for problem in control_problems(control, result)
    ]
    return tuple(results), tuple(failures)


def _rate(stage: Stage, tuning: TuningPlan, engine_image: str) -> float:
    """Return the rate of the demo before us, or measure one as the demo does."""
    deployment = stage.kube.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{TUNED}") or {"metadata": {}}
    noted = (deployment["metadata"].get("annotations") or {}).get(RATE_ANNOTATION)
    if noted is not None:
        stage.narrator.say(f"`make demo` offered {noted} requests per second; so do the controls")
        return float(noted)
    deploy(stage, tuning, engine_image, POOR)
    stage.wait_serving(tuning.replicas)
    return measured_rate(stage, tuning)


def _run(stage: Stage, tuning: TuningPlan, control: Control, engine_image: str, rate: float) -> ActResult:
    stage.narrator.headline(f"{control.name}: starts with {control.start}; {control.expectation}")
    deploy(stage, tuning, engine_image, control.start)
    stage.programs.run_kubectl(
        "-n", NAMESPACE, "annotate", "deployment", TUNED, "--overwrite", f"{RATE_ANNOTATION}={rate:.3f}"
    )
    stage.wait_serving(tuning.replicas)
    policy = None if control.bounds is None else tuning_policy(stage.plan, control.bounds)
    seconds = UNTOUCHED_SECONDS if policy is None else tuning.search_seconds
    return perform(stage, tuning, load_of(stage, tuning, rate), Script(control.name, policy, seconds))


def _show(stage: Stage, tuning: TuningPlan, results: list[ActResult]) -> None:
    narrator = stage.narrator
    narrator.headline("The controls (GPUs are SIMULATED, prices are assumptions)")
    narrator.block(tuning_table(stage.plan, tuning, results))
    for result in results:
        narrator.headline(result.name)
        narrator.block(gain_line(tuning, result))
        narrator.block(trial_table(result.trials))
        narrator.block("\n".join(reasons(result)))
