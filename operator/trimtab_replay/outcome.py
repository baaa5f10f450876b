"""What a played policy comes to: cost, attainment of each objective, and the course of load and replicas. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimtab_api.objectives import LatencyObjective
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.model.arrays import Floats
from trimtab_replay.answers import Answers
from trimtab_replay.run import EPOCH, Played
from trimtab_replay.trace import Trace

COURSE_SECONDS = 60.0
MEASURED = {
    "latency": "latency_seconds",
    "timeToFirstToken": "ttft_seconds",
    "interTokenLatency": "tpot_seconds",
}
"""The objectives that a simulated fleet can be held to, and what each measures of an answer."""
_FIELDS = {"latency": "latency", "timeToFirstToken": "time_to_first_token", "interTokenLatency": "inter_token_latency"}


@dataclass(frozen=True)
class Attained:
    """One objective: the share of all requests that should keep it, and that did; what was not answered did not."""

    name: str
    limit_seconds: float
    wanted: float
    found: float

    @property
    def met(self) -> bool:
        """Whether enough of them did."""
        return self.found >= self.wanted


@dataclass(frozen=True)
class Course:
    """By minute: requests that came, and each objective's percentile over what was answered then (NaN: nothing)."""

    minutes: tuple[float, ...]
    requests: tuple[int, ...]
    percentiles: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Outcome:
    """All that a report says."""

    requests: int
    unserved: int
    gpu_hours: float
    attained: tuple[Attained, ...]
    course: Course
    scale_events: int


def outcome(policy: OptimizationPolicy, trace: Trace, played: Played) -> Outcome:
    """Summarize a run."""
    rules = _rules(policy)
    return Outcome(
        requests=len(trace),
        unserved=played.unserved,
        gpu_hours=played.gpu_hours,
        attained=tuple(_attained(name, rule, played, len(trace)) for name, rule in rules.items()),
        course=_course(rules, trace, played.answers),
        scale_events=len(played.scalings),
    )


def _rules(policy: OptimizationPolicy) -> dict[str, LatencyObjective]:
    objectives = policy.spec.objectives
    found = {name: getattr(objectives, field, None) for name, field in _FIELDS.items()}
    return {name: rule for name, rule in found.items() if rule is not None}


def _attained(name: str, rule: LatencyObjective, played: Played, total: int) -> Attained:
    limit = parse_duration_seconds(rule.max)
    good = int((_measured(name, played.answers) <= limit).sum())
    return Attained(name, limit, rule.percentile / 100.0, good / total if total else 1.0)


def _course(rules: dict[str, LatencyObjective], trace: Trace, answers: Answers) -> Course:
    ended = answers.finished - EPOCH
    last = max(trace.seconds, float(ended.max(initial=0.0)))
    edges = np.arange(0.0, last + COURSE_SECONDS, COURSE_SECONDS)
    places = np.digitize(ended, edges) - 1
    percentiles = {}
    for name, rule in rules.items():
        values = _measured(name, answers)
        by_minute = (values[places == place] for place in range(len(edges)))
        percentiles[name] = tuple(
            float(np.percentile(each, rule.percentile)) if len(each) else np.nan for each in by_minute
        )
    requests = np.histogram(trace.arrived, bins=[*edges.tolist(), float(edges[-1]) + COURSE_SECONDS])[0]
    return Course(tuple((edges / 60.0).tolist()), tuple(requests.tolist()), percentiles)


def _measured(name: str, answers: Answers) -> Floats:
    return np.asarray(getattr(answers, MEASURED[name]))
