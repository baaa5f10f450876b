"""Looks at the deployment and its policy once a second, keeps what was seen, and tells what changed."""

from __future__ import annotations

import time
from types import TracebackType

from dev.demo.changes import Seen, changes, event_lines
from dev.demo.errors import DemoError
from dev.demo.kube import Json, Kube
from dev.demo.narration import Narrator
from dev.demo.plan import NAMESPACE, POLICY, WORKLOAD
from dev.demo.repeat import Repeat
from dev.demo.sightings import Sighting, pod_sight

_DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_POLICIES = f"/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/optimizationpolicies"
_EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


def pods_of(kube: Kube, workload: str) -> list[Json]:
    """Return the pods of a deployment of the demo."""
    return kube.items(_PODS, labelSelector=f"app.kubernetes.io/name={workload}")


def policy_of(kube: Kube, name: str) -> Json | None:
    """Return a policy of the demo, None where there is none."""
    return kube.get(f"{_POLICIES}/{name}")


def look(kube: Kube, workload: str = WORKLOAD) -> Sighting:
    """See a deployment's pods now; raises DemoError when the deployment is gone."""
    deployment = kube.get(f"{_DEPLOYMENTS}/{workload}")
    if deployment is None:
        raise DemoError(f"deployment {NAMESPACE}/{workload} is gone")
    pods = pods_of(kube, workload)
    return Sighting(time.time(), deployment["spec"]["replicas"], tuple(pod_sight(pod) for pod in pods))


class Watch:
    """Looks and tells, from entering the `with` block to leaving it."""

    def __init__(self, kube: Kube, narrator: Narrator, *, with_policy: bool) -> None:
        self._kube = kube
        self._narrator = narrator
        self._with_policy = with_policy
        self._repeat = Repeat(self._look, narrator)
        self._sightings: list[Sighting] = []
        self._seen = Seen()
        self._told: set[str] = set()
        self.scalings: list[str] = []

    def __enter__(self) -> Watch:
        if self._with_policy:
            self._told = {event["metadata"]["uid"] for event in self._kube.items(_EVENTS)}
        self._repeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._repeat.__exit__(kind, error, trace)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """Everything seen so far, oldest first."""
        return tuple(self._sightings)

    def _look(self) -> None:
        sighting = look(self._kube)
        policy = policy_of(self._kube, POLICY) if self._with_policy else None
        seen = Seen.of(sighting, policy)
        for change in changes(self._seen, seen):
            (self._narrator.stress if change.important else self._narrator.say)(change.text)
            if change.scaling:
                self.scalings.append(change.text)
        self._sightings.append(sighting)
        self._seen = seen
        if self._with_policy:
            for line in event_lines(self._kube.items(_EVENTS), self._told):
                self._narrator.say(line)
