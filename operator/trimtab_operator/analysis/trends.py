"""Where things go: the trend of each row of the scorecard, and which objective that is met now will be missed.

A trend over an hour, a day or a week is carried on for as long as it was watched, and only where the slow end of its
interval reaches the limit by then.
"""

from __future__ import annotations

from collections.abc import Iterator

from trimtab_api.objectives import ObjectiveName
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.attainment import LATENCIES, latency_rules
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.model.analysis import Attainment, Miss, ObjectiveResult
from trimtab_operator.model.past import STEP_SECONDS, STEPS, Past, Quantity
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.slope import Slope

USUAL_PERCENTILE = 95
STANDING_HORIZONS = 1.5  # a warning that stands is kept a little longer than it would be given

QUANTITIES = {
    ObjectiveName.LATENCY: Quantity.LATENCY,
    ObjectiveName.TIME_TO_FIRST_TOKEN: Quantity.TIME_TO_FIRST_TOKEN,
    ObjectiveName.INTER_TOKEN_LATENCY: Quantity.INTER_TOKEN_LATENCY,
    ObjectiveName.ERROR_RATIO: Quantity.ERRORS,
    ObjectiveName.ACCURACY_RATIO: Quantity.ACCURACY,
    ObjectiveName.GPU_MEMORY_RATIO: Quantity.GPU_MEMORY,
    ObjectiveName.GPU_UTILIZATION_RATIO: Quantity.GPU_UTILIZATION,
    ObjectiveName.CACHE_HIT_RATIO: Quantity.CACHE_HITS,
    ObjectiveName.JOULES_PER_REQUEST: Quantity.ENERGY,
}
_AT_LEAST = frozenset({Quantity.ACCURACY, Quantity.GPU_UTILIZATION, Quantity.CACHE_HITS})


def percentiles(policy: OptimizationPolicy) -> dict[Signal, int]:
    """Return the percentile of each histogram that has a trend: the policy's own, else that of the scorecard."""
    own = {LATENCIES[name]: rule.percentile for name, rule in latency_rules(policy.spec.objectives)}
    return dict.fromkeys((Signal.SERVICE_SECONDS, Signal.LATENCY_SECONDS), USUAL_PERCENTILE) | own


def miss(seen: Seen, result: ObjectiveResult) -> Miss | None:
    """Return when an objective that is met now will be missed, by the trend that leads there first; None if none."""
    name, past = result.name, seen.snapshot.past
    if result.attainment is not Attainment.MET or past is None or name not in QUANTITIES:
        return None
    standing = any(each.name is name and each.will_miss_at for each in seen.policy.status.objectives)
    found = misses(past, QUANTITIES[name], result.limit, standing=standing)
    return min(found, key=lambda each: each.at, default=None)


def misses(past: Past, quantity: Quantity, limit: float, *, standing: bool) -> Iterator[Miss]:
    """Yield each trend that leads to the limit, in the unit of the quantity; `standing` if one was told before."""
    toward = -1.0 if quantity in _AT_LEAST else 1.0
    for span, slope in past.trends[quantity].items():
        if not isinstance(slope, Slope):
            continue
        gap = toward * (limit - slope.level)
        slowest = toward * (slope.low if toward > 0.0 else slope.high)
        usual = toward * slope.per_hour
        pace, horizons = (usual, STANDING_HORIZONS) if standing else (slowest, 1.0)
        watched_hours = STEP_SECONDS[span] * STEPS[span] / 3600.0
        if gap > 0.0 and usual > 0.0 and pace * watched_hours * horizons >= gap:
            yield Miss(past.until[span] + gap / usual * 3600.0, span, slope)
