"""How full devices and replicas are, and what waits for them; means over the seasoned serving pods, at most 1."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from trimtab_operator.analysis import load, pods
from trimtab_operator.model import series
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.runtimes.select import RUNTIMES

BUSY_UTILIZATION = 0.8


@dataclass(frozen=True)
class Use:
    """Use of each device and of the replicas, 0 to 1, by each signal that tells, and the requests that wait.

    `lasting_queue` is the smaller of the last two looks at the queue. `backlog_requests` are those that wait for a
    device, without a lone burst. Both are None where the queue is not known.
    """

    devices: dict[Signal, float]
    replicas: dict[Signal, float]
    lasting_queue: float | None
    backlog_requests: float | None

    @property
    def every(self) -> dict[Signal, float]:
        """Devices and replicas together."""
        return self.devices | self.replicas


def use_of(snapshot: Snapshot) -> Use:
    """Measure it; what is not known is not in it."""
    devices, lasting_queue = _devices(snapshot), _lasting_queue(snapshot)
    busy = max(devices.values(), default=0.0) >= BUSY_UTILIZATION
    return Use(
        devices=devices,
        replicas=_replicas(snapshot, devices, lasting_queue),
        lasting_queue=lasting_queue,
        backlog_requests=pods.total(snapshot, Signal.QUEUE_REQUESTS) if busy else lasting_queue,
    )


def _devices(snapshot: Snapshot) -> dict[Signal, float]:
    used = _means(snapshot, (Signal.BUSY_RATIO, Signal.GPU_UTILIZATION_RATIO))
    cpu = load.cpu_ratio(snapshot)
    if cpu is not None and not _on_gpu(snapshot):
        used[Signal.CPU_USED_CORES] = min(1.0, cpu)
    return used


def _replicas(snapshot: Snapshot, devices: dict[Signal, float], lasting_queue: float | None) -> dict[Signal, float]:
    """Return how full the replicas are by the signals that the runtime names; by the devices if it names none."""
    runtime = None if isinstance(snapshot.target, TargetProblem) else RUNTIMES.get(snapshot.target.runtime)
    if runtime is None or not runtime.fullness:
        return devices
    found = _means(snapshot, runtime.fullness)
    ready = len(pods.serving(snapshot))
    if found and runtime.queue_means_full and (lasting_queue or 0.0) >= max(1, ready):
        found[Signal.QUEUE_REQUESTS] = 1.0
    return found


def _means(snapshot: Snapshot, signals: tuple[Signal, ...]) -> dict[Signal, float]:
    known = {signal: pods.values(snapshot, signal) for signal in signals}
    return {signal: fmean(min(1.0, value) for value in by_pod.values()) for signal, by_pod in known.items() if by_pod}


def _on_gpu(snapshot: Snapshot) -> bool:
    return any(pod.gpus for pod in pods.serving(snapshot)) or bool(pods.values(snapshot, Signal.GPU_UTILIZATION_RATIO))


def _lasting_queue(snapshot: Snapshot) -> float | None:
    now = pods.total(snapshot, Signal.QUEUE_REQUESTS)
    reading = snapshot.readings.get(Signal.QUEUE_REQUESTS)
    if now is None or reading is None or reading.at is None:
        return now
    before = reading.at - 0.5 * (snapshot.scrape_interval_seconds or 0.0) - 0.001
    points = series.points_since(snapshot.history.get(Signal.QUEUE_REQUESTS), 0.0)
    return min(now, next((point.value for point in reversed(points) if point.at <= before), now))
