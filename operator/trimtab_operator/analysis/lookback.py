"""How far back the series of a snapshot must reach."""

from __future__ import annotations

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_duration_seconds


def window_seconds(policy: OptimizationPolicy) -> float:
    """Return the time that a baseline spans."""
    return parse_duration_seconds(policy.spec.observation.window)


def stabilization_seconds(policy: OptimizationPolicy) -> float:
    """Return the time whose largest demand bounds a scale-down; the observation window without scaling."""
    scaling = policy.spec.scaling
    return parse_duration_seconds(scaling.stabilization) if scaling else window_seconds(policy)


def lookback_seconds(policy: OptimizationPolicy) -> float:
    """Return the longer of both: what the history of a snapshot must cover."""
    return max(window_seconds(policy), stabilization_seconds(policy))
