"""A wish (proposal), and what the guardrails made of it: a change, or a hold with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trimtab_operator.model.analysis import Evidence


@dataclass(frozen=True)
class Change:
    """One change that passed every guardrail. `uncapped` is what was wished before them."""

    kind: Literal["Scale"]
    current: int
    desired: int
    uncapped: int
    reason: str
    message: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Hold:
    """Nothing is to be done, and why. `desired` is the recommendation, None when nothing can be recommended."""

    reason: str
    message: str
    current: int | None = None
    desired: int | None = None
    uncapped: int | None = None
    evidence: tuple[Evidence, ...] = ()


Decision = Change | Hold
