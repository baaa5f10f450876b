"""What learning the time of passes costs: in proportion to the passes, however short they are."""

from __future__ import annotations

import pytest

from trimtab_engine.batching.latency_model import LatencyModel, Shape


@pytest.mark.parametrize(("pass_seconds", "most_fits"), [(0.0001, 16 + 10), (0.01, 16 + 5000 // 8)])
def test_short_passes_are_fitted_as_seldom_as_their_time_allows(pass_seconds: float, most_fits: int) -> None:
    latency, fits = LatencyModel(), 0
    for number in range(5000):
        before = latency._costs
        latency.observe(Shape(1 + number % 16, 1 + number % 16, 1), pass_seconds)
        fits += latency._costs is not before
    assert most_fits / 2 < fits <= most_fits
    assert latency.expect(Shape(8, 8, 1)) == pytest.approx(pass_seconds, rel=0.1)
