"""What changed between two looks at the deployment and its policy, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dev.demo.sightings import Sighting

Json = dict[str, Any]
LONGEST_MESSAGE = 200
# What the API server fills in before the operator has looked at a policy: nothing to tell.
NOT_YET = "Unknown"
_SUMMARIES = {
    "phase": "phase",
    "bottleneckSummary": "bottleneck",
    "objectivesSummary": "objectives met",
    "trustedSummary": "metrics trusted",
}


@dataclass(frozen=True)
class Seen:
    """One look, reduced to what is told; absent before the first look and where there is no policy."""

    desired: int | None = None
    ready: int | None = None
    policy: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(sighting: Sighting, policy: Json | None) -> Seen:
        """Reduce what the API server gave."""
        status = (policy or {}).get("status", {})
        conditions = status.get("conditions", [])
        return Seen(
            desired=sighting.desired,
            ready=sighting.ready,
            policy={name: str(status[key]) for key, name in _SUMMARIES.items() if key in status},
            conditions={entry["type"]: f"{entry['status']} ({entry['reason']})" for entry in conditions},
            reasons={entry["type"]: str(entry.get("message", "")) for entry in conditions},
        )


@dataclass(frozen=True)
class Change:
    """One thing to tell; `scaling` marks a change of the number of replicas that the deployment asks for."""

    text: str
    important: bool = False
    scaling: bool = False


def changes(before: Seen, now: Seen) -> list[Change]:
    """Return what to tell, most important first; nothing about replicas on the first look."""
    told = []
    if before.desired is not None and before.desired != now.desired:
        told.append(Change(f"replicas {before.desired} → {now.desired}", important=True, scaling=True))
    if before.ready is not None and before.ready != now.ready:
        told.append(Change(f"pods that serve: {before.ready} → {now.ready}"))
    told += [
        Change(f"policy: {name} {value}")
        for name, value in now.policy.items()
        if before.policy.get(name, NOT_YET) != value
    ]
    for kind, state in now.conditions.items():
        if before.conditions.get(kind) != state:
            message = now.reasons.get(kind)
            told.append(Change(f"policy: {kind}={state}{f': {cut(message)}' if message else ''}"))
    return told


def cut(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Return the text, without its end where it is longer than a reader follows."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def event_lines(events: Iterable[Json], told: set[str]) -> list[str]:
    """Return a line for each event about a policy whose uid is not in `told`, and add it there."""
    lines = []
    for event in events:
        uid = event["metadata"]["uid"]
        if uid in told:
            continue
        told.add(uid)
        if event.get("involvedObject", {}).get("kind") == "OptimizationPolicy":
            lines.append(f"event {event.get('reason')}: {event.get('message')}")
    return lines
