"""The plan search against a model that is a table: seconds saved and accuracy lost per layer."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.table_model import LAYER_BYTES, TableModel, an_input, decode_vector, onednn_saves

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.chores import Ask, ChoreOutcome
from trimtab_engine.jobs import TokenRow
from trimtab_engine.variant_messages import LayerChange, ProfileModel
from trimtab_engine.variants.accuracy import Task
from trimtab_engine.variants.capture import CapturedInput
from trimtab_engine.variants.planner import FoundPlan, Wanted, search
from trimtab_engine.variants.probe import Course, Probe, Refused, variant_name
from trimtab_engine.wire import MAX_PACKET_BYTES, encode


def run(model: TableModel, course: Course[FoundPlan]) -> FoundPlan:
    """Play worker for a search until it has its plan."""
    outcome: ChoreOutcome | None = None
    try:
        while True:
            outcome = model.answer(course.send(outcome) if outcome is not None else next(course))
    except StopIteration as end:
        found = end.value
        assert isinstance(found, FoundPlan)
        return found


def search_in(model: TableModel, quantization: str = "Int8", memory_limit_bytes: int = 0) -> FoundPlan:
    probe = Probe("m", 8, decode_vector, lambda: memory_limit_bytes)
    inputs = [an_input(number) for number in range(256)]
    return run(model, search(probe, Wanted(quantization, 0.98, Task.EMBEDDING, inputs)))


def test_all_layers_are_changed_where_that_costs_nothing_by_the_backend_that_is_fast_here() -> None:
    model = TableModel(lambda layer: 0.0, onednn_saves)
    found = search_in(model)
    assert {change.layer for change in found.plan} == set(model.layers)
    assert {change.backend for change in found.plan} == {"onednn"}
    assert found.speedup.low > 2.0
    assert found.agreement.low > 0.999
    assert found.quantized_share == 1.0
    assert set(model.variants) == {BASE_VARIANT, variant_name(found.plan)}, "only the plan's own variant is kept"


def test_as_many_layers_as_the_accuracy_allows_are_changed_the_cheapest_first() -> None:
    losses = {"query": 0.0001, "inner": 0.002, "value": 0.009}
    found = search_in(TableModel(lambda layer: losses[layer.split(".")[1]], onednn_saves))
    kinds = sorted(change.layer.split(".")[1] for change in found.plan)
    assert kinds == ["inner"] * 4 + ["query"] * 4 + ["value"]
    assert found.agreement.low >= 0.98


def test_a_planted_outlier_layer_leaves_the_plan() -> None:
    even = search_in(TableModel(lambda layer: 0.001, onednn_saves))
    planted = search_in(TableModel(lambda layer: 0.05 if layer == "2.inner" else 0.001, onednn_saves))
    assert "2.inner" in {change.layer for change in even.plan}
    assert {change.layer for change in planted.plan} == {change.layer for change in even.plan} - {"2.inner"}
    assert variant_name(planted.plan) != variant_name(even.plan)


def test_a_kind_that_is_slower_here_stays_as_it_is() -> None:
    found = search_in(TableModel(lambda layer: 0.0, lambda c: -0.001 if "query" in c.layer else onednn_saves(c)))
    assert {change.layer.split(".")[1] for change in found.plan} == {"value", "inner"}


def test_nothing_is_proposed_where_nothing_is_faster() -> None:
    model = TableModel(lambda layer: 0.0, lambda change: -0.001)
    with pytest.raises(Refused) as refused:
        search_in(model)
    assert refused.value.reason == "NotFaster"
    assert set(model.variants) == {BASE_VARIANT}


def test_nothing_is_proposed_where_one_layer_costs_too_much() -> None:
    with pytest.raises(Refused) as refused:
        search_in(TableModel(lambda layer: 0.1, onednn_saves))
    assert refused.value.reason == "AccuracyTooLow"


def test_a_model_that_cannot_be_profiled_is_searched_all_the_same() -> None:
    model = TableModel(lambda layer: 0.0, onednn_saves)
    model.cannot_profile = True
    assert {change.layer for change in search_in(model).plan} == set(model.layers)


@pytest.mark.parametrize(("row_tokens", "rows"), [(16, 8), (2000, 4), (10_000, 0)])
def test_the_rows_of_a_profile_fit_into_one_packet(row_tokens: int, rows: int) -> None:
    row = TokenRow(np.ones(row_tokens, np.int32))
    inputs = [CapturedInput(bytes([number] * 16), row, row_tokens, row.ids.nbytes) for number in range(16)]
    chore = next(Probe("m", 8, decode_vector).profiled(inputs))
    assert isinstance(chore, Ask)
    assert isinstance(chore.message, ProfileModel)
    assert len(chore.message.rows) == rows
    assert len(encode(chore.message)) < MAX_PACKET_BYTES


def test_what_memory_does_not_allow_is_refused_as_that_and_not_as_slow() -> None:
    with pytest.raises(Refused) as refused:
        search_in(TableModel(lambda layer: 0.0, onednn_saves), memory_limit_bytes=LAYER_BYTES - 1)
    assert refused.value.reason == "MemoryShort"


@pytest.mark.parametrize(
    ("missing", "reason", "words"),
    [
        ({"onednn", "torchao"}, "BackendMissing", " here"),
        ({"torchao"}, "NotFaster", "3 of 6 were not built, the first for: no torchao here"),
    ],
)
def test_what_was_not_built_is_named_and_is_the_reason_where_nothing_was(
    missing: set[str], reason: str, words: str
) -> None:
    model = TableModel(lambda layer: 0.0, lambda change: -0.001)
    model.missing_backends = missing
    with pytest.raises(Refused, match=words) as refused:
        search_in(model)
    assert refused.value.reason == reason


def test_a_format_that_no_layer_takes_is_refused_with_what_the_worker_says() -> None:
    with pytest.raises(Refused) as refused:
        search_in(TableModel(lambda layer: 0.0, onednn_saves), "FP8")
    assert refused.value.reason == "NoFormat"


def test_the_search_of_a_deep_model_stays_within_its_device_time() -> None:
    def slow(change: LayerChange) -> float:
        return onednn_saves(change) / 40 if change.backend == "onednn" else -0.001

    model = TableModel(lambda layer: 0.0001, slow, layers_each=48)
    found = search_in(model)
    assert found.device_seconds < 180
    assert found.builds <= 200
