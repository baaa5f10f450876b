"""What a measure found: one row of `engine.json`, and one line for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.engine.statistics import Ratio, meets


@dataclass(frozen=True)
class Aim:
    """What a ratio is held against: the lower bound must reach the floor."""

    floor: float
    aim: float


@dataclass
class Result:
    """One measure. `ratio` None: it was not run, and `note` says why."""

    measure: str
    trimtab: float | None = None
    best_rival: float | None = None
    rival: str = ""
    ratio: Ratio | None = None
    again: Ratio | None = None
    floor: float | None = None
    aim: float | None = None
    contenders: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    quick: bool = False
    unsettled: tuple[str, ...] = ()  # contenders whose staircase never turned

    @property
    def resolved(self) -> bool:
        """Whether ourselves against ourselves came out as equal, and every rate was found."""
        return not self.unsettled and (self.again is None or self.again.resolved)

    @property
    def met(self) -> bool | None:
        """Whether the floor is met; None where there is none, nothing was measured, or a quick run measured it."""
        if self.ratio is None or self.floor is None or self.quick or not self.resolved:
            return None
        return meets(self.ratio, self.floor)

    def document(self) -> dict[str, Any]:
        """Return the row for JSON."""
        ratio = self.ratio
        return {
            "measure": self.measure,
            "trimtab": self.trimtab,
            "best_rival": self.best_rival,
            "rival": self.rival,
            "ratio": None if ratio is None else ratio.mean,
            "ratio_low": None if ratio is None else ratio.low,
            "ratio_high": None if ratio is None else ratio.high,
            "aa_ratio": None if self.again is None else [self.again.low, self.again.mean, self.again.high],
            "pairs": 0 if ratio is None else ratio.pairs,
            "floor": self.floor,
            "aim": self.aim,
            "met": self.met,
            "resolved": self.resolved,
            "quick": self.quick,
            "unsettled": list(self.unsettled),
            "contenders": self.contenders,
            "note": self.note,
        }

    def line(self) -> str:
        """Return the measure as one line of a report."""
        if self.ratio is None:
            return f"{self.measure:40} not run: {self.note}" if self.note else f"{self.measure:40} {self.trimtab:.3g}"
        ratio, again = self.ratio, self.again
        verdict = {True: "met", False: "MISSED", None: "not judged"}[self.met]
        if not self.resolved:
            verdict = "NOT RESOLVED"
        beside = "" if again is None else f"; A/A {again.mean:.3f} [{again.low:.3f}, {again.high:.3f}]"
        return (
            f"{self.measure:40} {self.trimtab:.4g} beside {self.rival} {self.best_rival:.4g}: {ratio.mean:.3f} "
            f"[{ratio.low:.3f}, {ratio.high:.3f}], {ratio.pairs} pairs, floor {self.floor}, aim {self.aim}: "
            f"{verdict}{beside}"
        )
