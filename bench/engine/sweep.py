"""The written sweep: every contender alone with each of its settings, once for each workload of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.engine.contenders import CONTENDERS, OURS, Setting, settings
from bench.engine.errors import BenchError, VoidSlice
from bench.engine.extent import Extent
from bench.engine.field import Field
from bench.engine.progress import say

CALLERS = 32
SWEEP_CALLERS = 16
"""Few enough that a good answer within the deadline is possible at saturation."""
HOPELESS_SHARE = 1 / 3
"""Of the best rival so far: a rival below it with its first setting is swept no further."""
DEADLINES_SECONDS = {"trivial": 10.0, "paced": 0.03, "minilm": 0.2, "mixed": 0.2}
_ATTEMPTS = 3


@dataclass(frozen=True)
class Swept:
    """A contender's best setting and what it scored with it: requests per second, per CPU-second for `trivial`."""

    setting: Setting
    score: float


@dataclass(frozen=True)
class Sweep:
    """What one workload's sweep found; `broken` says of each rival that does not run why."""

    best: dict[str, Swept]
    broken: dict[str, str]

    def rivals(self, count: int, *, named: Sequence[str] = ()) -> list[str]:
        """Return the named rivals that run, and then the best others, `count` in all."""
        others = sorted((name for name in self.best if name not in OURS), key=lambda name: -self.best[name].score)
        first = [name for name in named if name in self.best]
        return [*first, *(name for name in others if name not in first)][: max(count, len(first))]

    def why_broken(self) -> str:
        """Return the rivals that do not run, with the reasons; empty where all do."""
        return "; ".join(self.broken.values())


class Sweeps:
    """The sweeps of a run, each done when it is first asked for."""

    def __init__(self, extent: Extent, only: Sequence[str]) -> None:
        self._extent, self._only = extent, only
        self._found: dict[str, Sweep] = {}

    def of(self, workload: str) -> Sweep:
        """Return a workload's sweep. `mixed` ranks the rivals, each with its best setting for `minilm`: same model."""
        if workload not in self._found:
            self._found[workload] = self._sweep(workload)
        return self._found[workload]

    def _sweep(self, workload: str) -> Sweep:
        able = [name for name, each in CONTENDERS.items() if workload in each.workloads and name not in OURS]
        best = {name: Swept(settings(CONTENDERS[name], workload)[0], 0.0) for name in OURS}
        broken: dict[str, str] = {}
        known = self.of("minilm") if workload == "mixed" else None
        for name in (each for each in able if not self._only or each in self._only):
            tried = settings(CONTENDERS[name], workload)
            if known is not None:
                broken |= {name: known.broken[name]} if name in known.broken else {}
                tried = [known.best[name].setting] if name in known.best else []
            leader = max((each.score for each in best.values()), default=0.0)
            found = self._contender(name, workload, tried, HOPELESS_SHARE * leader, broken)
            if found is not None:
                best[name] = found
        return Sweep(best, broken)

    def _contender(
        self, name: str, workload: str, tried: Sequence[Setting], hopeless: float, broken: dict[str, str]
    ) -> Swept | None:
        found: list[Swept] = []
        for setting in tried:
            try:
                found.append(Swept(setting, self._score(name, workload, setting)))
            except BenchError as error:
                say(f"  {workload}: {error}")
                if not found:
                    broken[name] = str(error)
                break
            say(f"  {workload}: {name} with {setting}: {found[-1].score:.0f}")
            if found[0].score < hopeless:
                break
        return max(found, key=lambda each: each.score, default=None)

    def _score(self, name: str, workload: str, setting: Setting) -> float:
        with Field(self._extent.most_lag_seconds) as field:
            field.start(name, workload, DEADLINES_SECONDS[workload], setting)
            return score(field, name, workload, self._extent.sweep_seconds)


def score_of(answer: Mapping[str, float], workload: str) -> float:
    """Return what a closed slice scores: good answers per CPU-second for `trivial`, else per second."""
    return max(answer["good"], 1) / answer["cpu_seconds" if workload == "trivial" else "seconds"]


def score(field: Field, name: str, workload: str, seconds: float) -> float:
    """Run a closed slice and return what it scores. Raises BenchError where slice after slice is void."""
    callers = CALLERS if workload == "trivial" else SWEEP_CALLERS
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            answer = field.closed(name, callers, seconds)
        except VoidSlice as void:
            reason = str(void)
            continue
        return score_of(answer, workload)
    raise BenchError(f"{name}: {_ATTEMPTS} slices were void, the last because {reason}")
