"""From a write of NodeTuning's spec to the setting in force in a real engine in a pod, on the running cluster.

The pod stands in a namespace of its own and belongs to no policy: nobody but this bench writes its entry, and once the
pod is gone the operator removes it. The time of application is taken from the engine's own /metrics, polled every
20 ms, so up to that is too much.
"""

from __future__ import annotations

import base64
import dataclasses
import http.client
import random
import re
import time
from dataclasses import dataclass
from typing import Any

import yaml

from dev.demo.errors import DemoError
from dev.demo.ground import cluster_up, images
from dev.demo.kube import Kube, Programs, as_yaml
from dev.demo.narration import Narrator
from dev.demo.plan import SYSTEM_NAMESPACE, DemoPlan
from dev.demo.story import set_up
from dev.demo.tuning.manifests import tuned_workload
from dev.demo.tuning.plan import POOR, TUNED, TuningPlan
from trimtab_api.wire import CA_CONFIG_MAP, CA_KEY

NAMESPACE = "trimtab-bench"
FIELD_MANAGER = "trimtab-bench"
POLL_SECONDS = 0.02
LONGEST_SECONDS = 30.0
START_SECONDS = 240.0
PAUSES_SECONDS = (0.4, 0.9)
"""Between two changes, drawn at random, so that they meet the agent and the engine at any moment of theirs."""
BATCH_SIZES = (2, 4, 8, 16)
_TUNINGS = "/apis/trimtab.dev/v1alpha1/nodetunings"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_SETTING = re.compile(r'^trimtab_engine_setting\{[^}]*name="max_batch_size"[^}]*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class BenchPod:
    """The pod whose engine is changed."""

    name: str
    uid: str
    node: str
    address: str


def batch_size_in(exposition: str) -> int | None:
    """Return the batch size that an engine says it runs with; None where its page does not say."""
    found = _SETTING.search(exposition)
    return None if found is None else int(float(found.group(1)))


def tuning_for(pod: BenchPod, batch_size: int) -> dict[str, Any]:
    """Return the NodeTuning with the one entry that the bench owns."""
    entry = {"podUid": pod.uid, "namespace": NAMESPACE, "pod": pod.name, "settings": {"maxBatchSize": batch_size}}
    return {
        "apiVersion": "trimtab.dev/v1alpha1",
        "kind": "NodeTuning",
        "metadata": {"name": pod.node},
        "spec": {"engines": [entry]},
    }


def measure_engine(changes: int, narrator: Narrator) -> list[float]:
    """Return the seconds that each change took; brings up what is missing. Raises DemoError."""
    ground = cluster_up()
    references = images()
    stage = set_up(DemoPlan(gpus=0 if ground.paths is None else 1), ground, references, narrator)
    tuning = dataclasses.replace(TuningPlan(), replicas=1)
    manifest = tuned_workload(DemoPlan(gpus=0), tuning, references["engine"], POOR, NAMESPACE)
    programs, kube = stage.programs, stage.kube
    namespace = next(each for each in yaml.safe_load_all(manifest) if each["kind"] == "Namespace")
    programs.run_kubectl("apply", "-f", "-", text=as_yaml(namespace))
    try:
        # First, for the kubelet looks only after a minute or more again at a ConfigMap that a pod was started without.
        _publish_authority(programs)
        programs.run_kubectl("apply", "-f", "-", text=manifest)
        pod = _serving(programs, kube)
        narrator.say(f"engine {pod.name} serves; {changes} changes follow")
        return _measure(kube, pod, changes)
    finally:
        programs.run_kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", timeout_seconds=130)


def _publish_authority(programs: Programs) -> None:
    """Do by hand what the operator does where a policy tunes engines: here there is none."""
    encoded = programs.run_kubectl(
        "-n", SYSTEM_NAMESPACE, "get", "secret", CA_CONFIG_MAP, "-o", r"jsonpath={.data.ca\.crt}"
    )
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CA_CONFIG_MAP, "namespace": NAMESPACE},
        "data": {CA_KEY: base64.b64decode(encoded).decode()},
    }
    programs.run_kubectl("apply", "-f", "-", text=as_yaml(document))


def _serving(programs: Programs, kube: Kube) -> BenchPod:
    programs.run_kubectl(
        *("-n", NAMESPACE, "rollout", "status", f"deployment/{TUNED}", f"--timeout={START_SECONDS:.0f}s"),
        timeout_seconds=START_SECONDS + 10,
    )
    living = [pod for pod in kube.items(_PODS) if "deletionTimestamp" not in pod["metadata"]]
    ready = [pod for pod in living if (pod.get("status") or {}).get("podIP")]
    if not ready:
        raise DemoError(f"no pod serves in {NAMESPACE}; `kubectl -n {NAMESPACE} describe pods` says why")
    metadata, newest = ready[-1]["metadata"], ready[-1]
    return BenchPod(metadata["name"], metadata["uid"], newest["spec"]["nodeName"], newest["status"]["podIP"])


def _measure(kube: Kube, pod: BenchPod, changes: int) -> list[float]:
    path = f"{_TUNINGS}/{pod.node}"
    dice = random.Random(1)
    page = _Page(pod.address)
    try:
        _change(kube, path, pod, BATCH_SIZES[-1], page)  # the first one waits for the engine to attach
        found = []
        for position in range(changes):
            time.sleep(dice.uniform(*PAUSES_SECONDS))
            found.append(_change(kube, path, pod, BATCH_SIZES[position % len(BATCH_SIZES)], page))
        return found
    finally:
        page.close()


def _change(kube: Kube, path: str, pod: BenchPod, batch_size: int, page: _Page) -> float:
    started = time.monotonic()
    kube.apply(path, tuning_for(pod, batch_size), FIELD_MANAGER)
    while page.batch_size() != batch_size:
        if time.monotonic() - started > LONGEST_SECONDS:
            raise DemoError(
                f"batch size {batch_size} was not in force after {LONGEST_SECONDS:.0f} s; see `kubectl get nodetune "
                f"{pod.node} -o yaml` and trimtab_engine_agent_state of pod {NAMESPACE}/{pod.name}"
            )
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


class _Page:
    """The engine's /metrics over one connection."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, 8080, timeout=5)

    def close(self) -> None:
        self._connection.close()

    def batch_size(self) -> int | None:
        """Return what the engine runs with now; raises DemoError when it does not answer."""
        try:
            self._connection.request("GET", "/metrics")
            return batch_size_in(self._connection.getresponse().read().decode())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise DemoError(
                f"the engine at {self._connection.host} does not answer from here: {error}; run this on a node"
            ) from error
