"""The slow loop of Dynamo's planner: it predicts the traffic of the next interval and sets the least replicas.

Source: components/src/dynamo/planner/core/throughput_scaling.py, core/load/predictors.py and
plugins/builtins/local_planner.py of ai-dynamo 1.6.
"""

from __future__ import annotations

import math
from typing import Literal

from bench.kalman import LocalTrend

PredictorKind = Literal["kalman", "constant"]

LEAST_POINTS = 5
MOST_CHANGE = 8


class Predictor:
    """Expects the next value: by a filter once it knows some, by the last value until then."""

    def __init__(
        self,
        kind: PredictorKind,
        *,
        logarithmic: bool,
        trend: LocalTrend | None = None,
        least_points: int = LEAST_POINTS,
    ) -> None:
        self._kind = kind
        self._logarithmic = logarithmic
        self._trend = LocalTrend() if trend is None else trend
        self._least_points = least_points
        self._points = 0

    def next(self, value: float) -> float:
        """Take a value and return what comes next. Zeros before the first other value are left out."""
        if not self._points and not value:
            return 0.0
        self._points += 1
        expected = self._trend.observe(math.log1p(value) if self._logarithmic else value)
        if self._kind == "constant" or self._points < self._least_points:
            return value
        return max(0.0, math.expm1(expected) if self._logarithmic else expected)


class TrafficPredictor:
    """Requests, prompt and output tokens, each on its own. An interval without requests has the tokens of the last."""

    def __init__(self, requests: Predictor, prompt_tokens: Predictor, output_tokens: Predictor) -> None:
        self._predictors = (requests, prompt_tokens, output_tokens)
        self._tokens = (0.0, 0.0)

    def next(self, requests: float, prompt_tokens: float, output_tokens: float) -> tuple[float, float, float]:
        """Take an interval and return what the next one brings."""
        if requests:
            self._tokens = (prompt_tokens, output_tokens)
        of_requests, of_prompt, of_output = self._predictors
        return of_requests.next(requests), of_prompt.next(self._tokens[0]), of_output.next(self._tokens[1])


def least_replicas(
    demand_rps: float, carried_rps: float, ready: int, *, least: int = 1, most_change: int = MOST_CHANGE
) -> int:
    """Return the replicas for a demand, so many at most from those that are ready; these where nothing is carried."""
    needed = math.ceil(demand_rps / carried_rps) if carried_rps > 0 else ready
    return max(least, min(max(needed, ready - most_change), ready + most_change))
