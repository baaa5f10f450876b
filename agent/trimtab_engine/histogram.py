"""Histograms that cost little to observe and to expose: plain numbers, made into Prometheus text when asked for.

Each may have two faces. The cumulative one only grows, as rate() and increase() need it, whatever the settings. The
other tells periods of settings apart; what was `current` is `previous` from one moment to the next, so that it is a
gauge histogram, read as it is. Were they one, each change would move counts between series, and increase() would see
the moved ones a second time.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from prometheus_client.utils import floatToGoString

from trimtab_engine.metric_table import MetricSpec

CURRENT, PREVIOUS = "current", "previous"  # the values of the label `settings`


class _Counts:
    """Observations by bucket, and their sum."""

    __slots__ = ("by_bucket", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.by_bucket = [0] * (len(edges) + 1)
        self.total = 0.0

    def add(self, bucket: int, value: float) -> None:
        self.by_bucket[bucket] += 1
        self.total += value


class _Series:
    """The text of one series, made once but for its numbers; `labels` as in the text format, without braces."""

    def __init__(self, name: str, labels: str, edges: tuple[float, ...]) -> None:
        bounds = [*map(floatToGoString, edges), "+Inf"]
        self._buckets = [f'{name}_bucket{{le="{bound}",{labels}}} ' for bound in bounds]
        self._labels = labels

    def buckets(self, counts: _Counts) -> list[str]:
        return [f"{name}{count}" for name, count in zip(self._buckets, accumulate(counts.by_bucket), strict=True)]

    def count(self, name: str, counts: _Counts) -> str:
        return f"{name}{{{self._labels}}} {sum(counts.by_bucket)}"

    def sum(self, name: str, counts: _Counts) -> str:
        return f"{name}{{{self._labels}}} {counts.total}"


class ModelHistogram:
    """One model's part of a histogram; for one thread, as the front has."""

    def __init__(self, spec: MetricSpec, model: str, edges: tuple[float, ...], period: MetricSpec | None) -> None:
        self._name = spec.name
        self._edges = edges
        self._all = _Counts(self._edges)
        self._current = _Counts(self._edges)
        self._previous: _Counts | None = None  # there is no series before settings have changed
        self._number = 1
        label = 'model="{}"'.format(model.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        self._series = _Series(spec.name, label, self._edges)
        self._of_settings = {
            settings: _Series(period.name, f'{label},settings="{settings}"', self._edges)
            for settings in (CURRENT, PREVIOUS)
            if period is not None
        }

    def turn(self) -> None:
        """Begin the next period."""
        self._previous, self._current = self._current, _Counts(self._edges)
        self._number += 1

    def observe(self, value: float, period: int | None = None) -> None:
        """Count a value in the first bucket whose edge is not below it.

        `period` is that of the batch behind the value, None = the present one; what is older than the previous one
        counts in the cumulative face only.
        """
        bucket = bisect_left(self._edges, value)
        self._all.add(bucket, value)
        if period is None or period == self._number:
            self._current.add(bucket, value)
        elif self._previous is not None and period == self._number - 1:
            self._previous.add(bucket, value)

    def lines(self) -> list[str]:
        """Return the cumulative face of this moment."""
        series, counts = self._series, self._all
        return [
            *series.buckets(counts),
            series.count(f"{self._name}_count", counts),
            series.sum(f"{self._name}_sum", counts),
        ]

    def sides(self) -> list[tuple[_Series, _Counts]]:
        """Return the periods of the other face."""
        sides = [(self._of_settings[CURRENT], self._current)]
        if self._previous is not None:
            sides.append((self._of_settings[PREVIOUS], self._previous))
        return sides


class Histogram:
    """One histogram of the table, of all models.

    `period` is the row of its other face, for a histogram that has one.
    """

    def __init__(self, spec: MetricSpec, edges: tuple[float, ...], period: MetricSpec | None = None) -> None:
        self._spec = spec
        self._edges = edges
        self._period = period
        self._by_model: dict[str, ModelHistogram] = {}

    def of(self, model: str) -> ModelHistogram:
        """Return the part of a model."""
        if model not in self._by_model:
            self._by_model[model] = ModelHistogram(self._spec, model, self._edges, self._period)
        return self._by_model[model]

    def text(self) -> str:
        """Return the lines of this moment, in Prometheus' text format."""
        lines = _head(self._spec.name, self._spec.help, "histogram")
        for part in self._by_model.values():
            lines += part.lines()
        if self._period is not None:
            lines += self._period_lines(self._period)
        return "\n".join(lines) + "\n"

    def _period_lines(self, spec: MetricSpec) -> list[str]:
        sides = [side for part in self._by_model.values() for side in part.sides()]
        lines = _head(spec.name, spec.help, "histogram")  # the text format has no word for a gauge histogram
        for series, counts in sides:
            lines += series.buckets(counts)
        count_name, sum_name = f"{spec.name}_gcount", f"{spec.name}_gsum"
        lines += [
            *_head(count_name, spec.help, "gauge"),
            *(series.count(count_name, counts) for series, counts in sides),
        ]
        lines += [*_head(sum_name, spec.help, "gauge"), *(series.sum(sum_name, counts) for series, counts in sides)]
        return lines


def _head(name: str, help_: str, type_: str) -> list[str]:
    return [f"# HELP {name} {help_}", f"# TYPE {name} {type_}"]
