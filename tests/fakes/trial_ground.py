"""Trials on a real API server: an operator process, policies on pods that no machine runs, agents played by the test.

Pods are made by the real controllers, bound to the test's own nodes and said to be Ready; what their engines measure
is scripted, and follows from the settings that the agents were asked for.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from fakes.agent_role import AgentRole, PodKey
from fakes.kube import stamp
from fakes.kube_conformance import deployment_body, policy_body
from fakes.operator_process import Ground, OperatorProcess
from fakes.prometheus import FakePrometheus, serve

from trimtab_api.wire import AUDIENCE
from trimtab_operator.errors import KubeConflict
from trimtab_operator.kube.port import Kube
from trimtab_operator.kube.resources import NODE_TUNINGS, PODS, POLICIES, TRIALS
from trimtab_operator.model.signals import Signal

Json = dict[str, Any]

POLICY, DEPLOYMENT = "p", "a"
TRIED_BATCH = 8
REQUESTS_PER_SECOND = 20.0
BUSY = {"better": (0.9, 0.54), "worse": (0.6, 0.98)}
"""Busy share of an engine as started and with the larger batch: 40 % less work, and far more."""
SLOT_SECONDS = 5
NOISE = 0.02
"""Up in one slot and down in the next: slots that are alike to the last digit would count as one."""
SPEC: Json = {
    "mode": "Apply",
    "knobs": {"batching": {"maxBatchSize": {"min": 1, "max": TRIED_BATCH}}},
    "observation": {"interval": "3s", "window": "24s"},
    "trial": {"window": "30s", "maxWindow": "60s", "minRequests": 50, "maxTrials": 1, "maxViolatingTrials": 1},
}


@dataclass(frozen=True)
class Outcome:
    """What a run of a policy has written when it is over; numbers that depend on the minute are left out."""

    trials: tuple[tuple[str, str, str], ...]  # change, phase, verdict
    ledger: tuple[tuple[str, str, str], ...]  # what, from, to
    tuning: str
    asked: tuple[tuple[tuple[int | None, bool], ...], ...]  # of each pod, one after the other
    spec_writes: tuple[int, ...]  # of the NodeTuning of each node, as their generations count them


@dataclass
class TrialGround:
    """The cases of one run side by side, each with its namespace and nodes, under one operator process at a time."""

    kube: Kube
    ground: Ground
    role: AgentRole
    namespaces: dict[str, str]
    nodes: dict[str, tuple[str, ...]]
    pods: list[PodKey]

    def start(self, fail_point: str = "") -> OperatorProcess:
        """Start an operator; no Lease is needed where only one is started at a time."""
        return self.ground.start(
            "op",
            TRIMTAB_LEADER_ELECTION="false",
            TRIMTAB_SCRAPE_INTERVAL_SECONDS="1",
            TRIMTAB_WATCH_NAMESPACES=",".join(self.namespaces.values()),
            TRIMTAB_FAIL_POINT=fail_point,
        )

    async def policy(self, case: str) -> Json:
        """The policy of a case."""
        return await self.kube.get(POLICIES, self.namespaces[case], POLICY)

    async def trials(self, case: str) -> list[Json]:
        """The trials of a case."""
        return await self.kube.list_all(TRIALS, self.namespaces[case])

    async def entries(self, case: str) -> list[Json]:
        """What the NodeTunings ask of the pods of a case."""
        return [entry for tuning in await self._tunings(case) for entry in tuning["spec"].get("engines") or []]

    async def _tunings(self, case: str) -> list[Json]:
        return [await self.kube.get(NODE_TUNINGS, None, node) for node in self.nodes[case]]

    async def phases(self) -> set[str]:
        """Where each case stands: `better Measuring`; before its trial, by the phase of the policy."""
        found: set[str] = set()
        for case in self.namespaces:
            trials = await self.trials(case)
            status = trials[-1].get("status") if trials else (await self.policy(case)).get("status")
            if status:
                found.add(f"{case} {status.get('phase', 'Unknown')}")
        return found

    async def is_over(self) -> bool:
        """Whether every case has come to its end, and everything says so."""
        return all([await self._is_over(case) for case in self.namespaces])

    async def _is_over(self, case: str) -> bool:
        trials, status = await self.trials(case), (await self.policy(case)).get("status") or {}
        if not trials or (trials[-1].get("status") or {}).get("phase") != "Finished" or status.get("currentTrial"):
            return False
        tuning, entries = status.get("tuning") or {}, await self.entries(case)
        settled = all(entry["settings"] == tuning["settings"] and "trial" not in entry for entry in entries)
        return "change" not in tuning and settled and len(entries) == len(self.nodes[case])

    async def outcome(self, case: str) -> Outcome:
        """What stands written of a case."""
        trials, status = await self.trials(case), (await self.policy(case))["status"]
        namespace = self.namespaces[case]
        return Outcome(
            trials=tuple(
                (each["spec"]["changeSummary"], each["status"]["phase"], each["status"]["verdict"]) for each in trials
            ),
            ledger=tuple(sorted((row["what"], row["from"], row["to"]) for row in status["history"])),
            tuning=json.dumps(status["tuning"], sort_keys=True),
            asked=tuple(sorted((tuple(self.role.asked[pod]) for pod in self.pods if pod[0] == namespace), key=repr)),
            spec_writes=tuple(each["metadata"]["generation"] for each in await self._tunings(case)),
        )


@asynccontextmanager
async def trial_ground(
    api: Any,
    kube: Kube,
    folder: Path,
    *,
    cases: Iterable[str] = tuple(BUSY),
    served_seconds: float = 60.0,
    answers_after: float = 0.0,
    **trial_rules: Any,
) -> AsyncIterator[TrialGround]:
    """Everything but the operator: nodes, pods that have served for so long, policies, metrics, agents."""
    mark = uuid.uuid4().hex[:8]
    namespaces = {case: f"{case}-{mark}" for case in cases}
    nodes: dict[str, tuple[str, ...]] = {
        case: (f"role-{case}-{mark}-0", f"role-{case}-{mark}-1") for case in namespaces
    }
    pods: list[PodKey] = []
    role = AgentRole(kube, tuple(chain.from_iterable(nodes.values())), answers_after=answers_after)
    server = serve(_metrics(namespaces, role, pods))
    ground = Ground(api, "", f"system-{mark}", server, folder)
    spec = SPEC | {"trial": SPEC["trial"] | trial_rules}
    made = (ground.system, *namespaces.values())
    try:
        for namespace in made:
            await asyncio.to_thread(api.kubectl, "create", "namespace", namespace)
        async with role.at_work():
            for case, namespace in namespaces.items():
                await asyncio.to_thread(ground.apply, _deployment(namespace, len(nodes[case])))
                pods += await _bind(api, kube, namespace, nodes[case], served_seconds)
                body = policy_body(namespace, POLICY)
                await asyncio.to_thread(ground.apply, {**body, "spec": body["spec"] | spec})
            yield TrialGround(kube, ground, role, namespaces, nodes, pods)
    finally:
        for each in ground.started:
            each.end()
        server.close()
        for namespace in made:
            await asyncio.to_thread(api.kubectl, "delete", "namespace", namespace, "--wait=false")


async def until(check: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """The first true answer, asked for again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := await check()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.2)
    return found


