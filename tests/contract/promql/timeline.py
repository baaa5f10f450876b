"""Series with exact samples every five seconds, written as OpenMetrics text for `promtool tsdb create-blocks-from`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

END = 1_790_000_000  # time of the last scrape, unix seconds
NOW = END + 2  # time of every query: two seconds after the last scrape
STEP = 5
SCRAPES = 25
WINDOW = "20s"  # holds the last four scrapes; Prometheus extrapolates their three steps to the whole window
WINDOW_SECONDS = 20
START_VALUE = 1000.0  # far from zero, so that the extrapolation is not cut at zero
EXPOSITIONS = Path(__file__).parent / "expositions"
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Feed:
    """One series of a pod: a counter grows by `value` at each scrape, a gauge is `value`; times the pod's factor."""

    name: str
    labels: Mapping[str, str]
    value: float
    counter: bool = True
    optional: bool = False  # left out in the case where what may be absent is absent
    scaled: bool = True
    own_pod: bool = True  # false: the series belongs to a device, not to the pod

    def at(self, scrape: int, factor: float, *, reset: bool) -> float:
        value = self.value * (factor if self.scaled else 1.0)
        if not self.counter:
            return value
        if reset and scrape >= SCRAPES - 2:  # restarted between the third and the second scrape from the end
            return value * (scrape - (SCRAPES - 3))
        return START_VALUE + value * scrape


@dataclass(frozen=True)
class Case:
    """One query's samples, and what they must answer: `expected(factor)` for the pod whose samples have that factor."""

    feeds: tuple[Feed, ...]
    expected: Callable[[float], float | Mapping[str, float]]
    without_optional: Callable[[float], float | Mapping[str, float] | None] = field(default=lambda _: None)


def shapes(file: str, name: str, **match: str) -> list[dict[str, str]]:
    """Label sets of a metric in a recorded exposition; those that match."""
    found = []
    for line in (EXPOSITIONS / file).read_text().splitlines():
        sample = _SAMPLE.match(line)
        if sample and sample["name"] == name:
            labels = dict(_LABEL.findall(sample["labels"] or ""))
            if match.items() <= labels.items():
                found.append(labels)
    assert found, f"{file} has no {name}{match}"
    return found


class OpenMetrics:
    """Collects samples and writes them grouped by series, as the format demands."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, name: str, labels: Mapping[str, str], samples: Iterable[tuple[int, float]]) -> None:
        text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()) if value)
        lines = self._lines.setdefault(name, [])
        lines.extend(f"{name}{{{text}}} {value!r} {at}" for at, value in samples)

    def write(self, path: Path) -> None:
        with path.open("w") as file:
            for name, lines in self._lines.items():
                file.write(f"# TYPE {name} unknown\n")
                file.writelines(f"{line}\n" for line in lines)
            file.write("# EOF\n")
