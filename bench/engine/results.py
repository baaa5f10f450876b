"""What a measure found: one row of `engine.json`, and one line for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.engine.statistics import Ratio, meets


@dataclass(frozen=True)
class Result:
    """One measure. Neither ratio nor figure: it was not run, and `note` says why.

    `holds` is the verdict of a row that is not judged by a floor under its ratio; `asked` says in words what it must
    keep. `unresolved` says why nothing can be concluded although it was run. `broken`: a contender that does not run.
    """

    measure: str
    trimtab: float | None = None
    best_rival: float | None = None
    rival: str = ""
    ratio: Ratio | None = None
    again: Ratio | None = None
    floor: float | None = None
    aim: float | None = None
    holds: bool | None = None
    asked: str = ""
    contenders: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    quick: bool = False
    unresolved: str = ""
    broken: str = ""

    @property
    def resolved(self) -> bool:
        """Whether ourselves against ourselves came out as equal, and nothing else stands against a verdict."""
        return not self.unresolved and (self.again is None or self.again.resolved)

    @property
    def met(self) -> bool | None:
        """Whether what is asked is kept; None where nothing is asked or was measured, or a quick run measured it."""
        if self.quick or not self.resolved:
            return None
        if self.holds is not None or self.ratio is None or self.floor is None:
            return self.holds
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
            "asked": self.asked,
            "met": self.met,
            "resolved": self.resolved,
            "unresolved": self.unresolved,
            "broken": self.broken,
            "quick": self.quick,
            "contenders": self.contenders,
            "note": self.note,
        }

    def line(self) -> str:
        """Return the measure as one line of a report, and a second where there is more to say."""
        return "\n".join([f"{self.measure:44} {self._figures()}", *(f"{'':44}   {each}" for each in self._remarks())])

    def _figures(self) -> str:
        if self.ratio is None and self.trimtab is None:
            return f"not resolved: {self.unresolved}" if self.unresolved else f"not run: {self.note}"
        value = "" if self.trimtab is None else f"{self.trimtab:.4g}"
        if self.best_rival is not None:
            value += f" beside {self.rival} {self.best_rival:.4g}"
        if self.ratio is not None:
            low, high, pairs = self.ratio.low, self.ratio.high, self.ratio.pairs
            value += f": {self.ratio.mean:.3f} [{low:.3f}, {high:.3f}], {pairs} pairs"
        asked = self.asked or ("" if self.floor is None else f"floor {self.floor}, aim {self.aim}")
        verdict = {True: "met", False: "MISSED", None: "not judged"}[self.met]
        if not self.resolved:
            verdict = "NOT RESOLVED" + (f": {self.unresolved}" if self.unresolved else "")
        return value + (f"; {asked}: {verdict}" if asked else "")

    def _remarks(self) -> list[str]:
        again = self.again
        beside = "" if again is None else f"A/A {again.mean:.3f} [{again.low:.3f}, {again.high:.3f}]"
        note = self.note if self.ratio is not None or self.trimtab is not None else ""
        return [each for each in (beside, note, self.broken) if each]
