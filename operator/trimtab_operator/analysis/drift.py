"""Whether requests are still like those that the baseline speaks of, by the tokens of inputs and of answers.

What a request costs, and so which settings are best, goes with its length. A length has drifted where seven in eight
points of the last observation window lie further from the baseline's than a factor of 1.5, all on the same side: the
window then holds next to nothing of the old load, and the next baseline may be taken of it.
"""

from __future__ import annotations

from statistics import median

from trimtab_api.findings import Baseline
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis import lookback
from trimtab_operator.model import series
from trimtab_operator.model.analysis import Drift
from trimtab_operator.model.signals import Series, Signal
from trimtab_operator.model.snapshot import Snapshot

LENGTHS = (Signal.INPUT_TOKENS, Signal.OUTPUT_TOKENS)
DRIFT_FACTOR = 1.5
STRAYS_SHARE = 1 / 8  # of the points may be like those before
LEAST_REQUESTS = 100  # in the window: the mean length of fewer is chance


def lengths(snapshot: Snapshot, start: float) -> dict[Signal, float]:
    """Return the usual lengths since `start` (unix seconds), as medians in tokens; those that were measured."""
    points = {signal: series.points_since(snapshot.history.get(signal), start) for signal in LENGTHS}
    return {signal: median(point.value for point in found) for signal, found in points.items() if found}


def drift(snapshot: Snapshot, policy: OptimizationPolicy) -> Drift | None:
    """Return the length that has drifted since the baseline in status was taken; None where none has, or none is."""
    known, start = policy.status.baseline, snapshot.now - lookback.window_seconds(policy)
    rate = series.mean(series.points_since(snapshot.history.get(Signal.REQUESTS_PER_SECOND), start))
    if known is None or rate is None or rate * (snapshot.now - start) < LEAST_REQUESTS:
        return None
    usual = lengths(snapshot, start)
    for signal, before in _known(known).items():
        found = snapshot.history.get(signal)
        if signal in usual and series.covers(found, start, snapshot.now) and _is_beyond(found, start, before):
            return Drift(signal, before, usual[signal])
    return None


def _known(baseline: Baseline) -> dict[Signal, float]:
    shown = {Signal.INPUT_TOKENS: baseline.input_tokens, Signal.OUTPUT_TOKENS: baseline.output_tokens}
    return {signal: float(tokens) for signal, tokens in shown.items() if tokens is not None}


def _is_beyond(found: Series | None, start: float, before: float) -> bool:
    values = sorted(point.value for point in series.points_since(found, start))
    strays = int(STRAYS_SHARE * len(values))
    return values[strays] > before * DRIFT_FACTOR or values[-1 - strays] * DRIFT_FACTOR < before
