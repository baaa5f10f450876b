"""Whether a policy tunes engines at all: by its knobs, the runtime's table, and what it has tuned before."""

from __future__ import annotations

from trimtab_api.knobs import Knobs
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.model.snapshot import Target
from trimtab_operator.runtimes.select import RUNTIMES


def has_knobs(policy: OptimizationPolicy, target: Target) -> bool:
    """Say whether there is a knob that this policy lets us turn on this target's runtime."""
    runtime, knobs = RUNTIMES.get(target.runtime), policy.spec.knobs
    if runtime is None or not runtime.knobs:
        return False
    return knobs is None or any(getattr(knobs, name) is not None for name in Knobs.model_fields)


def tunes_engines(policy: OptimizationPolicy, target: Target) -> bool:
    """Say whether engines and trials of this policy have to be looked at."""
    return has_knobs(policy, target) or policy.status.tuning is not None
