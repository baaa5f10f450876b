"""What the tables of the runtimes share: pieces of PromQL, and the rows of an engine's usual metrics."""

from __future__ import annotations

from dataclasses import replace

from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.table import Query

BY = "by ($namespace_label, $pod_label)"
"""One row for each pod."""
ON = "on ($namespace_label, $pod_label)"
"""Pod by pod, where two queries meet."""


def per_second(name: str, matchers: str = "") -> str:
    """Read how much a counter grows per second; `matchers` end with a comma."""
    return f"sum {BY} (rate({name}{{{matchers}$selector}}[$window]))"


def per_second_by(label: str, name: str, matchers: str = "") -> str:
    """Read the same, split by one label of the counter."""
    return f"sum by ($namespace_label, $pod_label, {label}) (rate({name}{{{matchers}$selector}}[$window]))"


def histogram(name: str) -> str:
    """Read how much the buckets of a histogram grow in the window."""
    return f"sum by ($namespace_label, $pod_label, le) (increase({name}_bucket{{$selector}}[$window]))"


def percentile(query: Query, percent: int) -> Query:
    """Return the row of a percentile of a histogram, pod by pod; of several pods it is the mean."""
    promql = f"histogram_quantile({percent / 100:g}, {query.promql})"
    return replace(query, promql=promql, kind="ratio", how="mean")


def gauge(name: str) -> str:
    """Read what a gauge stands at."""
    return f"sum {BY} ({name}{{$selector}})"


def freshness(name: str) -> str:
    """Read the time of the newest sample (unix seconds)."""
    return f"max {BY} (timestamp({name}{{$selector}}))"


def scrape_interval(name: str) -> str:
    """Read the spacing of samples in seconds, from the last two minutes.

    Where they are at most 10 s apart the last minute is enough: a trial may begin on a pod of less than two.
    """
    one, two = (f"max {BY} (count_over_time({name}{{$selector}}[{minutes}m]))" for minutes in (1, 2))
    return f"60 / ({one} > 5) or 120 / {two}"


def request_rate(signal: Signal, promql: str, counter: str) -> Query:
    """Return the row of a rate of requests."""
    return Query(signal, promql, kind="rate", unit="requests/s", how="sum", needs=(counter,))


def request_count(signal: Signal, metric: str) -> Query:
    """Return the row of a gauge of requests."""
    return Query(signal, gauge(metric), kind="gauge", unit="requests", how="sum", needs=(metric,))


def durations(signal: Signal, metric: str, promql: str | None = None) -> Query:
    """Return the row of a histogram of seconds; `promql` where it is not read from `metric` alone."""
    return Query(
        signal, promql or histogram(metric), kind="histogram", unit="s", how="sum", needs=(f"{metric}_bucket",)
    )


def mean(signal: Signal, metric: str, unit: str) -> Query:
    """Return the row of the mean that a histogram observed; there is none where it observed nothing."""
    total, count = f"{metric}_sum", f"{metric}_count"
    promql = f"{per_second(total)} / ({per_second(count)} > 0)"
    return Query(signal, promql, kind="ratio", unit=unit, how="mean", needs=(total, count))


def share(signal: Signal, part: str, whole: str, needs: tuple[str, ...]) -> Query:
    """Return the row of a share of two rates; there is none while the whole is 0."""
    return Query(signal, f"{part} / ({whole} > 0)", kind="ratio", unit="ratio", how="mean", needs=needs)
