"""The demo from an empty machine to the tables, in the order in which it is told: three arms, then the second act."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from dev.cluster.paths import REPOSITORY
from dev.demo import gpus, manifests
from dev.demo.arms import calibrate, run_arm, traffic
from dev.demo.ground import Ground, cluster_up, images
from dev.demo.kube import Kube, as_yaml
from dev.demo.narration import Narrator
from dev.demo.plan import MONITORING_NAMESPACE, NAMESPACE, POLICY, RELEASE, SYSTEM_NAMESPACE, DemoPlan, arms
from dev.demo.prometheus import Prometheus
from dev.demo.recording import replayed
from dev.demo.results import ArmResult, problems
from dev.demo.stage import Stage
from dev.demo.table import agreement_table, difference_lines, result_table
from dev.demo.tuning.act import Script, deploy, load_of, measured_rate, perform, tuned_stage
from dev.demo.tuning.gate import gate_line
from dev.demo.tuning.manifests import tuning_policy
from dev.demo.tuning.plan import DEMO_BOUNDS, POOR, TUNED, TuningPlan
from dev.demo.tuning.results import ActResult, tuning_problems
from dev.demo.tuning.table import gain_line, trial_table, tuning_table
from dev.load.arrivals import rates
from dev.load.plan import LoadPlan, schedule_of

CHART = REPOSITORY / "charts" / "trimtab"


@dataclasses.dataclass(frozen=True)
class Told:
    """What came of both acts, and why the demo failed, if it did."""

    arms: tuple[ArmResult, ...]
    tuning: ActResult
    failures: tuple[str, ...]


def tell(plan: DemoPlan, narrator: Narrator) -> Told:
    """Run the whole demo; raises DemoError when a step cannot be done."""
    narrator.headline("A Kubernetes cluster")
    ground = cluster_up()
    references = images()
    if ground.paths is None:
        plan = dataclasses.replace(plan, gpus=0)
        narrator.say("CLUSTER=current: no simulated GPUs are put on nodes of yours, replicas cost their CPU only")
    tuning = TuningPlan()
    begun_at = time.monotonic()
    stage = set_up(plan, ground, references, narrator)
    tuned = tuned_stage(stage, tuning)
    tuned.remove_policy(TUNED)
    tuned.remove()
    results = _first_act(stage, references, at_rest=lambda: deploy(tuned, tuning, references["engine"], POOR))
    act = _second_act(tuned, tuning, begun_at)
    failures = (*_conclude(stage, results), *_conclude_tuning(tuned, tuning, act), *replayed(stage))
    _leave(ground, narrator)
    return Told(results, act, failures)


def _first_act(stage: Stage, references: dict[str, str], at_rest: Callable[[], None]) -> tuple[ArmResult, ...]:
    plan, narrator = stage.plan, stage.narrator
    stage.deploy(references["engine"])
    narrator.say(f"all-MiniLM-L6-v2 is deployed in {NAMESPACE}; its manifest says nothing about replicas")
    narrator.headline("How much one replica can do")
    stage.resize(1)
    url = stage.url()
    capacity = calibrate(stage, url)
    load = traffic(stage, url, capacity * plan.mean_load)
    narrator.say(f"one replica ({plan.cpu_millicores}m CPU) answers {capacity:.1f} requests per second when saturated")
    narrator.say(_describe(load, capacity))
    return tuple(run_arm(stage, arm, load, at_rest) for arm in arms(plan))


def _second_act(stage: Stage, tuning: TuningPlan, begun_at: float) -> ActResult:
    stage.narrator.headline(f"Second act: {tuning.replicas} replicas that start poorly ({POOR}), and no time to rest")
    stage.wait_serving(tuning.replicas)
    rate = measured_rate(stage, tuning)
    script = Script(
        "tuning",
        tuning_policy(stage.plan, DEMO_BOUNDS),
        tuning.search_seconds,
        enough_at=begun_at + tuning.enough_seconds,
        quality=DEMO_BOUNDS.quality,
        over_at=begun_at + tuning.over_seconds,
    )
    return perform(stage, tuning, load_of(stage, tuning, rate), script)


def set_up(plan: DemoPlan, ground: Ground, references: dict[str, str], narrator: Narrator) -> Stage:
    """Bring up Prometheus, Trimtab and the simulated GPUs; what runs already stays. Raises DemoError."""
    programs = ground.programs
    kube = Kube(programs.kubeconfig)
    narrator.headline("Prometheus and Trimtab")
    offered = plan.max_replicas + TuningPlan().replicas + gpus.SPARE
    if ground.paths is not None:
        gpus.offer(ground.paths, offered)
        narrator.say(f"{offered} SIMULATED GPUs are offered: there is no GPU, models run on the CPU")
    programs.run_kubectl("apply", "-f", "-", text=manifests.prometheus(references["prometheus"]))
    programs.run_kubectl(
        "-n", MONITORING_NAMESPACE, "rollout", "status", "deployment/prometheus", "--timeout=180s", timeout_seconds=200
    )
    narrator.say(f"Prometheus runs in {MONITORING_NAMESPACE}")
    if ground.paths is not None:
        gpus.follow(ground.paths, _prometheus_url(kube), offered)
    gpu_folder = None if ground.paths is None else gpus.folder(ground.paths)
    values = manifests.chart_values(references["control"], ground.agent_values(), gpu_folder)
    # In a cluster of ours the tests apply definitions too, perhaps of another day.
    ours = () if ground.paths is None else ("--force-conflicts",)
    programs.run_helm(
        *("upgrade", "--install", RELEASE, str(CHART), "--namespace", SYSTEM_NAMESPACE, "--create-namespace"),
        *("--values", "-", "--wait", "--timeout", "4m", *ours),
        text=as_yaml(values),
    )
    narrator.say(f"helm upgrade --install {RELEASE} charts/trimtab: operator and agent run in {SYSTEM_NAMESPACE}")
    return Stage(plan, programs, kube, Prometheus(kube), narrator)


def _prometheus_url(kube: Kube) -> str:
    found = kube.get(f"/api/v1/namespaces/{MONITORING_NAMESPACE}/services/prometheus") or {}
    return f"http://{found['spec']['clusterIP']}:9090"


def _describe(load: LoadPlan, capacity: float) -> str:
    schedule = schedule_of(load)
    levels = [rate / capacity for rate in rates(schedule, load.duration_seconds / 15)]
    return (
        f"traffic: {len(schedule.arrivals_seconds)} requests in {load.duration_seconds:.0f} s, at the arrival times "
        f"of a real LLM fleet (58 min in fast motion), {min(levels):.1f} to {max(levels):.1f} times what one replica "
        "can do"
    )


def _conclude(stage: Stage, results: tuple[ArmResult, ...]) -> tuple[str, ...]:
    single, maximum, policy = results
    narrator = stage.narrator
    narrator.headline("What the policy reports")
    narrator.block(stage.programs.run_kubectl("get", "optimizationpolicies", "--all-namespaces").rstrip())
    narrator.headline("The same traffic, three ways (GPUs are SIMULATED, prices are assumptions)")
    narrator.block(result_table(stage.plan, results))
    narrator.block("")
    narrator.block("\n".join(difference_lines(stage.plan, single, maximum, policy)))
    narrator.headline("Do load generator and Prometheus agree?")
    narrator.block(agreement_table(results))
    return problems(stage.plan, single, maximum, policy)


def _conclude_tuning(stage: Stage, tuning: TuningPlan, act: ActResult) -> tuple[str, ...]:
    narrator = stage.narrator
    narrator.headline("The same load, before and after tuning (GPUs are SIMULATED, prices are assumptions)")
    narrator.block(tuning_table(stage.plan, tuning, [act]))
    narrator.block("")
    narrator.block(gain_line(tuning, act))
    if act.gate is not None:
        narrator.block(gate_line(act.gate))
    narrator.headline("What was tried")
    narrator.block(trial_table(act.trials))
    narrator.block(f"policy: {act.progressing}")
    for command in (("get", "opttrial", "-A"), ("get", "nodetune")):
        narrator.headline(f"kubectl {' '.join(command)}")
        narrator.block(stage.programs.run_kubectl(*command).rstrip())
    return tuning_problems(tuning, act)


def _leave(ground: Ground, narrator: Narrator) -> None:
    narrator.headline("Look around: everything is left running")
    lines = [f"export KUBECONFIG={ground.programs.kubeconfig}"]
    if ground.paths is not None:
        lines.append(f'export PATH="{ground.paths.cache / "tools"}:$PATH"      # kubectl and helm')
    lines += [
        "kubectl get optpol -A",
        f"kubectl -n {NAMESPACE} describe optpol {POLICY}",
        f"kubectl -n {NAMESPACE} describe optpol {TUNED}",
        "kubectl get opttrial -A",
        "kubectl get nodetune -o yaml",
        f"kubectl -n {NAMESPACE} get deployment,pods",
        f"kubectl -n {SYSTEM_NAMESPACE} logs deployment/trimtab-operator",
        f"kubectl -n {MONITORING_NAMESPACE} port-forward svc/prometheus 9090      # then http://localhost:9090",
    ]
    if ground.paths is not None:
        lines.append("make demo-controls      # the same load where nothing should change, or less")
        lines.append("make cluster-down      # removes the cluster and everything in it; builds stay in the cache")
    else:
        lines.append(f"helm -n {SYSTEM_NAMESPACE} uninstall {RELEASE}      # and then, to remove the rest:")
        lines.append(f"kubectl delete namespace {NAMESPACE} {MONITORING_NAMESPACE}")
    narrator.block("\n".join(f"  {line}" for line in lines))
