"""Whether the load generator and Prometheus tell the same story of one arm. Pure.

Counts, goodput and p95 are compared for the time that both can see: from sending a request to its answer. What a user
waits (from the schedule) is longer and stands in the table; the engine cannot know it.
"""

from __future__ import annotations

from dataclasses import dataclass

from dev.demo.exposition import Histogram
from dev.load.figures import Figures

LARGEST_DIFFERENCE = 0.05
LARGEST_BUCKET_DISTANCE = 1


@dataclass(frozen=True)
class ServedSide:
    """One arm as Prometheus saw it: ok answers, and the histogram of their time inside the engine."""

    answered: float
    requests: Histogram


@dataclass(frozen=True)
class Comparison:
    """One figure from both sides; `holds` says whether they agree within `limit`."""

    figure: str
    load: str
    prometheus: str
    difference: str
    limit: str
    holds: bool


def compare(load: Figures, served: ServedSide) -> tuple[Comparison, ...]:
    """Compare count, goodput and p95 of one arm."""
    goodput = served.requests.count_within(load.objective_seconds) / load.duration_seconds
    return (
        _shares("answers", load.answered, served.answered, "{:.0f}"),
        _shares("goodput per second", load.exchange_goodput_per_second, goodput, "{:.2f}"),
        _percentiles(load.p95_exchange_seconds, served.requests),
    )


def _shares(figure: str, load: float, prometheus: float, form: str) -> Comparison:
    largest = max(load, prometheus)
    difference = abs(load - prometheus) / largest if largest > 0 else 1.0
    return Comparison(
        figure=figure,
        load=form.format(load),
        prometheus=form.format(prometheus),
        difference=f"{difference:.1%}",
        limit=f"{LARGEST_DIFFERENCE:.0%}",
        holds=difference <= LARGEST_DIFFERENCE,
    )


def _percentiles(load_p95_seconds: float | None, requests: Histogram) -> Comparison:
    bucket = requests.percentile_bucket(0.95)
    if load_p95_seconds is None or bucket is None:
        return Comparison("p95", "no answer", "no answer", "unknown", "1 bucket", holds=False)
    distance = abs(requests.bucket_of(load_p95_seconds) - bucket)
    lower = requests.edges[bucket - 1] if bucket else 0.0
    return Comparison(
        figure="p95 from sending",
        load=f"{load_p95_seconds * 1000:.0f} ms",
        prometheus=f"{lower * 1000:.0f}…{requests.edges[bucket] * 1000:.0f} ms",
        difference=f"{distance} bucket{'' if distance == 1 else 's'}",
        limit=f"{LARGEST_BUCKET_DISTANCE} bucket",
        holds=distance <= LARGEST_BUCKET_DISTANCE,
    )
