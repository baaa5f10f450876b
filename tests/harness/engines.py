"""The engines of a room as they say themselves, what their nodes' NodeTunings ask of them, and the room's trials."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.cluster import eventually
from harness.room import OPERATOR, Room

Json = dict[str, Any]
SAMPLE = re.compile(r"^(\w+)\{([^}]*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Engines:
    """Asks the pods' own /metrics: what an engine runs with is what it says, not what it was asked for."""

    room: Room

    def pods(self) -> list[Json]:
        """Pods that serve, by name."""
        found = self.room.cluster.objects("pods", self.room.namespace)
        serving = [pod for pod in found if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        return sorted(serving, key=lambda pod: str(pod["metadata"]["name"]))

    def setting(self, name: str) -> dict[str, float]:
        """One setting in force, by pod."""
        return {pod["metadata"]["name"]: self._of(pod, "trimtab_engine_setting", name=name) for pod in self.pods()}

    def answered(self) -> float:
        """Requests that the least busy pod has answered since it started."""
        return min(self._of(pod, "trimtab_engine_requests_total", outcome="ok") for pod in self.pods())

    def attached(self) -> bool:
        """Whether every engine says that it takes settings from its node's agent."""
        pods = self.pods()
        return bool(pods) and all(self._of(pod, "trimtab_engine_agent_state", state="attached") == 1 for pod in pods)

    def wait_setting(self, name: str, value: float, count: int, seconds: float = 60) -> None:
        """Wait until so many engines serve, and all of them run with this value."""
        expected = [value] * count
        said = quietly(lambda: list(self.setting(name).values()) == expected)
        eventually(said, f"{count} engines with {name} {value:g}", seconds)

    def entries(self) -> dict[str, Json]:
        """What the NodeTunings ask of this room's pods, by uid."""
        text = self.room.cluster.kubectl("get", "nodetunings", "-o", "json")
        listed = [entry for item in json.loads(text)["items"] for entry in item["spec"].get("engines") or []]
        return {entry["podUid"]: entry for entry in listed if entry["namespace"] == self.room.namespace}

    def asked(self, uid: str, since: int | None = None) -> list[Json]:
        """What NodeTunings have asked of a pod one after another since a mark, by the operator's accepted writes."""
        asked: list[Json] = []
        for write in self.room.audit.entries(self.room.mark if since is None else since, OPERATOR):
            accepted = write["verb"] in {"patch", "create"} and write["responseStatus"]["code"] < 400
            if accepted and write.get("objectRef", {}).get("resource") == "nodetunings":
                entries = (write["requestObject"].get("spec") or {}).get("engines") or []
                asked += [entry for entry in entries if entry["podUid"] == uid and entry not in asked[-1:]]
        return asked

    def trials(self) -> list[Json]:
        """The room's trials, oldest first."""
        found = self.room.cluster.objects("optimizationtrials", self.room.namespace)
        return sorted(found, key=lambda trial: int(trial["metadata"]["name"].rpartition("-")[2]))

    def trial(self, name: str) -> Json:
        """One trial."""
        found = self.room.cluster.get("optimizationtrial", name, self.room.namespace)
        assert found, f"trial {name} is gone"
        return found

    def wait_trial(self, phase: str, *, after: set[str], seconds: float = 480) -> Json:
        """Wait until a trial that is not among `after` is in this phase; a noisy machine makes its run-in longer."""

        def found() -> Json | None:
            new = (each for each in self.trials() if each["metadata"]["name"] not in after)
            return next((each for each in new if _in(each, phase)), None)

        trial = eventually(found, f"a trial that is {phase}", seconds)
        assert trial is not None
        return trial

    def wait_verdict(self, name: str, verdict: str, seconds: float = 180) -> Json:
        """Wait until a trial is over; its verdict must be this one."""
        eventually(lambda: _in(self.trial(name), "Finished"), f"the end of trial {name}", seconds)
        trial = self.trial(name)
        assert trial["status"]["verdict"] == verdict, trial["status"]
        return trial

    def _of(self, pod: Json, metric: str, **labels: str) -> float:
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8080/metrics", timeout=5) as answer:
            text = answer.read().decode()
        for name, pairs, value in SAMPLE.findall(text):
            if name == metric and labels.items() <= dict(LABEL.findall(pairs)).items():
                return float(value)
        raise AssertionError(f"{pod['metadata']['name']} says nothing of {metric} {labels}")


def canary_of(trial: Json) -> Json:
    """The pod of a trial that has the change: uid and name."""
    (canary,) = [pod for pod in trial["spec"]["pods"] if pod["arm"] == "Canary"]
    return dict(canary)


def names(trials: list[Json]) -> set[str]:
    """Names of trials."""
    return {str(trial["metadata"]["name"]) for trial in trials}


def quietly(question: Callable[[], bool]) -> Callable[[], bool]:
    """The question, answered No while a pod that is asked does not answer: one may just have gone."""

    def asked() -> bool:
        try:
            return question()
        except OSError:
            return False

    return asked


def _in(trial: Json, phase: str) -> bool:
    return bool((trial.get("status") or {}).get("phase") == phase)


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
