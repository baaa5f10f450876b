"""Every metric that the agent exports, in one table, and their rendering from the latest snapshot.

What was not read is absent: no metric is ever written as 0 because it is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as RegistryCollector

from trimtab_agent.collector import Tick
from trimtab_agent.snapshot import Assignment, ContainerUsage, GpuReading, Snapshot, Source, Traffic

MAX_LABEL_LENGTH = 253
COLLECT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float | None]]

GPU_LABELS = ("gpu", "uuid", "simulated")
CONTAINER_LABELS = ("namespace", "pod", "pod_uid", "container")
POD_LABELS = ("namespace", "pod", "pod_uid")


@dataclass(frozen=True)
class WireReading:
    """The engine wire now: engines with an entry by whether they still ask, and what it stands on."""

    attached: int
    lost: int
    synced: bool
    certificate_expires_seconds: float | None
    """Unix time; None while there is no certificate."""


@dataclass(frozen=True)
class Row:
    """One metric: its name, type (gauge, counter or histogram), meaning, labels, and how it is read from a snapshot.

    `read` is None for what the agent counts about itself; a sample whose value is None is left out.
    """

    name: str
    kind: str
    meaning: str
    labels: Labels
    read: Callable[[Snapshot], Samples] | None = None

    @property
    def help(self) -> str:
        """The meaning, and what the metric is labelled by."""
        return f"{self.meaning} Labeled by {', '.join(self.labels)}." if self.labels else self.meaning


def _gpu(name: str, kind: str, text: str, value: Callable[[GpuReading], float | None]) -> Row:
    def read(snapshot: Snapshot) -> Samples:
        return ((_gpu_labels(snapshot, gpu), value(gpu)) for gpu in snapshot.driver.gpus)

    return Row(f"trimtab_agent_gpu_{name}", kind, text, GPU_LABELS, read)


def _container(name: str, kind: str, text: str, value: Callable[[ContainerUsage], float | None]) -> Row:
    def read(snapshot: Snapshot) -> Samples:
        return (
            ((each.name.namespace, each.name.pod, each.pod_uid, each.container), value(each.usage))
            for each in snapshot.containers
        )

    return Row(f"trimtab_agent_container_{name}", kind, text, CONTAINER_LABELS, read)


def _pod(name: str, text: str, value: Callable[[Traffic], float]) -> Row:
    def read(snapshot: Snapshot) -> Samples:
        return (((each.name.namespace, each.name.pod, each.pod_uid), value(each.traffic)) for each in snapshot.pods)

    return Row(f"trimtab_agent_pod_{name}", "counter", text, POD_LABELS, read)


def _simulated(snapshot: Snapshot) -> str:
    return "true" if snapshot.driver.simulated else "false"


def _gpu_labels(snapshot: Snapshot, gpu: GpuReading) -> Labels:
    return str(gpu.index), gpu.uuid, _simulated(snapshot)


def _driver(snapshot: Snapshot) -> Samples:
    return [((snapshot.driver.state,), 1)]


def _source_states(snapshot: Snapshot) -> Samples:
    return (((source, state), 1) for source, state in snapshot.source_states.items())


def _throttled(snapshot: Snapshot) -> Samples:
    for gpu in snapshot.driver.gpus:
        for reason, holds in (gpu.throttled or {}).items():
            yield (*_gpu_labels(snapshot, gpu), reason), float(holds)


def _models(snapshot: Snapshot) -> Samples:
    for gpu in snapshot.driver.gpus:
        if gpu.name is not None:
            yield (*_gpu_labels(snapshot, gpu), gpu.name, gpu.utilization_source or ""), 1


def _assigned(snapshot: Snapshot) -> Samples:
    return ((_assigned_labels(snapshot, each), 1) for each in snapshot.assignments)


def _assigned_labels(snapshot: Snapshot, each: Assignment) -> Labels:
    index = "" if each.gpu_index is None else str(each.gpu_index)
    return index, each.uuid, _simulated(snapshot), each.name.namespace, each.name.pod, each.container


TABLE: tuple[Row, ...] = (
    Row("trimtab_agent_gpu_driver", "gauge", "1 for the present state of the driver: ok, no_driver, no_gpu or error.",
        ("state",), _driver),
    Row("trimtab_agent_source_state", "gauge", "1 for how each source answered: ok, missing, error or timeout.",
        ("source", "state"), _source_states),
    _gpu("utilization_ratio", "gauge", "Share of the GPU in use; trimtab_agent_gpu_model says what it means.",
         lambda gpu: gpu.utilization_ratio),
    _gpu("dram_active_ratio", "gauge", "Share of cycles in which GPU memory moved data; where the GPU has GPM.",
         lambda gpu: gpu.dram_active_ratio),
    _gpu("tensor_active_ratio", "gauge", "Share of cycles in which a tensor pipe worked; where the GPU has GPM.",
         lambda gpu: gpu.tensor_active_ratio),
    _gpu("memory_used_bytes", "gauge", "GPU memory in use.", lambda gpu: gpu.memory_used_bytes),
    _gpu("memory_total_bytes", "gauge", "GPU memory.", lambda gpu: gpu.memory_total_bytes),
    _gpu("power_watts", "gauge", "Power draw now.", lambda gpu: gpu.power_watts),
    _gpu("power_limit_watts", "gauge", "Power limit in force.", lambda gpu: gpu.power_limit_watts),
    _gpu("energy_joules_total", "counter", "Energy drawn since the driver was loaded.", lambda gpu: gpu.energy_joules),
    _gpu("temperature_celsius", "gauge", "Temperature of the chip.", lambda gpu: gpu.temperature_celsius),
    _gpu("sm_clock_hertz", "gauge", "Clock of the streaming multiprocessors now.", lambda gpu: gpu.sm_clock_hertz),
    _gpu("lost", "gauge", "1 when the driver lists the GPU but it does not answer.", lambda gpu: float(gpu.lost)),
    Row("trimtab_agent_gpu_throttled", "gauge",
        "1 when the reason holds the clocks down now: power_cap, thermal or hardware.",
        (*GPU_LABELS, "reason"), _throttled),
    Row("trimtab_agent_gpu_model", "gauge",
        "1; name of the GPU, and what its utilization means: sm_activity (GPM) or busy_time (utilization.gpu).",
        (*GPU_LABELS, "name", "utilization_source"), _models),
    Row("trimtab_agent_gpu_assigned", "gauge", "1 for each container that holds the GPU or MIG device.",
        (*GPU_LABELS, "namespace", "pod", "container"), _assigned),
    _container("cpu_seconds_total", "counter", "CPU time used.", lambda usage: usage.cpu_seconds),
    _container("cpu_limit_cores", "gauge", "CPU limit; absent without one.", lambda usage: usage.cpu_limit_cores),
    _container("cpu_periods_total", "counter", "Scheduler periods in which it could run.",
               lambda usage: usage.cpu_periods),
    _container("cpu_throttled_periods_total", "counter", "Scheduler periods in which it was throttled.",
               lambda usage: usage.cpu_throttled_periods),
    _container("cpu_throttled_seconds_total", "counter", "Time for which it was throttled, summed over CPUs.",
               lambda usage: usage.cpu_throttled_seconds),
    _container("memory_working_set_bytes", "gauge", "Memory used, less inactive file pages.",
               lambda usage: usage.memory_working_set_bytes),
    _container("memory_limit_bytes", "gauge", "Memory limit; absent without one.",
               lambda usage: usage.memory_limit_bytes),
    _container("oom_kills_total", "counter", "Processes of the running container that were killed for memory.",
               lambda usage: usage.oom_kills),
    _pod("network_receive_bytes_total", "Bytes received; absent on the host's network.",
         lambda traffic: traffic.received_bytes),
    _pod("network_transmit_bytes_total", "Bytes sent; absent on the host's network.",
         lambda traffic: traffic.transmitted_bytes),
    Row("trimtab_agent_node_build", "gauge", "1; node, version of the agent, and whether its GPUs are simulated.",
        ("node", "version", "simulated")),
    Row("trimtab_agent_collect_seconds", "histogram", "Duration of one collection of all sources.", ()),
    Row("trimtab_agent_collect_errors_total", "counter", "Failed readings.", ("source",)),
    Row("trimtab_agent_engines", "gauge", "Engines with an entry, by state: attached, or lost (asks no more).",
        ("state",)),
    Row("trimtab_agent_tuning_synced", "gauge", "1 once the node's NodeTuning was read.", ()),
    Row("trimtab_agent_certificate_expires_seconds", "gauge",
        "Unix time at which the wire's certificate ends; absent while there is none.", ()),
    Row("trimtab_agent_wire_requests_total", "counter", "Requests of engines, by path and outcome.",
        ("path", "outcome")),
    Row("trimtab_agent_status_writes_total", "counter", "Writes of the NodeTuning's status, by outcome.", ("outcome",)),
)  # fmt: skip

_ROWS = {row.name: row for row in TABLE}


class Instruments:
    """What the agent counts about itself."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the counters and nothing reads them
        seconds, errors = _ROWS["trimtab_agent_collect_seconds"], _ROWS["trimtab_agent_collect_errors_total"]
        self.seconds = Histogram(seconds.name, seconds.help, buckets=COLLECT_BUCKETS, registry=None)
        self.errors = Counter(errors.name, errors.help, errors.labels, registry=None)
        for source in Source:
            self.errors.labels(source)  # no error yet is visible as 0

        requests, writes = _ROWS["trimtab_agent_wire_requests_total"], _ROWS["trimtab_agent_status_writes_total"]
        self.wire_requests = Counter(requests.name, requests.help, requests.labels, registry=None)
        self.status_writes = Counter(writes.name, writes.help, writes.labels, registry=None)

    def count_wire_request(self, path: str, outcome: str) -> None:
        """Count one request of an engine."""
        self.wire_requests.labels(path, outcome).inc()

    def count_status_write(self, outcome: str) -> None:
        """Count one write of the NodeTuning's status."""
        self.status_writes.labels(outcome).inc()

    def observe(self, tick: Tick) -> None:
        """Count one tick."""
        self.seconds.observe(tick.seconds)
        for source, count in tick.errors.items():
            self.errors.labels(source).inc(count)


