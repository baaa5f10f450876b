"""A Kalman filter of a level with a trend: what NVIDIA Dynamo's planner predicts load with."""

from __future__ import annotations

UNKNOWN_VARIANCE = 1000.0


class LocalTrend:
    """Expects the next value from the level and its trend.

    Variances are those of Dynamo's defaults: `kalman_q_level`, `kalman_q_trend` and `kalman_r`.
    """

    def __init__(self, level: float = 1.0, trend: float = 0.1, observation: float = 10.0) -> None:
        self._noises = (level, trend, observation)
        self._state: tuple[float, float] | None = None
        """The expected level and the trend; None before the first value."""
        self._covariance = (UNKNOWN_VARIANCE, 0.0, UNKNOWN_VARIANCE)
        """Of the level, of both, of the trend."""

    def observe(self, value: float) -> float:
        """Correct what was expected by what came; return what is expected next."""
        level, trend = (value, 0.0) if self._state is None else self._corrected(self._state, value)
        self._state = (level + trend, trend)
        self._spread()
        return self._state[0]

    def _corrected(self, state: tuple[float, float], value: float) -> tuple[float, float]:
        levels, both, trends = self._covariance
        level_gain, trend_gain = levels / (levels + self._noises[2]), both / (levels + self._noises[2])
        self._covariance = (levels - level_gain * levels, both - level_gain * both, trends - trend_gain * both)
        missed = value - state[0]
        return state[0] + level_gain * missed, state[1] + trend_gain * missed

    def _spread(self) -> None:
        """Grow the uncertainty by that of one move."""
        levels, both, trends = self._covariance
        self._covariance = (levels + 2.0 * both + trends + self._noises[0], both + trends, trends + self._noises[1])
