"""The Prometheus in the cluster, which scenarios may take away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.cluster import Cluster, eventually


@dataclass(frozen=True)
class Prometheus:
    """A Deployment in a namespace of its own."""

    cluster: Cluster
    namespace: str
    name: str

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """No Prometheus inside the block; a fresh, empty one after it."""
        self._scale(0)
        try:
            yield
        finally:
            self._scale(1)

    def _scale(self, replicas: int) -> None:
        self.cluster.kubectl("-n", self.namespace, "scale", f"deployment/{self.name}", f"--replicas={replicas}")
        eventually(lambda: self._ready() == replicas, f"{replicas} Prometheus", 60)

    def _ready(self) -> int:
        pods = self.cluster.objects("pods", self.namespace, "-l", f"app.kubernetes.io/name={self.name}")
        return len(pods) if not pods else sum(_is_ready(pod) for pod in pods)


def _is_ready(pod: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
