"""The search for a plan: which layers to change, into what, so that the model is faster and keeps its accuracy. Pure.

Kind by kind (the layers of one kind behave alike), the costliest by a profile first: what does changing all of them
save, here, at the batch size that is served, and which number format and library is fastest? What saves nothing is
dropped. Then layer by layer: what does changing it alone cost in accuracy? Layers go into the plan by time saved per
accuracy lost; how many of them is found by bisection with the whole plan, because losses do not simply add up. The plan
is timed in pairs against the original last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.variant_messages import Candidate, LayerChange, LayerFacts
from trimtab_engine.variants.accuracy import Outputs, Task, agreement_of_each
from trimtab_engine.variants.capture import CapturedInput
from trimtab_engine.variants.intervals import Interval, mean_interval, speedup_interval
from trimtab_engine.variants.probe import Course, Plan, Probe, Recipe, Refused, variant_name

_FORMATS: Mapping[str, tuple[str, ...]] = {
    "Int8": ("int8_dynamic", "int8_weight_only"),
    "FP8": ("float8_dynamic",),
}
_KIND_PAIRS = 6
_HOPELESS_PAIRS = 2  # after which a candidate much slower than the original is given up
_HOPELESS_SPEEDUP = 0.8
_LAYER_INPUTS = 64
_FINAL_PAIRS, _MOST_FINAL_PAIRS = 12, 60
_LAYER_SECONDS = 100.0  # of the device; layers not measured alone by then share the loss of their kind
_MOST_BUILDS = 160
_SEARCH_MARGIN = 0.1  # of the accuracy that may be lost stays unspent: the gate sees other inputs
_LEAST_LOSS = 1e-7


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to search for: formats of the setting `quantization`, and the least accuracy on these inputs."""

    quantization: str
    min_accuracy: float
    task: Task
    inputs: Sequence[CapturedInput]


@dataclass(frozen=True, slots=True)
class FoundPlan:
    """A plan or declared model that is built, accurate on the inputs of the search and faster, and what that cost.

    Only of a declared model it may be unknown whether it is faster; it is not slower.
    """

    plan: Recipe
    speedup: Interval
    agreement: Interval
    quantized_share: float  # of the multiplications in linear layers
    device_seconds: float
    builds: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class _Option:
    """One layer and the change that pays for its kind."""

    change: LayerChange
    saved_seconds: float
    loss: float


def search(probe: Probe, wanted: Wanted) -> Course[FoundPlan]:
    """Find a plan and leave its variant built.

    Raises:
        Refused: NoFormat, NotFaster or AccuracyTooLow, or what the worker refused.
    """
    layers = yield from _changeable(probe, wanted)
    reference = yield from probe.answers(BASE_VARIANT, wanted.inputs)
    options: list[_Option] = []
    time_shares = yield from _time_shares(probe, wanted)
    for kind in costliest_first(layers, time_shares):
        options += yield from _kind_options(probe, wanted, kind, reference)
    if not options:
        raise _nothing_faster(probe, wanted)
    options = yield from _with_layer_losses(probe, wanted, options, reference)
    options.sort(key=lambda option: option.saved_seconds / max(option.loss, _LEAST_LOSS), reverse=True)
    plan, agreement = yield from _longest(probe, wanted, options, reference)
    built = yield from probe.build(plan)
    speedup = yield from timed(probe, variant_name(plan), wanted.inputs)
    if speedup.low <= 1.0:
        yield from probe.drop(variant_name(plan))
        raise Refused(
            "NotFaster",
            f"the best plan ({len(plan)} layers) is {speedup.value:.3f} times as fast, lower bound {speedup.low:.3f}",
        )
    return FoundPlan(plan, speedup, agreement, built.quantized_share, probe.seconds, probe.builds, probe.batch_size)


def _changeable(probe: Probe, wanted: Wanted) -> Course[list[LayerFacts]]:
    listed = yield from probe.layers()
    formats = _FORMATS[wanted.quantization]
    layers = [layer for layer in listed.layers if any(c.format in formats for c in layer.formats)]
    if not layers:
        why = "; ".join(line for line in listed.unavailable if line.startswith(formats)) or "no layer can be changed"
        raise Refused("NoFormat", f"{wanted.quantization} is not available here: {why}")
    return layers


def _nothing_faster(probe: Probe, wanted: Wanted) -> Refused:
    """Say why no layer is changed: by what the worker said where it built nothing at all."""
    refused, why = probe.refused, f"no kind of layer is faster in {wanted.quantization} on this device"
    if not refused:
        return Refused("NotFaster", why)
    if len(refused) == probe.builds:
        return refused[0]
    return Refused("NotFaster", f"{why}; {len(refused)} of {probe.builds} were not built, the first for: {refused[0]}")


def _time_shares(probe: Probe, wanted: Wanted) -> Course[Mapping[str, float]]:
    """Share of a pass's time by kind of layer; nothing where it cannot be profiled."""
    try:
        profile = yield from probe.profiled(wanted.inputs)
    except Refused:
        return {}
    return {cost.kind: cost.time_share for cost in profile}