def _metrics(namespaces: dict[str, str], role: AgentRole, pods: list[PodKey]) -> FakePrometheus:
    cases = {namespace: case for case, namespace in namespaces.items()}

    def busy(name: str, at: float) -> float:
        pod = next(key for key in pods if key[1] == name)
        sign = 1.0 if (int(at) // SLOT_SECONDS + pods.index(pod)) % 2 else -1.0
        return BUSY[cases[pod[0]]][role.batch_size(pod, at) >= TRIED_BATCH] * (1.0 + sign * NOISE)

    values: dict[Signal, Any] = {
        Signal.REQUESTS_PER_SECOND: REQUESTS_PER_SECOND,
        Signal.ERRORS_PER_SECOND: 0.0,
        Signal.REJECTED_PER_SECOND: 0.0,
        Signal.QUEUE_REQUESTS: 1.0,
        Signal.RUNNING_REQUESTS: 1.0,
        Signal.BATCH_SIZE: 1.0,
        Signal.CPU_USED_CORES: 0.5,
    }
    per_pod: dict[Signal, Callable[[str, float], float | None]] = {Signal.BUSY_RATIO: busy}
    return FakePrometheus(lambda: list(pods), values=values, per_pod=per_pod, scrape_interval_seconds=1.0)


def _deployment(namespace: str, replicas: int) -> Json:
    """Pods that no scheduler takes, with the token by which an engine is attached."""
    body = deployment_body(namespace, DEPLOYMENT, replicas=replicas)
    source = {"serviceAccountToken": {"audience": AUDIENCE, "path": "token", "expirationSeconds": 600}}
    pod = body["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "trimtab", "projected": {"sources": [source]}}]
    pod["terminationGracePeriodSeconds"] = 0
    return body


async def _bind(api: Any, kube: Kube, namespace: str, nodes: tuple[str, ...], served_seconds: float) -> list[PodKey]:
    """Bind the pods that the controllers made to the nodes, one each, and say that they serve."""

    async def made() -> list[Json]:
        found = await kube.list_all(PODS, namespace)
        return found if len(found) == len(nodes) else []

    names = sorted(str(pod["metadata"]["name"]) for pod in await until(made, 30, f"pods in {namespace}"))
    for name, node in zip(names, nodes, strict=True):
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                   "target": {"apiVersion": "v1", "kind": "Node", "name": node}}  # fmt: skip
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/binding"
        await asyncio.to_thread(api.kubectl, "create", "--raw", path, "-f", "-", input=json.dumps(binding))
        await _serves(kube, namespace, name, served_seconds)
    return [(namespace, name) for name in names]


async def _serves(kube: Kube, namespace: str, name: str, seconds: float) -> None:
    since = stamp(time.time() - seconds)
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": since}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]

    async def written() -> bool:
        version = (await kube.get(PODS, namespace, name))["metadata"]["resourceVersion"]
        try:
            await kube.patch_status(PODS, namespace, name, {"phase": "Running", "conditions": conditions}, version)
        except KubeConflict:  # the scheduler or a controller wrote meanwhile
            return False
        return True

    await until(written, 20, f"{name} is Ready")