class SnapshotCollector(RegistryCollector):
    """Renders the latest fresh snapshot at each scrape."""

    def __init__(self, fresh: Callable[[], Snapshot | None], node: str, version: str) -> None:
        self._fresh = fresh
        self._node = node
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield one metric family for each row that has samples now."""
        snapshot = self._fresh()
        simulated = "false" if snapshot is None else _simulated(snapshot)
        yield _family(_ROWS["trimtab_agent_node_build"], [((self._node, self._version, simulated), 1)])
        if snapshot is None:
            return
        for row in TABLE:
            if row.read is not None:
                family = _family(row, row.read(snapshot))
                if family.samples:
                    yield family

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the registry must not render a snapshot in order to learn names."""
        return ()


class WireCollector(RegistryCollector):
    """Renders the engine wire at each scrape."""

    def __init__(self, read: Callable[[], WireReading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield what is known of the wire."""
        reading = self._read()
        samples: dict[str, Samples] = {
            "trimtab_agent_engines": [(("attached",), reading.attached), (("lost",), reading.lost)],
            "trimtab_agent_tuning_synced": [((), float(reading.synced))],
            "trimtab_agent_certificate_expires_seconds": [((), reading.certificate_expires_seconds)],
        }
        for name, found in samples.items():
            family = _family(_ROWS[name], found)
            if family.samples:
                yield family

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the wire need not be read in order to learn names."""
        return ()


def build_registry(
    fresh: Callable[[], Snapshot | None],
    instruments: Instruments,
    node: str,
    version: str,
    wire: Callable[[], WireReading] | None = None,
) -> CollectorRegistry:
    """Build the registry that /metrics renders: the snapshot, the agent's own counts, and its process.

    `wire` is None where engines are not served: then nothing is said of them.
    """
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(fresh, node, version))
    registry.register(instruments.seconds)
    registry.register(instruments.errors)
    if wire is not None:
        registry.register(instruments.wire_requests)
        registry.register(instruments.status_writes)
        registry.register(WireCollector(wire))
    ProcessCollector(registry=registry)
    return registry


def _family(row: Row, samples: Samples) -> Metric:
    metric = Metric(row.name.removesuffix("_total"), row.help, row.kind)
    for values, number in samples:
        if number is not None:
            labels = dict(zip(row.labels, (value[:MAX_LABEL_LENGTH] for value in values), strict=True))
            metric.add_sample(row.name, labels, number)
    return metric
