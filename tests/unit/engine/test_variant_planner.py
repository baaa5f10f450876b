"""The plan search against a model that is a table: seconds saved and accuracy lost per layer."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from trimtab_engine.chores import Answered, Ask, Chore, ChoreOutcome, RowsRun, RunRows
from trimtab_engine.jobs import TokenRow
from trimtab_engine.variant_messages import (
    BASE_VARIANT,
    BuildVariant,
    Candidate,
    DropVariant,
    LayerChange,
    LayerFacts,
    LayersListed,
    ListLayers,
    VariantBuilt,
    VariantDropped,
)
from trimtab_engine.variants.accuracy import Outputs, Task
from trimtab_engine.variants.capture import CapturedInput
from trimtab_engine.variants.planner import FoundPlan, Wanted, search
from trimtab_engine.variants.probe import Course, Probe, Refused, variant_name

KINDS = ("query", "value", "inner")
WIDTH = 32
ONEDNN, TORCHAO = Candidate("int8_dynamic", "onednn"), Candidate("int8_dynamic", "torchao")


class TableModel:
    """Answers chores as a worker would: a batch takes 10 ms less what its layers save; losses of cosine add up."""

    def __init__(
        self, loss: Callable[[str], float], saving_seconds: Callable[[LayerChange], float], layers_each: int = 4
    ) -> None:
        self.loss, self.saving_seconds = loss, saving_seconds
        self.layers = [f"{n}.{kind}" for kind in KINDS for n in range(layers_each)]
        self.variants: dict[str, list[LayerChange]] = {BASE_VARIANT: []}
        self.noise = random.Random(1)
        self.chores = 0

    def answer(self, chore: Chore) -> ChoreOutcome:
        self.chores += 1
        if isinstance(chore, RunRows):
            return self._run(chore)
        assert isinstance(chore, Ask)
        message = chore.message
        if isinstance(message, ListLayers):
            facts = [
                LayerFacts(name, name.split(".")[1], 64, 64, 64 * 64 * 4, [TORCHAO, ONEDNN]) for name in self.layers
            ]
            return Answered(LayersListed(message.request, facts, [TORCHAO, ONEDNN], []), 0.001)
        if isinstance(message, BuildVariant):
            assert message.variant not in self.variants and len(self.variants) <= 4
            self.variants[message.variant] = message.plan
            share = len(message.plan) / len(self.layers)
            return Answered(VariantBuilt(message.request, message.variant, len(message.plan), 1, 1, share, 0.01), 0.01)
        assert isinstance(message, DropVariant)
        del self.variants[message.variant]
        return Answered(VariantDropped(message.request, message.variant, 1), 0.001)

    def _run(self, chore: RunRows) -> RowsRun:
        plan = self.variants[chore.variant]
        cosine = 1.0 - sum(self.loss(change.layer) for change in plan)
        answers: list[bytes | None] = []
        for row in chore.rows:
            assert isinstance(row, TokenRow)
            first, other = np.random.default_rng(int(row.ids[0])).permutation(WIDTH)[:2]
            vector = np.zeros(WIDTH, np.float32)
            vector[first], vector[other] = cosine, np.sqrt(max(0.0, 1 - cosine**2))
            answers.append(vector.tobytes())
        seconds = 0.010 - sum(self.saving_seconds(change) for change in plan)
        return RowsRun(answers, seconds * self.noise.uniform(0.97, 1.03))


def an_input(number: int) -> CapturedInput:
    row = TokenRow(np.array([number], np.int32))
    return CapturedInput(number.to_bytes(16, "little"), row, 1, 4)


def decode(answer: bytes | None) -> Outputs:
    assert answer is not None
    return np.frombuffer(answer, np.float32)


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


def search_in(model: TableModel, min_accuracy: float = 0.98) -> FoundPlan:
    inputs = [an_input(number) for number in range(256)]
    return run(model, search(Probe("m", 8, decode), Wanted("Int8", min_accuracy, Task.EMBEDDING, inputs)))


def onednn_saves(change: LayerChange) -> float:
    return 0.0005 if change.backend == "onednn" else -0.02


def test_all_layers_are_changed_where_that_costs_nothing_by_the_backend_that_is_fast_here() -> None:
    model = TableModel(lambda layer: 0.0, onednn_saves)
    found = search_in(model)
    assert {change.layer for change in found.plan} == set(model.layers)
    assert {change.backend for change in found.plan} == {"onednn"}
    assert found.speedup.low > 2.0 and found.agreement.low > 0.999
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


def test_a_format_that_no_layer_takes_is_refused_with_what_the_worker_says() -> None:
    model = TableModel(lambda layer: 0.0, onednn_saves)
    inputs = [an_input(number) for number in range(4)]
    with pytest.raises(Refused) as refused:
        run(model, search(Probe("m", 8, decode), Wanted("FP8", 0.98, Task.EMBEDDING, inputs)))
    assert refused.value.reason == "NoFormat"


def test_the_search_of_a_deep_model_stays_within_its_device_time() -> None:
    def slow(change: LayerChange) -> float:
        return onednn_saves(change) / 40 if change.backend == "onednn" else -0.001

    model = TableModel(lambda layer: 0.0001, slow, layers_each=48)
    found = search_in(model)
    assert found.device_seconds < 180
    assert found.builds <= 200
