"""The waste ledger: what was measured is booked, what was not has no series."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab_engine.jobs import Item, Job, TokenRow
from trimtab_engine.metrics import EngineMetrics
from trimtab_engine.repeats import RepeatSample

JOB = Job(1, 0.0, 60.0, 0, on_end=lambda _: None)


def items(*lengths: int) -> list[Item]:
    """Rows that are all different, each counting on from another number."""
    rows = [TokenRow(np.arange(length, dtype=np.int32) + 1000 * place) for place, length in enumerate(lengths)]
    return [Item(JOB, 0, row, None, 0.0) for row in rows]


def booked(metrics: EngineMetrics, kind: str) -> float | None:
    return metrics.registry.get_sample_value("trimtab_engine_waste_seconds_total", {"model": "m", "kind": kind})


def test_padding_is_its_share_of_the_pass_and_copies_are_their_own_time() -> None:
    metrics = EngineMetrics("m")
    metrics.models["m"].waste.passed(items(8, 2, 2), 0.6, 0.05)
    assert booked(metrics, "padding") == pytest.approx(0.3)
    assert booked(metrics, "copies") == pytest.approx(0.05)
    assert booked(metrics, "duplicates") == 0


def test_inputs_that_were_computed_before_are_waste_by_a_sample_of_them() -> None:
    metrics = EngineMetrics("m")
    for _ in range(10):
        metrics.models["m"].waste.passed(items(*[4] * 800), 1.0, 0.0)
    assert 4 < (booked(metrics, "duplicates") or 0.0) <= 9  # nine of ten passes bought nothing


def test_no_pass_is_wasted_more_than_once() -> None:
    metrics, sample = EngineMetrics("m"), RepeatSample()
    sampled = next(item for item in items(*[4] * 800) if (sample.see([item.row]), sample.inputs)[1])
    for _ in range(3):  # stands for eight inputs, in a batch of one
        metrics.models["m"].waste.passed([sampled], 1.0, 0.0)
    assert booked(metrics, "duplicates") == 2


def test_recompiling_is_booked_once_a_worker_reports_it_and_has_no_series_before() -> None:
    metrics = EngineMetrics("m")
    metrics.models["m"].waste.passed(items(4), 1.0, 0.0)
    assert booked(metrics, "recompiles") is None
    metrics.models["m"].waste.passed(items(4), 1.0, 0.0, compile_seconds=0.0)
    assert booked(metrics, "recompiles") == 0
    metrics.models["m"].waste.passed(items(4), 1.0, 0.0, compile_seconds=0.7)
    assert booked(metrics, "recompiles") == pytest.approx(0.7)
