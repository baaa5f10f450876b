"""The nouns of one collection: what was read on this node at one instant. Absent is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DriverState(StrEnum):
    """What the node's GPU driver answers."""

    OK = "ok"
    NO_DRIVER = "no_driver"
    NO_GPU = "no_gpu"
    ERROR = "error"


class Source(StrEnum):
    """Where a reading comes from; the label of collect errors and source states."""

    NVML = "nvml"
    CGROUP = "cgroup"
    POD_RESOURCES = "pod_resources"
    NETWORK = "network"


class SourceState(StrEnum):
    """How a source answered: `missing` is a node without it (no driver, no socket, no mount), which is not an error."""

    OK = "ok"
    MISSING = "missing"
    ERROR = "error"
    TIMEOUT = "timeout"


class UtilizationSource(StrEnum):
    """What the utilization of a GPU means."""

    SM_ACTIVITY = "sm_activity"
    """GPM: the share of streaming multiprocessors that were busy."""
    BUSY_TIME = "busy_time"
    """utilization.gpu: the share of time in which any kernel ran."""


@dataclass(frozen=True)
class GpuReading:
    """One GPU. A lost GPU has only what was known of it before."""

    index: int
    uuid: str
    name: str | None = None
    lost: bool = False
    utilization_ratio: float | None = None
    utilization_source: UtilizationSource | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    energy_joules: float | None = None
    temperature_celsius: int | None = None
    sm_clock_hertz: float | None = None
    throttled: Mapping[str, bool] | None = None
    """power_cap, thermal and hardware, each whether it holds the clocks down now."""
    mig_uuids: tuple[str, ...] = ()
    dram_active_ratio: float | None = None
    """GPM: the share of cycles in which the memory moved data."""
    tensor_active_ratio: float | None = None
    """GPM: the share of cycles in which a tensor pipe worked."""


@dataclass(frozen=True)
class DriverReading:
    """All GPUs of the node; `faults` counts readings that failed though field and GPU are there."""

    state: DriverState
    simulated: bool = False
    gpus: tuple[GpuReading, ...] = ()
    faults: int = 0
    reason: str | None = None
    """Why the driver does not answer, in the words of NVML."""


@dataclass(frozen=True)
class ContainerUsage:
    """What one container's cgroup says; counters count since the container started."""

    cpu_seconds: float | None = None
    cpu_limit_cores: float | None = None
    cpu_periods: int | None = None
    cpu_throttled_periods: int | None = None
    cpu_throttled_seconds: float | None = None
    memory_working_set_bytes: int | None = None
    memory_limit_bytes: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True)
class PodName:
    """The name by which the API server knows a pod."""

    namespace: str
    pod: str


@dataclass(frozen=True)
class ContainerReading:
    """One running container with its usage."""

    name: PodName
    pod_uid: str
    container: str
    usage: ContainerUsage


@dataclass(frozen=True)
class Traffic:
    """Bytes through all interfaces of a network namespace but the loopback, since it was made."""

    received_bytes: int
    transmitted_bytes: int


@dataclass(frozen=True)
class PodTraffic:
    """The network traffic of one pod that has a network of its own."""

    name: PodName
    pod_uid: str
    traffic: Traffic


@dataclass(frozen=True)
class AssignedDevice:
    """A device that the kubelet gave to a container, by the device plugin's own id."""

    name: PodName
    container: str
    device_id: str


@dataclass(frozen=True)
class Assignment:
    """A GPU (or MIG device) that a container holds; gpu_index is None while NVML does not know the device."""

    name: PodName
    container: str
    uuid: str
    gpu_index: int | None


@dataclass(frozen=True)
class NodeReading:
    """What cgroups and process files say about the node's pods."""

    containers: tuple[ContainerReading, ...] = ()
    pods: tuple[PodTraffic, ...] = ()
    cgroup_state: SourceState = SourceState.OK
    network_state: SourceState = SourceState.OK


@dataclass(frozen=True)
class DevicesReading:
    """What the kubelet's PodResources socket says."""

    devices: tuple[AssignedDevice, ...] = ()
    state: SourceState = SourceState.OK


@dataclass(frozen=True)
class Snapshot:
    """Everything of one tick. `taken_at_seconds` is the clock of the collector (monotonic)."""

    taken_at_seconds: float
    driver: DriverReading
    containers: tuple[ContainerReading, ...] = ()
    pods: tuple[PodTraffic, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    source_states: Mapping[Source, SourceState] = field(default_factory=dict)
