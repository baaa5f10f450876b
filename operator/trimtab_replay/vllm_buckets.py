"""The upper bounds of the histograms of vLLM 0.33, in seconds; the largest, never reached here, are left out."""

from __future__ import annotations

import math

from trimtab_operator.model.signals import Signal

_LONG = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, math.inf,
)  # fmt: skip
_FIRST = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, math.inf,
)  # fmt: skip
_BETWEEN = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, math.inf,
)  # fmt: skip
BOUNDS = {
    Signal.LATENCY_SECONDS: _LONG,
    Signal.QUEUE_SECONDS: _LONG,
    Signal.TIME_TO_FIRST_TOKEN_SECONDS: _FIRST,
    Signal.INTER_TOKEN_LATENCY_SECONDS: _BETWEEN,
}
