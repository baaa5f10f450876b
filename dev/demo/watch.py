"""Looks at the deployment and its policy once a second, keeps what was seen, and tells what changed."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from dev.demo.changes import Seen, changes, event_lines
from dev.demo.errors import DemoError
from dev.demo.kube import Kube
from dev.demo.narration import Narrator
from dev.demo.plan import NAMESPACE, POLICY, WORKLOAD
from dev.demo.sightings import Sighting, pod_sight

INTERVAL_SECONDS = 1.0
SELECTOR = f"app.kubernetes.io/name={WORKLOAD}"
_DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{WORKLOAD}"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_POLICY = f"/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/optimizationpolicies/{POLICY}"
_EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


def look(kube: Kube) -> Sighting:
    """See the deployment's pods now; raises DemoError when the deployment is gone."""
    deployment = kube.get(_DEPLOYMENT)
    if deployment is None:
        raise DemoError(f"deployment {NAMESPACE}/{WORKLOAD} is gone")
    pods = kube.items(_PODS, labelSelector=SELECTOR)
    return Sighting(time.time(), deployment["spec"]["replicas"], tuple(pod_sight(pod) for pod in pods))


class Watch:
    """A thread that looks and tells, from entering the `with` block to leaving it."""

    def __init__(self, kube: Kube, narrator: Narrator, *, with_policy: bool) -> None:
        self._kube = kube
        self._narrator = narrator
        self._with_policy = with_policy
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._sightings: list[Sighting] = []
        self._seen = Seen()
        self._told: set[str] = set()
        self.scalings: list[str] = []

    def __enter__(self) -> Watch:
        if self._with_policy:
            self._told = {event["metadata"]["uid"] for event in self._kube.items(_EVENTS)}
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """Everything seen so far, oldest first."""
        return tuple(self._sightings)

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._look()
            except DemoError as error:
                self._narrator.say(f"could not look: {error}")
            self._stop.wait(max(0.05, INTERVAL_SECONDS - (time.monotonic() - started)))

    def _look(self) -> None:
        sighting = look(self._kube)
        policy = self._kube.get(_POLICY) if self._with_policy else None
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
