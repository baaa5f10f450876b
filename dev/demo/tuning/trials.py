"""Trials as a reader follows them: what is tried, what came of it, and what changed between two looks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dev.demo.changes import Change, cut
from trimtab_api.findings import SETTINGS_HELD

Json = dict[str, Any]
UNKNOWN = "Unknown"
SEARCH_ENDED = "SearchEnded"


@dataclass(frozen=True)
class TrialSight:
    """One trial at one moment, in the words of its columns."""

    name: str
    change: str
    hypothesis: str
    predicted: str
    phase: str
    observed: str
    verdict: str
    reason: str

    @property
    def judged(self) -> bool:
        """Whether there is a verdict."""
        return self.verdict != UNKNOWN

    @property
    def under_way(self) -> bool:
        """Whether pods may still be given or rid of the change."""
        return self.phase != "Finished"

    @property
    def promoted(self) -> bool:
        """Whether every replica has the change, and it was seen to hold."""
        return self.verdict == "Improved" and not self.under_way


def trials_of(policy: Json | None, bodies: Iterable[Json]) -> tuple[TrialSight, ...]:
    """Return the trials of a policy, oldest first; none of an earlier policy of the same name."""
    if policy is None:
        return ()
    name, since = policy["metadata"]["name"], policy["metadata"]["creationTimestamp"]
    own = [each for each in bodies if each["spec"]["policy"] == name and _made(each) >= since]
    return tuple(_sight(each) for each in sorted(own, key=lambda each: (_made(each), each["metadata"]["name"])))


def _made(body: Json) -> str:
    return str(body["metadata"]["creationTimestamp"])


def _sight(body: Json) -> TrialSight:
    spec, status = body["spec"], body.get("status", {})
    return TrialSight(
        name=body["metadata"]["name"],
        change=spec["changeSummary"],
        hypothesis=spec["hypothesis"],
        predicted=spec["predictedSummary"],
        phase=status.get("phase", UNKNOWN),
        observed=status.get("observedSummary", UNKNOWN),
        verdict=status.get("verdict", UNKNOWN),
        reason=status.get("reason", ""),
    )


def told(before: Iterable[TrialSight], now: Iterable[TrialSight]) -> list[Change]:
    """Return what to tell of the trials since the last look."""
    known = {trial.name: trial for trial in before}
    return [change for trial in now for change in _told(known.get(trial.name), trial)]


def _told(before: TrialSight | None, now: TrialSight) -> list[Change]:
    lines = []
    if before is None:
        text = f"trial {now.name}: {now.change}, predicted {now.predicted}: {cut(now.hypothesis)}"
        lines.append(Change(text, important=True))
    if now.judged and (before is None or before.verdict != now.verdict):
        text = f"trial {now.name}: {now.verdict}, observed {now.observed}: {cut(now.reason)}"
        lines.append(Change(text, important=True))
    elif before is not None and before.reason != now.reason and now.reason:
        lines.append(Change(f"trial {now.name}: {cut(now.reason)}"))
    if now.phase not in (UNKNOWN, before.phase if before else UNKNOWN):
        lines.append(Change(f"trial {now.name}: phase {now.phase}"))
    return lines


def search_ended(policy: Json | None) -> bool:
    """Whether the policy says that it tries nothing more: in its constraints, or in its condition Progressing."""
    return SEARCH_ENDED in progressing(policy) or any(
        each["name"] == SEARCH_ENDED for each in _status(policy).get("constraints", [])
    )


def progressing(policy: Json | None) -> str:
    """Return what the policy says of its progress: the condition Progressing, and what keeps settings from change."""
    status = _status(policy)
    said = [
        f"{each['reason']}: {each.get('message', '')}"
        for each in status.get("conditions", [])
        if each["type"] == "Progressing"
    ]
    text = "".join(said)
    said += [
        f"settings: {each['name']}: {each['reason']}"
        for each in status.get("constraints", [])
        if each["name"] in SETTINGS_HELD and each["name"] not in text
    ]
    return "; ".join(said)


def _status(policy: Json | None) -> Json:
    return (policy or {}).get("status") or {}


def unavailable(policy: Json | None) -> str:
    """Return why the policy says that a number format cannot be tried; empty where it does not say so."""
    found = (
        f"{each['name']}: {each['reason']}"
        for each in _status(policy).get("constraints", [])
        if each["name"] in ("HardwareMismatch", "QuantizationNotAvailable")
    )
    return "; ".join(found)


def work_by_pod(node_tunings: Iterable[Json], pods: Mapping[str, str]) -> dict[str, str]:
    """Return what each pod's engine still works on, by pod name, in words; `pods` are names by uid."""
    return {
        name: ", ".join(f"{each['setting']} {each['value']}: {each['phase']}" for each in report["pending"])
        for name, report in _reports(node_tunings, pods)
        if report.get("pending")
    }


def settings_by_pod(node_tunings: Iterable[Json], pods: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that each pod's engine reported, by pod name, in words; `pods` are names by uid."""
    return {
        name: ", ".join(f"{knob} {value}" for knob, value in sorted(report["applied"].items()))
        for name, report in _reports(node_tunings, pods)
        if report.get("applied")
    }


def _reports(node_tunings: Iterable[Json], pods: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    """Yield the name of each of these pods with what its engine reported."""
    for body in node_tunings:
        for report in (body.get("status") or {}).get("engines", []):
            if report["podUid"] in pods:
                yield pods[report["podUid"]], report
