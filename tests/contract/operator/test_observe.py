"""observe() through the real adapter and a real Prometheus over exact samples: feeds, numbers, series, age, rebuild."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from contract.promql.server import Prometheus, start, stop
from contract.promql.timeline import END, SCRAPES, STEP, OpenMetrics
from fakes.clock import FakeClock
from fakes.kube import FakeKube, deployment, pod, policy

from trimtab_operator.controllers.refusals import parse_policy
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.resources import DEPLOYMENTS, PODS, POLICIES
from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feeds
from trimtab_operator.observation.observe import Eyes, observe
from trimtab_operator.observation.prometheus import PrometheusAdapter
from trimtab_operator.observation.target import TargetReader
from trimtab_operator.settings import PrometheusSettings
from trimtab_operator.telemetry import Telemetry

POD_NAMES = ("llama-b5c5-bcdfg", "llama-b5c5-hjklm")
GONE = "llama-b5c5-zzzzz"
HONORED, RENAMED, DCGM, CEASED = "honored", "renamed", "dcgm", "ceased"
UNTIL_CEASED = 90


def write_engine(text: OpenMetrics, namespace: str, name: str, last: int, first: int = 0) -> None:
    labels = {"namespace": namespace, "pod": name}
    times = [last - (SCRAPES - 1 - scrape) * STEP for scrape in range(first, SCRAPES)]

    def add(metric: str, step: float = 0.0, start: float = 0.0, **more: str) -> None:
        text.add(metric, labels | more, [(at, start + step * number) for number, at in enumerate(times)])

    add("trimtab_engine_ready", start=1.0)
    add("trimtab_engine_queue_requests", start=3.0, model="m")
    add("trimtab_engine_requests_total", step=50.0, start=1000.0, model="m", outcome="ok")
    add("trimtab_engine_requests_total", start=7.0, model="m", outcome="rejected")
    add("trimtab_engine_worker_busy_seconds_total", step=2.5, start=100.0, model="m", device="cpu")
    for bound, share in (("0.05", 0.5), ("0.1", 0.9), ("+Inf", 1.0)):
        add("trimtab_engine_request_seconds_bucket", step=50.0 * share, start=1000.0 * share, model="m", le=bound)


def write_agent(text: OpenMetrics, namespace: str, name: str, names: Mapping[str, str], simulated: str) -> None:
    times = [END - (SCRAPES - 1 - scrape) * STEP for scrape in range(SCRAPES)]
    own = {"namespace": "trimtab-system", "pod": "trimtab-agent-x"} if names["namespace"] != "namespace" else {}
    labels = own | {names["namespace"]: namespace, names["pod"]: name}
    container = labels | {"container": "server", "pod_uid": f"uid-{name}"}
    text.add("trimtab_agent_container_cpu_seconds_total", container, [(at, (at - times[0]) * 0.4) for at in times])
    text.add("trimtab_agent_container_cpu_limit_cores", container, [(at, 1.0) for at in times])
    gpu = {"gpu": "0", "uuid": f"GPU-{namespace}-{name}", "simulated": simulated}
    text.add("trimtab_agent_gpu_assigned", labels | gpu | {"container": "server"}, [(at, 1.0) for at in times])
    text.add("trimtab_agent_gpu_utilization_ratio", own | gpu, [(at, 0.7) for at in times])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("observe")
    text = OpenMetrics()
    for namespace, last in ((HONORED, END), (RENAMED, END), (DCGM, END), (CEASED, END - UNTIL_CEASED)):
        for name in POD_NAMES:
            write_engine(text, namespace, name, last)
    write_engine(text, HONORED, GONE, END - 60)
    for name in POD_NAMES:
        write_agent(text, HONORED, name, {"namespace": "namespace", "pod": "pod"}, "true")
        write_agent(text, RENAMED, name, {"namespace": "exported_namespace", "pod": "exported_pod"}, "false")
        for gpu, percent in (("2", 60.0), ("10", 100.0)):
            utilization = [(END - number * STEP, percent) for number in reversed(range(SCRAPES))]
            labels = {"namespace": DCGM, "pod": name, "UUID": f"GPU-{name}-{gpu}", "gpu": gpu}
            text.add("DCGM_FI_DEV_GPU_UTIL", labels, utilization)
    text.write(folder / "samples.txt")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", f"{folder}/samples.txt", f"{folder}/data"],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    server, process = start(folder, "global: {scrape_interval: 1h}\n")
    yield server
    stop(process)


class Look:
    """A target in a namespace, seen by a process with empty caches."""

    def __init__(self, url: str, namespace: str) -> None:
        self.namespace = namespace
        self.clock = FakeClock(END + 2)
        self.kube = FakeKube(now=END - 3600)
        body, gpus = deployment(namespace, "llama", replicas=2), "2" if namespace == DCGM else "1"
        body["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = gpus
        self.kube.seed(DEPLOYMENTS, body)
        for name in POD_NAMES:
            seen = pod(namespace, "llama", name, END - 3600)
            seen["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "1", "nvidia.com/gpu": gpus}
            self.kube.seed(PODS, seen)
        self.body: dict[str, Any] = self.kube.seed(
            POLICIES, policy(namespace, "p", "llama", observation={"interval": "5s", "window": "2m"})
        )
        self.adapter = PrometheusAdapter(PrometheusSettings(url), self.clock, Telemetry(self.clock))
        batch = Batch(self.adapter, lambda: (namespace,))
        switch = ModeSwitch(self.kube, self.clock, "sys", None)
        feeds = Feeds(batch, None, None, None)
        self.eyes = Eyes(self.kube, batch, feeds, TargetReader(self.kube), switch, list)

    async def at(self, now: float) -> Snapshot:
        return await observe(self.eyes, self.body, parse_policy(self.body), now)


@pytest.fixture
async def look(prometheus: Prometheus, request: pytest.FixtureRequest) -> AsyncIterator[Look]:
    made = Look(prometheus.url, request.param)
    yield made
    made.adapter.close()


@pytest.mark.parametrize("look", [HONORED], indirect=True)
async def test_numbers_and_states_are_those_of_the_samples(look: Look) -> None:
    seen = await look.at(END + 2)
    assert seen.now == END
    assert seen.scrape_interval_seconds == 5
    load = seen.readings[Signal.REQUESTS_PER_SECOND]
    assert (load.state, load.at, load.window_seconds) == (SignalState.OK, END, 20)
    assert load.by_pod == pytest.approx(dict.fromkeys(POD_NAMES, 10.0))
    assert seen.readings[Signal.BUSY_RATIO].by_pod == pytest.approx(dict.fromkeys(POD_NAMES, 0.5))
    assert seen.readings[Signal.QUEUE_REQUESTS].by_pod == dict.fromkeys(POD_NAMES, 3.0)
    assert seen.readings[Signal.CPU_USED_CORES].by_pod == pytest.approx(dict.fromkeys(POD_NAMES, 0.4))
    latency = seen.distributions[Signal.LATENCY_SECONDS]
    assert latency.state is SignalState.OK
    assert latency.by_pod[POD_NAMES[0]].cumulative == pytest.approx((300.0, 540.0, 600.0))
    assert seen.readings[Signal.CACHE_HIT_RATIO].state is SignalState.NO_DATA


@pytest.mark.parametrize(
    ("look", "source", "simulated", "utilization"),
    [(HONORED, "agent", True, 0.7), (RENAMED, "agent", False, 0.7), (DCGM, "dcgm", False, 0.8)],
    indirect=["look"],
)
async def test_gpus_are_found_by_their_source_whatever_the_labels_are_called(
    look: Look, source: str, simulated: bool, utilization: float
) -> None:
    seen = await look.at(END + 2)
    assert (seen.gpu_source, seen.gpu_simulated) == (source, simulated)
    found = seen.readings[Signal.GPU_UTILIZATION_RATIO]
    assert (found.state, found.by_pod) == (SignalState.OK, pytest.approx(dict.fromkeys(POD_NAMES, utilization)))


@pytest.mark.parametrize("look", [DCGM], indirect=True)
async def test_each_gpu_of_pods_with_several_is_told_in_the_order_of_numbers(look: Look) -> None:
    found = (await look.at(END + 2)).gpus
    assert set(found) == {Signal.GPU_UTILIZATION_RATIO}, "what no GPU tells is not there"
    utilization = found[Signal.GPU_UTILIZATION_RATIO]
    assert utilization.by_pod == dict.fromkeys(POD_NAMES, (0.6, 1.0))
    assert (utilization.at, utilization.window_seconds) == (END, 20)
    assert "DCGM_FI_DEV_GPU_UTIL" in utilization.query


@pytest.mark.parametrize("look", [HONORED], indirect=True)
async def test_pods_with_one_gpu_are_not_asked_for_each(look: Look) -> None:
    assert (await look.at(END + 2)).gpus == {}


@pytest.mark.parametrize("look", [CEASED], indirect=True)
async def test_samples_that_ceased_are_stale_though_prometheus_still_answers(look: Look) -> None:
    found = (await look.at(END + 2)).readings[Signal.QUEUE_REQUESTS]
    assert (found.state, found.by_pod, found.at) == (SignalState.STALE, {}, END - UNTIL_CEASED)


@pytest.mark.parametrize("look", [HONORED], indirect=True)
async def test_a_series_holds_the_pods_that_are_gone_and_is_the_same_extended_and_rebuilt(
    look: Look, prometheus: Prometheus
) -> None:
    for now in range(END - 40, END + 3, 5):
        living = await look.at(now)
    fresh = Look(prometheus.url, HONORED)
    rebuilt = await fresh.at(now)
    fresh.adapter.close()
    assert living.history == rebuilt.history
    load = {point.at: point.value for point in living.history[Signal.REQUESTS_PER_SECOND].points}
    assert load[END - 70] == pytest.approx(30.0)
    assert load[END - 10] == pytest.approx(20.0)
    assert max(load) <= now - 5
