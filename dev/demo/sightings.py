"""What was seen of the deployment's pods, second by second, and replica-seconds reckoned from it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class PodSight:
    """One pod at one moment."""

    name: str
    bound: bool
    ready: bool
    ending: bool


@dataclass(frozen=True)
class Sighting:
    """The deployment at one moment; `at_seconds` is unix time."""

    at_seconds: float
    desired: int
    pods: tuple[PodSight, ...]

    @property
    def paid(self) -> int:
        """Pods that occupy a node, from their binding to their end: what has to be paid for."""
        return sum(pod.bound for pod in self.pods)

    @property
    def serving(self) -> set[str]:
        """Names of the pods that take traffic."""
        return {pod.name for pod in self.pods if pod.ready and not pod.ending}

    @property
    def ready(self) -> int:
        """How many pods take traffic."""
        return len(self.serving)


def pod_sight(pod: Json) -> PodSight:
    """Read one pod as the API server gives it."""
    status = pod.get("status", {})
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", [])}
    living = status.get("phase") in {"Pending", "Running"}
    return PodSight(
        name=pod["metadata"]["name"],
        bound=living and bool(pod["spec"].get("nodeName")),
        ready=conditions.get("Ready") == "True",
        ending="deletionTimestamp" in pod["metadata"],
    )


@dataclass(frozen=True)
class ReplicaTime:
    """Replica-seconds over one arm."""

    paid_seconds: float
    ready_seconds: float
    largest: int
    smallest: int


def replica_time(sightings: Sequence[Sighting], start_seconds: float, end_seconds: float) -> ReplicaTime:
    """Sum up pods over [start, end]: each sighting holds until the next one, the first also before itself.

    Raises ValueError without a sighting before the end: nothing seen is not the same as nothing there.
    """
    seen = [sighting for sighting in sightings if sighting.at_seconds < end_seconds]
    if not seen:
        raise ValueError("nobody looked at the pods during the arm")
    paid = ready = 0.0
    levels: list[int] = []
    for position, sighting in enumerate(seen):
        begins = start_seconds if position == 0 else max(sighting.at_seconds, start_seconds)
        ends = seen[position + 1].at_seconds if position + 1 < len(seen) else end_seconds
        length = min(ends, end_seconds) - begins
        if length > 0:
            paid += sighting.paid * length
            ready += sighting.ready * length
            levels.append(sighting.desired)
    return ReplicaTime(paid, ready, max(levels), min(levels))
