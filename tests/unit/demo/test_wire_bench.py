"""The wire bench: reading what was measured and judging it against the aims."""

from __future__ import annotations

import argparse

import pytest

from bench.wire import MEBIBYTE, changes, rows, table
from bench.wire_crowd import entries
from bench.wire_crowd_figures import CrowdFigures
from bench.wire_engine import BenchPod, batch_size_in, tuning_for
from dev.demo.errors import DemoError
from trimtab_api.node_tuning import NodeTuning, NodeTuningSpec

POD = BenchPod("engine-1", "uid-1", "node-1", "10.0.0.1")
PAGE = """trimtab_engine_setting{model="m",name="cache_limit_bytes"} 0.0
trimtab_engine_setting{model="m",name="max_batch_size"} 16.0
"""


def crowd(*seconds: float, resident: int = 80 * MEBIBYTE) -> CrowdFigures:
    return CrowdFigures(50, 2, list(seconds), resident)


@pytest.mark.parametrize(
    ("engine", "found", "missed"),
    [
        pytest.param([0.1] * 40, crowd(0.2, 0.3), [], id="all hold"),
        pytest.param([0.1] * 38 + [9.0] * 2, crowd(0.2), [], id="two of forty late"),
        pytest.param([0.1] * 37 + [1.5] * 3, crowd(0.2), ["one pod, 40 changes: p95"], id="one engine late"),
        pytest.param([0.1] * 40, crowd(3.1), ["50 simulated engines, 2 changes: p95"], id="crowd late"),
        pytest.param([0.1] * 40, crowd(0.2, resident=101 * MEBIBYTE), ["resident, 50 engines"], id="memory"),
    ],
)
def test_only_aims_are_judged_by_p95_and_the_largest_memory(
    engine: list[float], found: CrowdFigures, missed: list[str]
) -> None:
    judged = [row.figure for row in rows(engine, found) if not row.holds]
    assert len(judged) == len(missed)
    assert all(figure.endswith(words) for figure, words in zip(judged, missed, strict=True))


def test_the_table_shows_each_figure_beside_its_aim() -> None:
    text = table(rows([0.1] * 40, crowd(3.1)))
    assert "<= 1 s" in text
    assert "MISSED" in text
    assert text.count("holds") == 2


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(DemoError, match="nothing was measured"):
        rows([], crowd(0.1))


def test_too_few_changes_are_refused() -> None:
    assert changes("60") == 60
    with pytest.raises(argparse.ArgumentTypeError, match="at least 40"):
        changes("39")


def test_the_setting_in_force_is_read_from_the_engines_own_page() -> None:
    assert batch_size_in(PAGE) == 16
    assert batch_size_in("trimtab_engine_ready 1.0\n") is None


def test_the_bench_writes_one_entry_that_the_api_knows() -> None:
    written = NodeTuning.model_validate(tuning_for(POD, 8))
    (entry,) = written.spec.engines
    assert (written.metadata.name, entry.pod_uid, entry.settings.max_batch_size) == ("node-1", "uid-1", 8)


def test_every_simulated_engine_has_an_entry_that_the_api_knows() -> None:
    spec = NodeTuningSpec.model_validate({"engines": entries(["a", "b"], 3)})
    assert [(entry.pod_uid, entry.settings.max_batch_size) for entry in spec.engines] == [("a", 3), ("b", 3)]
