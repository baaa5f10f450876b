"""The stage of the end-to-end scenarios: the real cluster, Prometheus, the chart's release, and simulated GPUs.

SIMULATED GPUs: the readings come from a file through a fake NVML library; everything above it is the product.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fakes.nvml.readings import SimulatedGpu, write_readings
from harness.audit import AuditLog
from harness.cluster import Cluster, eventually
from harness.gpus import SimulatedGpus
from harness.leftovers import remove_leftovers
from harness.platform import Platform, Steady
from harness.prometheus import Prometheus
from harness.room import Room
from harness.traffic import Traffic
from harness.tuned import Tuned, tune
from harness.workload import deployment, policy

from dev.cluster.paths import REPOSITORY, Paths, default_paths
from dev.cluster.processes import running, stop
from dev.demo import gpus as demo_gpus
from dev.demo import manifests
from dev.demo.ground import Ground, cluster_up, images
from dev.demo.plan import MONITORING_NAMESPACE, RELEASE, SYSTEM_NAMESPACE
from dev.demo.readings import TOTAL_BYTES, uuids
from dev.demo.story import CHART

SETTLING_SECONDS = 360.0  # a new policy takes its baseline, and its five-minute means fill
GPU_COUNT = 16  # as many as the simulated NVML library holds
# Of a new authority; the kubelet brings its certificate to the engines within half a minute here.
ROTATION = [
    {"name": "TRIMTAB_CA_SETTLE_SECONDS", "value": "30"},
    {"name": "TRIMTAB_CA_GRACE_SECONDS", "value": "150"},
]


@pytest.fixture(scope="session")
def ground() -> Ground:
    assert os.environ.get("CLUSTER") != "current", (
        "the end-to-end scenarios read the audit log and stop processes: they need the embedded cluster"
    )
    return cluster_up()


@pytest.fixture(scope="session")
def paths() -> Paths:
    return default_paths()


@pytest.fixture(scope="session")
def cluster(ground: Ground, paths: Paths) -> Cluster:
    """The local cluster, with an empty start: what an earlier run left in the way is removed."""
    tools = paths.cache / "tools"
    made = Cluster(paths.kubeconfig, paths.state, tools / "kubectl", tools / "helm", images())
    if record := running(paths, "simulated-gpu-readings"):
        stop([record])
    made.helm("uninstall", RELEASE, "-n", SYSTEM_NAMESPACE, "--ignore-not-found", "--wait")
    remove_leftovers(made.kubectl)
    return made


@pytest.fixture(scope="session")
def engine_image(cluster: Cluster) -> str:
    return cluster.images["engine"]


@pytest.fixture(scope="session")
def prometheus(cluster: Cluster) -> Prometheus:
    cluster.kubectl("apply", "-f", "-", input=manifests.prometheus(cluster.images["prometheus"]))
    cluster.kubectl(
        "-n", MONITORING_NAMESPACE, "rollout", "status", "deployment/prometheus", "--timeout=180s", timeout=200
    )
    return Prometheus(cluster, MONITORING_NAMESPACE, "prometheus")


@pytest.fixture(scope="session")
def platform(cluster: Cluster, paths: Paths, ground: Ground, prometheus: Prometheus) -> Platform:
    """The chart's release."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(REPOSITORY / "crds"))
    folder = _offer_gpus(paths)
    audit = AuditLog(paths.audit_log)
    mark = audit.mark()
    values = manifests.chart_values(cluster.images["control"], ground.agent_values(), folder)
    values["operator"] = {"extraEnv": ROTATION}
    cluster.helm(
        "upgrade", "--install", RELEASE, str(CHART), "-n", SYSTEM_NAMESPACE, "--create-namespace",
        "--values", "-", "--wait", "--timeout", "4m", input=yaml.safe_dump(values),
    )  # fmt: skip
    release = Platform(cluster, audit, mark)
    eventually(release.leader, "an operator leads", 60)
    return release


@pytest.fixture(scope="session")
def gpus(cluster: Cluster, paths: Paths, platform: Platform) -> Iterator[SimulatedGpus]:
    (agent,) = cluster.objects("pods", SYSTEM_NAMESPACE, "-l", "app.kubernetes.io/component=agent")
    file = demo_gpus.folder(paths) / "readings"
    simulation = SimulatedGpus(f"http://{agent['status']['podIP']}:9101/metrics", lambda load: _write(file, load))
    simulation.start()
    yield simulation
    simulation.stop()


