"""How a change is tried: by what it changes, and by how many pods may be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.builders import CANARY, a_trial

from trimtab_api.engine_knobs import ENGINE_KNOBS, ChangeCost, Knob
from trimtab_api.trial import Change, TrialDesign
from trimtab_operator.decision.candidates import Candidate
from trimtab_operator.decision.design import DesignedCandidate, design_for, first_testable

BATCH = Candidate(a_trial().spec.change, CANARY, "more in one pass", (), "throughput +80%", 0.8)
CACHE = replace(BATCH, change=Change(knob=Knob.CACHE_MEMORY, from_="0", to="16Mi"), score=0.9)
IN_TURNS = {Knob.MAX_BATCH_SIZE, Knob.MAX_QUEUE_DELAY, Knob.MAX_BATCH_TOKENS, Knob.BATCHING, Knob.LATENCY_TARGET}


@pytest.mark.parametrize("pods", [2, 3, 40])
@pytest.mark.parametrize("knob", ENGINE_KNOBS)
def test_where_two_pods_can_be_compared_they_are(knob: Knob, pods: int) -> None:
    assert design_for(knob, pods) is TrialDesign.PAIRED_CANARY


@pytest.mark.parametrize("knob", [knob for knob in ENGINE_KNOBS if knob is not Knob.MIN_ACCURACY])
def test_one_pod_takes_turns_only_with_what_a_switch_leaves_no_trace_of(knob: Knob) -> None:
    assert (design_for(knob, 1) is TrialDesign.SWITCHBACK) is (knob in IN_TURNS)


@pytest.mark.parametrize(
    ("knob", "pods", "why"),
    [
        (Knob.CACHE_MEMORY, 1, "empties or refills its cache"),
        (Knob.CACHE_EVICTION, 1, "empties or refills its cache"),
        (Knob.QUANTIZATION, 1, "takes the engine minutes"),
        (Knob.VARIANT, 1, "takes the engine minutes"),
        (Knob.MAX_BATCH_SIZE, 0, "none can be compared"),
    ],
)
def test_what_cannot_be_tried_says_why(knob: Knob, pods: int, why: str) -> None:
    assert why in design_for(knob, pods)


def test_no_knob_that_takes_the_engine_long_is_switched_to_and_fro() -> None:
    assert all(ENGINE_KNOBS[knob].cost is ChangeCost.HOT for knob in IN_TURNS)


def test_the_best_candidate_is_tried_where_the_pods_allow_it_else_the_next_that_they_allow() -> None:
    assert first_testable((CACHE, BATCH), 2) == DesignedCandidate(CACHE, TrialDesign.PAIRED_CANARY)
    assert first_testable((CACHE, BATCH), 1) == DesignedCandidate(BATCH, TrialDesign.SWITCHBACK)


def test_where_none_can_be_tried_the_reason_is_that_of_the_best() -> None:
    found = first_testable((CACHE,), 1)
    assert isinstance(found, tuple)
    reason, sentence = found
    assert reason == "NeedsTwoReplicas"
    assert sentence.startswith("cacheMemory 0→16Mi is worth a trial, for which two serving pods are needed: one alone")
