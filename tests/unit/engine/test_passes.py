"""What is counted of passes: sizes, predictions, phases, and the gaps between batches."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trimtab_engine import wire
from trimtab_engine.batching.latency_model import shape_of
from trimtab_engine.metrics import EngineMetrics

DONE = wire.BatchDone(1, 0.02, [], [], copy_seconds=0.005)
FAILED = wire.BatchFailed(1, 0.02, "model_error", "ValueError")


class Passes:
    """One device, `cpu`, and what is exposed of it."""

    def __init__(self) -> None:
        self.metrics = EngineMetrics("m")
        self.passes = self.metrics.models["m"].passes

    def begin(self, now: float, *lengths: int, expected_seconds: float = 0.0, variant: str = "base") -> int:
        return self.passes.begun(
            "cpu", shape_of(lengths or (4,)), variant, expected_seconds=expected_seconds, copy_seconds=0.001, now=now
        )

    def value(self, name: str, **labels: str) -> float | None:
        for family in text_string_to_metric_families(self.metrics.exposition().decode()):
            for sample in family.samples:
                if sample.name == f"trimtab_engine_{name}" and sample.labels == {"model": "m", **labels}:
                    return sample.value
        return None


@pytest.fixture
def cpu() -> Passes:
    return Passes()


def test_tokens_are_counted_apart_from_their_padding(cpu: Passes) -> None:
    cpu.begin(0.0, 8, 3, 5)
    assert cpu.value("batch_tokens_total", kind="input") == 16
    assert cpu.value("batch_tokens_total", kind="padding") == 8


def test_a_batch_is_compared_with_its_prediction_once_there_is_one(cpu: Passes) -> None:
    cpu.begin(0.0)
    cpu.passes.ended("cpu", DONE, 0.03, waiting=False)
    assert cpu.value("batch_prediction_ratio_count") == 0
    cpu.begin(1.0, expected_seconds=0.016)
    cpu.passes.ended("cpu", DONE, 1.03, waiting=False)
    assert cpu.value("batch_prediction_ratio_sum") == pytest.approx(1.25)


def test_the_phases_of_a_batch_add_up_to_its_time(cpu: Passes) -> None:
    cpu.begin(0.0)
    cpu.passes.ended("cpu", DONE, 0.03, waiting=False)
    cpu.passes.answered(0.002)
    found = {
        phase: cpu.value("phase_seconds_total", phase=phase)
        for phase in ("copy_in", "pass", "copy_out", "handover", "answer")
    }
    expected = {"copy_in": 0.001, "pass": 0.015, "copy_out": 0.005, "handover": 0.01, "answer": 0.002}
    assert found == pytest.approx(expected)


def test_a_phase_that_nothing_goes_through_has_no_series(cpu: Passes) -> None:
    assert cpu.value("phase_seconds_total", phase="tokenize") is None


@pytest.mark.parametrize("outcome", [DONE, FAILED], ids=["done", "failed"])
def test_the_gap_to_the_next_batch_counts_where_inputs_waited(
    cpu: Passes, outcome: wire.BatchDone | wire.BatchFailed
) -> None:
    cpu.begin(0.0)
    cpu.passes.ended("cpu", outcome, 0.03, waiting=True)
    cpu.begin(0.05)
    assert (cpu.value("idle_gap_seconds_count"), cpu.value("idle_gap_seconds_sum")) == (1, pytest.approx(0.02))
    cpu.passes.ended("cpu", outcome, 0.08, waiting=False)
    cpu.begin(9.0)
    assert cpu.value("idle_gap_seconds_count") == 1


def test_the_gap_that_a_dead_worker_leaves_counts_too(cpu: Passes) -> None:
    cpu.begin(0.0)
    cpu.passes.lost("cpu", 1.0, waiting=True)
    cpu.begin(4.0)
    assert cpu.value("idle_gap_seconds_sum") == pytest.approx(3.0)
    assert cpu.value("batch_seconds_count") == 0


def test_a_failed_batch_has_a_size_but_no_time(cpu: Passes) -> None:
    cpu.begin(0.0, 4, 4)
    cpu.passes.ended("cpu", FAILED, 0.03, waiting=False)
    assert (cpu.value("batch_size_sum"), cpu.value("batch_seconds_count")) == (2, 0)


def test_a_batch_counts_for_the_settings_that_it_began_under(cpu: Passes) -> None:
    first = cpu.begin(0.0)
    cpu.metrics.models["m"].periods.variant_is("int8-1")  # a swap while it runs
    cpu.passes.ended("cpu", DONE, 0.03, waiting=False)
    second = cpu.begin(0.04, variant="int8-1")
    cpu.passes.entered([0.5], second)
    assert second == first + 1
    assert cpu.value("period_batch_seconds_gcount", settings="previous") == 1
    assert cpu.value("period_batch_size_gcount", settings="previous") == 1
    assert cpu.value("period_batch_size_gcount", settings="current") == 1
    assert cpu.value("period_queue_seconds_gcount", settings="current") == 1
    assert cpu.value("queue_seconds_count") == 1


def test_the_gap_to_the_next_batch_counts_for_the_model_that_ends_it() -> None:
    metrics = EngineMetrics("a", "b")
    shape = shape_of((4,))
    for model, now in (("a", 0.0), ("b", 0.07)):
        passes = metrics.models[model].passes
        passes.begun("cpu", shape, "base", expected_seconds=0.0, copy_seconds=0.0, now=now)
        passes.ended("cpu", DONE, now + 0.02, waiting=True)
    text = metrics.exposition().decode()
    assert 'trimtab_engine_idle_gap_seconds_count{model="a"} 0' in text
    assert 'trimtab_engine_idle_gap_seconds_sum{model="b"} 0.05' in text