def costliest_first(layers: Sequence[LayerFacts], time_shares: Mapping[str, float]) -> list[list[LayerFacts]]:
    """Return layers by kind, those first that take most of the time; where that is not known the largest."""
    kinds: dict[tuple[str, int, int], list[LayerFacts]] = {}
    for layer in layers:
        kinds.setdefault((layer.kind, layer.rows_in, layer.rows_out), []).append(layer)
    return sorted(
        kinds.values(),
        key=lambda kind: (-time_shares.get(kind[0].kind, 0.0), -sum(x.rows_in * x.rows_out for x in kind)),
    )


def _kind_options(
    probe: Probe, wanted: Wanted, kind: Sequence[LayerFacts], reference: Outputs
) -> Course[list[_Option]]:
    """Try each candidate on all layers of a kind; return the layers with the fastest, none where none is faster."""
    best: list[_Option] = []
    for candidate in kind[0].formats:
        if candidate.format not in _FORMATS[wanted.quantization]:
            continue
        plan = tuple(_change(layer, candidate) for layer in kind)
        saved = yield from _saving(probe, wanted, plan)
        if saved > sum(option.saved_seconds for option in best):
            loss = yield from _loss(probe, wanted, plan, reference, len(wanted.inputs))
            best = [_Option(change, saved / len(plan), loss / len(plan)) for change in plan]
    return best


def _saving(probe: Probe, wanted: Wanted, plan: Plan) -> Course[float]:
    """Seconds per batch that a plan saves, by the median of the pairs; 0 where it cannot be built."""
    name = variant_name(plan)
    try:
        yield from probe.build(plan)
    except Refused as refusal:
        if refusal.reason == "MemoryShort":  # says nothing about the plan
            raise
        return 0.0
    base, variant = yield from probe.pairs(name, wanted.inputs, _HOPELESS_PAIRS)
    if speedup_interval(base, variant, 0).value >= _HOPELESS_SPEEDUP:
        base, variant = yield from probe.pairs(name, wanted.inputs, _KIND_PAIRS)
    yield from probe.drop(name)
    return float(np.median(base - variant))


def _loss(probe: Probe, wanted: Wanted, plan: Plan, reference: Outputs, count: int) -> Course[float]:
    """Accuracy lost by a plan on the first `count` inputs."""
    agreement = yield from _agreement(probe, wanted, plan, reference, count)
    return max(0.0, 1.0 - agreement.value)


def _agreement(probe: Probe, wanted: Wanted, plan: Plan, reference: Outputs, count: int) -> Course[Interval]:
    yield from probe.build(plan)
    answers = yield from probe.answers(variant_name(plan), wanted.inputs[:count])
    yield from probe.drop(variant_name(plan))
    return mean_interval(agreement_of_each(wanted.task, reference[:count], answers), 0)


def _with_layer_losses(
    probe: Probe, wanted: Wanted, options: Sequence[_Option], reference: Outputs
) -> Course[list[_Option]]:
    measured: list[_Option] = []
    for option in options:
        if probe.seconds < _LAYER_SECONDS and probe.builds < _MOST_BUILDS:
            loss = yield from _loss(probe, wanted, (option.change,), reference, _LAYER_INPUTS)
            measured.append(_Option(option.change, option.saved_seconds, loss))
        else:
            measured.append(option)
    return measured


def _longest(
    probe: Probe, wanted: Wanted, options: Sequence[_Option], reference: Outputs
) -> Course[tuple[Plan, Interval]]:
    """Bisect for the most of the options, from the best on, that keep the accuracy on all inputs of the search."""
    target = wanted.min_accuracy + _SEARCH_MARGIN * (1.0 - wanted.min_accuracy)
    kept, beyond = 0, len(options) + 1
    found: Interval | None = None
    count = len(options)  # all of them first: often nothing is lost
    lowest = Interval(0.0, 0.0, 0.0)
    while kept + 1 < beyond:
        plan = tuple(option.change for option in options[:count])
        agreement = yield from _agreement(probe, wanted, plan, reference, len(wanted.inputs))
        if agreement.low >= target:
            kept, found = count, agreement
        else:
            beyond, lowest = count, agreement
        count = (kept + beyond) // 2
    if found is None:
        raise Refused("AccuracyTooLow", f"even one layer changed keeps {lowest.low:.4f} only; needed is {target:.4f}")
    return tuple(option.change for option in options[:kept]), found


def timed(probe: Probe, variant: str, inputs: Sequence[CapturedInput]) -> Course[Interval]:
    """Time a variant against the original until the interval says which is faster, or for the most pairs."""
    base, other = yield from probe.pairs(variant, inputs, _FINAL_PAIRS)
    while (speedup := speedup_interval(base, other, 0)).low <= 1.0 <= speedup.high and len(base) < _MOST_FINAL_PAIRS:
        more_base, more_other = yield from probe.pairs(variant, inputs, _FINAL_PAIRS)
        base, other = np.concatenate([base, more_base]), np.concatenate([other, more_other])
    return speedup


def _change(layer: LayerFacts, candidate: Candidate) -> LayerChange:
    return LayerChange(layer.name, candidate.format, candidate.backend)