@pytest.fixture
def room(cluster: Cluster, platform: Platform, gpus: SimulatedGpus, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A namespace for one test; when the test failed, what the policy said is printed."""
    made = Room.open(cluster, platform.audit, gpus, "e2e-" + secrets.token_hex(4))
    yield made
    if getattr(request.node, "failed", False):
        _tell(made)
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture(scope="session")
def traffic(cluster: Cluster) -> Traffic:
    return Traffic(cluster)


@pytest.fixture(scope="session")
def _tuned(
    cluster: Cluster, platform: Platform, gpus: SimulatedGpus, traffic: Traffic, engine_image: str
) -> Iterator[Tuned]:
    made = Room.open(cluster, platform.audit, gpus, "e2e-tuned")
    try:
        yield tune(made, traffic, platform, engine_image)
    except AssertionError:
        _tell(made)
        raise
    finally:
        cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture
def tuned(_tuned: Tuned, request: pytest.FixtureRequest) -> Iterator[Tuned]:
    """One deployment whose engines a trial has tuned, for all scenarios about tuning; told of when one fails."""
    yield _tuned
    if getattr(request.node, "failed", False):
        _tell(_tuned.room)


@pytest.fixture(scope="module")
def _scaled(cluster: Cluster, platform: Platform, gpus: SimulatedGpus, engine_image: str) -> Iterator[Room]:
    made = Room.open(cluster, platform.audit, gpus, "e2e-scaled")
    gpus.set(made.namespace, gpus=0.3)
    made.apply(deployment(engine_image), policy(scaling={"minReplicas": 1, "maxReplicas": 4, "stabilization": "10m"}))
    made.wait_ready(1)
    made.wait_trusted()
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture
def scaled(_scaled: Room, request: pytest.FixtureRequest) -> Iterator[Room]:
    """One deployment that the scenarios of a module scale up, one after another; told of when one fails."""
    yield _scaled
    if getattr(request.node, "failed", False):
        _tell(_scaled)


@pytest.fixture(autouse=True)
def _steady_begins(request: pytest.FixtureRequest) -> None:
    """The ten quiet minutes begin with the first scenario that leaves the rest of the cluster alone."""
    if _needs_release(request.node) and not request.node.get_closest_marker("disturbs"):
        request.getfixturevalue("steady")
        request.getfixturevalue("orphan")


@pytest.fixture(scope="session")
def steady(cluster: Cluster, platform: Platform, gpus: SimulatedGpus, engine_image: str) -> Iterator[Steady]:
    """A policy at constant load, made first and left alone until the last test looks at what was written."""
    made = Room.open(cluster, platform.audit, gpus, "e2e-steady")
    gpus.set(made.namespace, gpus=0.5)
    made.apply(deployment(engine_image), policy(observation={"interval": "5s", "window": "60s"}))
    made.wait_ready(1)
    made.wait_trusted()
    yield Steady(made, time.time() + SETTLING_SECONDS)
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture(scope="session")
def orphan(cluster: Cluster, platform: Platform, gpus: SimulatedGpus) -> Iterator[Room]:
    """A policy without a target, reported early, so that the same news can come again much later."""
    made = Room.open(cluster, platform.audit, gpus, "e2e-orphan")
    made.apply(policy())
    made.wait_condition("TargetResolved", "False", "NotFound")
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what installs and removes the release itself, then what disturbs everybody, then the rest as named."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    ordered = iter(sorted(here, key=_rank))
    items[:] = [next(ordered) if item in here else item for item in items]


def _rank(item: pytest.Item) -> int:
    if not _needs_release(item):
        return 0
    return 1 if item.get_closest_marker("disturbs") else 2


def _needs_release(item: pytest.Item) -> bool:
    return item.path.parent == Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]
    return report


def _tell(room: Room) -> None:
    print(room.kubectl("get", "optpol,opttrial,nodetune,deploy,pods", "-o", "wide", check=False))
    print(room.kubectl("get", "optpol,opttrial,nodetune", "-o", "yaml", check=False)[-20000:])


def _offer_gpus(paths: Paths) -> Path:
    demo_gpus.folder(paths).mkdir(parents=True, exist_ok=True)
    _write(demo_gpus.folder(paths) / "readings", {})
    demo_gpus.offer(paths, GPU_COUNT)
    return demo_gpus.folder(paths)


def _write(file: Path, load: dict[str, tuple[float, float]]) -> None:
    write_readings(file, [_gpu(uuid, *load.get(uuid, (0.0, 0.02))) for uuid in uuids(GPU_COUNT)])


def _gpu(uuid: str, utilization: float, memory: float) -> SimulatedGpu:
    return SimulatedGpu(
        uuid=uuid,
        name="Simulated GPU",
        utilization_ratio=utilization,
        memory_used_bytes=int(memory * TOTAL_BYTES),
        memory_total_bytes=TOTAL_BYTES,
        power_watts=75 + 525 * utilization,
    )
