"""Drives the simulated GPUs: each namespace has a load in GPUs, shared by the pods that hold one there.

SIMULATED: no GPU is present. The readings go through the fake NVML library, the real pynvml, the real agent and the
real Prometheus.
"""

from __future__ import annotations

import re
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

ASSIGNED = re.compile(r"^trimtab_agent_gpu_assigned\{([^}]*)\} 1", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Load:
    """What the pods of a namespace ask of their GPUs: `gpus` is work in whole GPUs, `memory_ratio` is each one's."""

    gpus: float = 0.0
    memory_ratio: float = 0.2


@dataclass
class SimulatedGpus:
    """Writes readings once a second for what the agent says is assigned: uuid -> (utilization, memory ratio)."""

    agent_metrics_url: str
    write: Callable[[dict[str, tuple[float, float]]], None]
    loads: dict[str, Load] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def set(self, namespace: str, *, gpus: float, memory_ratio: float = 0.2) -> None:
        """From now on the pods of `namespace` share this load."""
        self.loads[namespace] = Load(gpus, memory_ratio)

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="simulated-gpus", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            try:
                with urllib.request.urlopen(self.agent_metrics_url, timeout=3) as answer:
                    text = answer.read().decode()
            except OSError:
                continue
            self.write(self.readings(text))

    def readings(self, metrics: str) -> dict[str, tuple[float, float]]:
        """Utilization and memory ratio by uuid, for every assigned GPU."""
        by_namespace: defaultdict[str, set[str]] = defaultdict(set)
        for labels in ASSIGNED.findall(metrics):
            found = dict(LABEL.findall(labels))
            by_namespace[found["namespace"]].add(found["uuid"])
        readings: dict[str, tuple[float, float]] = {}
        for namespace, uuids in by_namespace.items():
            load = self.loads.get(namespace, Load())
            share = min(1.0, load.gpus / len(uuids))
            readings.update(dict.fromkeys(uuids, (share, load.memory_ratio)))
        return readings
