"""The waste ledger: what was measured is booked, what was not has no series."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.metrics import EngineMetrics

JOB = Job(1, 0.0, 60.0, 0, on_end=lambda _: None)


def items(*lengths: int, start: int = 0) -> list[Item]:
    """Rows that are all different, each counting on from another number."""
    rows = [
        TokenRow(np.arange(length, dtype=np.int32) + 1000 * (start + place)) for place, length in enumerate(lengths)
    ]
    return [Item(JOB, 0, row, None, 0.0) for row in rows]


def booked(metrics: EngineMetrics, kind: str) -> float | None:
    return metrics.registry.get_sample_value("trimtab_engine_waste_seconds_total", {"model": "m", "kind": kind})


def test_padding_is_its_share_of_the_pass_and_copies_are_their_own_time() -> None:
    metrics = EngineMetrics("m")
    metrics.waste.passed(items(8, 2, 2), 0.6, 0.05)
    assert booked(metrics, "padding") == pytest.approx(0.3)
    assert booked(metrics, "copies") == pytest.approx(0.05)
    assert booked(metrics, "duplicates") == 0


def test_inputs_that_were_computed_before_are_waste_and_never_more_than_the_pass() -> None:
    metrics = EngineMetrics("m")
    for _ in range(50):
        metrics.waste.passed(items(*[4] * 64), 1.0, 0.0)
    duplicates = booked(metrics, "duplicates")
    assert duplicates is not None
    assert 20 < duplicates <= 50  # 49 of 50 passes bought nothing; a sample of one in eight says so roughly


def test_recompiling_is_booked_once_a_worker_reports_it_and_has_no_series_before() -> None:
    metrics = EngineMetrics("m")
    metrics.waste.passed(items(4), 1.0, 0.0)
    assert booked(metrics, "recompiles") is None
    metrics.waste.passed(items(4), 1.0, 0.0, compile_seconds=0.0)
    assert booked(metrics, "recompiles") == 0
    metrics.waste.passed(items(4), 1.0, 0.0, compile_seconds=0.7)
    assert booked(metrics, "recompiles") == pytest.approx(0.7)
