"""The deployment on its stage: put there, resized between arms, and found by the load generator."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from dev.demo import manifests
from dev.demo.errors import DemoError
from dev.demo.kube import Kube, Programs
from dev.demo.narration import Narrator
from dev.demo.plan import NAMESPACE, POLICY, WORKLOAD, DemoPlan
from dev.demo.prometheus import Prometheus, wait_scraped
from dev.demo.sightings import Sighting
from dev.demo.watch import look

START_SECONDS = 240.0
END_SECONDS = 90.0
ADDRESS_VARIABLE = "TRIMTAB_DEMO_URL"
TUNED_ADDRESS_VARIABLE = "TRIMTAB_DEMO_TUNED_URL"


@dataclass(frozen=True)
class Stage:
    """Everything that an arm needs; `workload` names the Deployment and its Service."""

    plan: DemoPlan
    programs: Programs
    kube: Kube
    prometheus: Prometheus
    narrator: Narrator
    workload: str = WORKLOAD

    def deploy(self, engine_image: str) -> None:
        """Remove the policy of an earlier demo and apply the deployment."""
        self.remove_policy()
        self.programs.run_kubectl("apply", "-f", "-", text=manifests.workload(self.plan, engine_image))

    def redeploy(self, manifest: str) -> None:
        """Delete the deployment with its pods, if it is there, and apply this one: pods that nobody has tuned."""
        self.remove()
        self.programs.run_kubectl("apply", "-f", "-", text=manifest)

    def remove(self) -> None:
        """Delete the deployment, if it is there, and wait until its pods are gone."""
        self.programs.run_kubectl(
            *("-n", NAMESPACE, "delete", "deployment", self.workload, "--ignore-not-found"),
            *("--cascade=foreground", f"--timeout={END_SECONDS:.0f}s"),
            timeout_seconds=END_SECONDS + 10,
        )

    def wait_serving(self, replicas: int) -> None:
        """Wait until so many pods serve and are scraped."""
        self._wait(lambda seen: seen.ready == replicas, START_SECONDS, f"{replicas} ready pods")
        wait_scraped(self.prometheus, self.serving, time.time())

    def serving(self) -> set[str]:
        """Return the names of the pods that take traffic now."""
        return look(self.kube, self.workload).serving

    def resize(self, replicas: int) -> None:
        """End all pods and start `replicas` new ones with cold caches; returns when all serve and are scraped."""
        self._scale(0)
        self._wait(lambda seen: not seen.pods, END_SECONDS, "the old pods to end")
        self._scale(replicas)
        self.wait_serving(replicas)

    def apply_policy(self) -> None:
        """Apply the one policy, as a user does."""
        self.programs.run_kubectl("apply", "-f", "-", text=manifests.policy(self.plan))

    def remove_policy(self, name: str = POLICY) -> None:
        """Delete a policy if it is there; its kind is known once the chart is installed."""
        self.programs.run_kubectl(
            "-n", NAMESPACE, "delete", "optimizationpolicy", name, "--ignore-not-found", "--timeout=60s"
        )

    def url(self) -> str:
        """Return the address of the Service for the load generator; raises DemoError when nothing connects to it."""
        variable = ADDRESS_VARIABLE if self.workload == WORKLOAD else TUNED_ADDRESS_VARIABLE
        found = os.environ.get(variable) or self._cluster_address()
        parts = urlsplit(found)
        try:
            with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5):
                return found
        except OSError as error:
            raise DemoError(
                f"{found} cannot be reached from here ({error}): run the demo on a node of the cluster, or expose "
                f"service {NAMESPACE}/{self.workload} by a node port and set {variable}=http://address:port"
            ) from error

    def _cluster_address(self) -> str:
        found = self.kube.get(f"/api/v1/namespaces/{NAMESPACE}/services/{self.workload}")
        if found is None:
            raise DemoError(f"service {NAMESPACE}/{self.workload} is gone")
        return f"http://{found['spec']['clusterIP']}:{found['spec']['ports'][0]['port']}"

    def _scale(self, replicas: int) -> None:
        self.programs.run_kubectl("-n", NAMESPACE, "scale", f"deployment/{self.workload}", f"--replicas={replicas}")

    def _wait(self, condition: Callable[[Sighting], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition(look(self.kube, self.workload)):
            if time.monotonic() > deadline:
                pods = self.programs.run_kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide")
                raise DemoError(
                    f"waited {seconds:g} s for {what}; `kubectl -n {NAMESPACE} describe pods` says why\n{pods}"
                )
            time.sleep(0.5)
