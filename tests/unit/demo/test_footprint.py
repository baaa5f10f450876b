"""The footprint bench: reading expositions and judging against the limits."""

from __future__ import annotations

import pytest

from bench.footprint import MEBIBYTE, Limit, Reading, footprint, value_of
from dev.demo.errors import DemoError

LIMIT = Limit("operator", 9102, 150 * MEBIBYTE, 0.02)
PAGE = "# HELP x y\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 1.2e+08\n"


def test_a_metric_without_labels_is_read_and_a_missing_one_is_named() -> None:
    assert value_of(PAGE, "process_resident_memory_bytes") == 1.2e8
    with pytest.raises(DemoError, match="process_threads is not exposed"):
        value_of(PAGE, "process_threads")


@pytest.mark.parametrize(
    ("resident", "cpu_seconds", "limit", "holds"),
    [
        pytest.param(149 * MEBIBYTE, 1.9, LIMIT, True, id="within both"),
        pytest.param(151 * MEBIBYTE, 1.9, LIMIT, False, id="too much memory"),
        pytest.param(149 * MEBIBYTE, 2.1, LIMIT, False, id="too much idle CPU"),
        pytest.param(99 * MEBIBYTE, 9.9, Limit("agent", 9101, 100 * MEBIBYTE, None), True, id="no CPU limit"),
    ],
)
def test_the_largest_memory_and_the_mean_cpu_are_judged(
    resident: float, cpu_seconds: float, limit: Limit, holds: bool
) -> None:
    readings = [Reading(0, 10.0, 0.0), Reading(50, resident, 1.0), Reading(100, 20.0, cpu_seconds)]
    found = footprint("pod", limit, readings)
    assert found.resident_bytes == resident
    assert found.cpu_ratio == pytest.approx(cpu_seconds / 100)
    assert found.holds is holds
