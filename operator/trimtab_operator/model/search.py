"""The nouns of a search over configurations: what may be tried, what was expected, and what was measured where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab_operator.model.arrays import Floats

MOST_CONFIGURATIONS = 4096


class UnfitSpaceError(ValueError):
    """A search space that cannot be searched: the message names what is wrong with it."""


@dataclass(frozen=True)
class Dimension:
    """One knob. `doublings`: log2 of the value of each level, so that one step is one doubling; None: no order."""

    name: str
    doublings: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """n configurations of d knobs that no hard rule forbids, and what physics expects of each.

    `levels` (n, d): index of the level of each knob. `goal` (n): expected logarithm of the objective, more is better,
    and `limited` (n, m) of the m limited values, up to a constant each. Raises UnfitSpaceError where shapes do not fit
    together or there are more than MOST_CONFIGURATIONS.
    """

    dimensions: tuple[Dimension, ...]
    levels: NDArray[np.int64]
    goal: Floats
    limited: Floats

    def __post_init__(self) -> None:
        count = len(self.levels)
        if not 0 < count <= MOST_CONFIGURATIONS:
            raise UnfitSpaceError(f"{count} configurations; 1 to {MOST_CONFIGURATIONS} can be searched")
        if self.levels.shape != (count, len(self.dimensions)):
            raise UnfitSpaceError(f"levels of shape {self.levels.shape} for {len(self.dimensions)} dimensions")
        if self.goal.shape != (count,) or self.limited.shape[:1] != (count,) or self.limited.ndim != 2:
            raise UnfitSpaceError(
                f"expectations of shapes {self.goal.shape} and {self.limited.shape} for {count} of them"
            )


@dataclass(frozen=True)
class Estimate:
    """A measured logarithm and its standard deviation."""

    log: float
    sd: float


@dataclass(frozen=True)
class Observation:
    """What one trial measured: the objective, and each limited value over its limit (0: just at it)."""

    configuration: int
    goal: Estimate
    limited: tuple[Estimate, ...]

    @property
    def kept(self) -> bool:
        """Whether every limited value was seen within its limit."""
        return all(each.log <= 0.0 for each in self.limited)


@dataclass(frozen=True)
class Suggestion:
    """A configuration worth a trial: how likely it keeps every limit, and by how much it may better the objective.

    `gain` is the expected improvement of the objective's logarithm where limits are kept, over what could be promoted.
    """

    configuration: int
    likelihood: float
    gain: float
