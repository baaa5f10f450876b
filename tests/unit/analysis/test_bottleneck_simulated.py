"""What limits simulated servers whose truth is known: the resource of which a fifth more raises the capacity most.

Run with `-rP` to see the confusion table.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

from fakes.limiting import named
from fakes.llm_server import RESOURCES, Scene, scene, scenes

from trimtab_api.findings import BottleneckKind
from trimtab_operator.model.signals import Reading, Signal
from trimtab_operator.model.snapshot import Snapshot

SURE = 0.8
PARTS_OF_GPU = {Signal.GPU_DRAM_ACTIVE_RATIO, Signal.GPU_TENSOR_ACTIVE_RATIO, Signal.GPU_THROTTLED}
AS_THEY_COME = range(1_000_000, 1_000_600)


@cache
def known() -> tuple[Scene, ...]:
    return tuple(scenes())


def confusion(pairs: Counter[tuple[BottleneckKind, BottleneckKind]]) -> str:
    columns = sorted({said for _, said in pairs})
    lines = ["truth \\ named".ljust(16) + "".join(each.rjust(16) for each in columns)]
    lines += [f"{truth:16}" + "".join(f"{pairs[truth, said]:16}" for said in columns) for truth in RESOURCES]
    return "\n".join(lines)


def test_nine_of_ten_are_named_right_and_none_is_wrong_that_is_said_to_be_sure() -> None:
    found = [(each.truth, named(each.snapshot)) for each in known()]
    right = sum(truth is said.kind for truth, said in found)
    sure = [(truth, said) for truth, said in found if said.confidence >= SURE]
    print(confusion(Counter((truth, said.kind) for truth, said in found)))
    print(f"right: {right} of {len(found)} ({right / len(found):.1%}); sure: {len(sure)}")
    second = sum(truth in (said.kind, said.runner_up) for truth, said in found)
    print(f"named first or as the runner-up: {second} of {len(found)} ({second / len(found):.1%})")
    assert len(found) >= 300
    assert right >= 0.9 * len(found)
    assert [(truth, said.kind) for truth, said in sure if truth is not said.kind] == []


def test_half_of_what_is_named_right_is_said_to_be_sure() -> None:
    right = [said.confidence for each in known() if (said := named(each.snapshot)).kind is each.truth]
    assert sum(confidence >= SURE for confidence in right) >= 0.5 * len(right)


def test_servers_as_they_come_are_named_as_well_as_those_of_which_each_truth_has_its_share() -> None:
    drawn = [found for seed in AS_THEY_COME if (found := scene(seed)) is not None]
    said = [(each.truth, named(each.snapshot)) for each in drawn]
    right = sum(truth is found.kind for truth, found in said)
    print(confusion(Counter((truth, found.kind) for truth, found in said)))
    print(f"right: {right} of {len(said)} ({right / len(said):.1%}), of {len(AS_THEY_COME)} drawn")
    sure = [truth is found.kind for truth, found in said if found.confidence >= SURE]
    print(f"sure: {len(sure)}, {sure.count(False)} of them wrong")
    assert sure.count(False) == 0
    assert right >= 0.9 * len(said)


def test_where_the_parts_of_a_gpu_are_not_told_apart_nothing_wrong_is_said_to_be_sure() -> None:
    blind = [
        (each.truth, named(replace(each.snapshot, readings=without(each.snapshot, PARTS_OF_GPU)))) for each in known()
    ]
    print(confusion(Counter((truth, said.kind) for truth, said in blind)))
    wrong = [(truth, said.kind) for truth, said in blind if said.confidence >= SURE and said.kind is not truth]
    assert wrong == []


def without(snapshot: Snapshot, signals: set[Signal]) -> dict[Signal, Reading]:
    return {signal: reading for signal, reading in snapshot.readings.items() if signal not in signals}
