"""What trials measured changes what is expected of the next change, and only as far as it is like them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import a_trial

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import EngineSettings, Quantization
from trimtab_api.findings import BottleneckKind
from trimtab_api.policy_spec import Goal
from trimtab_operator.decision.candidates import candidates
from trimtab_operator.decision.expectation import Expectation, of_batch, of_cache
from trimtab_operator.decision.facts import Facts
from trimtab_operator.decision.knob_space import KnobRange
from trimtab_operator.decision.lessons import Lesson, lessons_of
from trimtab_operator.decision.steps import KnobStep
from trimtab_operator.decision.taught import taught
from trimtab_operator.model.analysis import Bottleneck
from trimtab_operator.model.search import Estimate

BATCH, CACHE = Knob.MAX_BATCH_SIZE, Knob.CACHE_MEMORY
POOR = EngineSettings(max_batch_size=1, cache_memory="0", quantization="None")
EIGHT = POOR.model_copy(update={"max_batch_size": 8})
LARGER = KnobStep(BATCH, 8.0, 16.0, "full", of_batch(8.0, 16.0))
FIRST_CACHE = KnobStep(CACHE, 0.0, 16.0 * 2**20, "off", of_cache(0.3))
INT8 = KnobStep(Knob.QUANTIZATION, "None", "Int8", "faster", Expectation(0.25, -0.1, 1.0))


def a_lesson(seen: float, *, sd: float = 0.03, before: EngineSettings = POOR, after: EngineSettings = EIGHT) -> Lesson:
    return Lesson(before, after, expected=0.3, seen=Estimate(seen, sd))


def effect(step: KnobStep, *lessons: Lesson, current: EngineSettings = EIGHT) -> float:
    return taught([step], current, lessons)[0].capacity.effect


def measured(effect: str, low: str, high: str, **status: Any) -> dict[str, Any]:
    row = {"measure": "Throughput", "unit": "ratio", "effect": effect, "low": low, "high": high}
    return {"phase": "Finished", "verdict": "Improved", "observed": [row], **status}


PREDICTED = [{"measure": "Throughput", "effect": "0.356"}]


def test_without_a_trial_nothing_but_physics_is_expected() -> None:
    assert taught([LARGER, FIRST_CACHE], EIGHT, ()) == [LARGER, FIRST_CACHE]


def test_a_knob_that_brought_more_than_expected_is_expected_to_bring_more_again() -> None:
    assert effect(LARGER, a_lesson(0.3)) == pytest.approx(LARGER.capacity.effect, abs=0.02)
    assert effect(LARGER, a_lesson(0.7)) > LARGER.capacity.effect + 0.05
    assert effect(LARGER, a_lesson(0.0)) < LARGER.capacity.effect - 0.05


def test_the_ends_of_a_range_move_with_what_is_expected() -> None:
    before, after = LARGER.capacity, taught([LARGER], EIGHT, [a_lesson(0.7)])[0].capacity
    factor = (1.0 + after.effect) / (1.0 + before.effect)
    assert after.low == pytest.approx(factor * (1.0 + before.low) - 1.0)
    assert after.high == pytest.approx(factor * (1.0 + before.high) - 1.0)


@pytest.mark.parametrize("other", [FIRST_CACHE, INT8], ids=["a number", "a word"])
def test_one_knob_says_less_of_another_than_of_itself(other: KnobStep) -> None:
    lesson = a_lesson(0.7)
    moved = abs(effect(other, lesson) - other.capacity.effect) / (1.0 + other.capacity.effect)
    assert moved < abs(effect(LARGER, lesson) - LARGER.capacity.effect) / (1.0 + LARGER.capacity.effect)


def test_a_trial_that_measured_little_teaches_little() -> None:
    sure, vague = (abs(effect(LARGER, a_lesson(0.7, sd=sd)) - LARGER.capacity.effect) for sd in (0.03, 1.0))
    assert vague < 0.5 * sure


def test_lessons_are_counted_on_from_where_the_first_began() -> None:
    cached = EIGHT.model_copy(update={"cache_memory": "16Mi"})
    steps = [LARGER, INT8]
    both = taught(steps, cached, [a_lesson(0.3), a_lesson(0.3, before=EIGHT, after=cached)])
    assert [each.capacity.effect for each in both] == pytest.approx([each.capacity.effect for each in steps], abs=0.03)


def test_settings_that_no_trial_knows_are_expected_as_physics_says() -> None:
    elsewhere = EngineSettings(max_batch_size=8, cache_memory="1Gi", quantization=Quantization.INT8, variant="small")
    assert effect(LARGER, a_lesson(0.3), current=elsewhere) == pytest.approx(LARGER.capacity.effect, abs=0.02)


def test_what_a_trial_measured_is_its_effect_with_an_error_from_its_interval() -> None:
    (found,) = lessons_of([a_trial(predicted=PREDICTED, status=measured("0.5", "0.3", "0.7"))])
    assert (found.before.max_batch_size, found.after.max_batch_size) == (1, 8)
    assert found.expected == pytest.approx(0.3045, abs=1e-3)
    assert found.seen.log == pytest.approx(0.4055, abs=1e-3)
    assert found.seen.sd == pytest.approx(0.0395, abs=1e-3)


@pytest.mark.parametrize(
    ("predicted", "status"),
    [
        (PREDICTED, measured("0.5", "0.3", "0.7", verdict="NotComparable")),
        (PREDICTED, measured("0.5", "0.3", "0.7", verdict="Unknown", phase="Measuring")),
        (PREDICTED, {"phase": "Finished", "verdict": "Inconclusive"}),
        (PREDICTED, {**measured("0.5", "0.3", "0.7"), "observed": [{"measure": "Throughput", "unit": "ratio"}]}),
        (PREDICTED, measured("0.5", "0.3", "0.7") | {"observed": [{"measure": "Errors", "unit": "ratio"}]}),
        ([], measured("0.5", "0.3", "0.7")),
        ([{"measure": "LatencyP95", "effect": "-0.1"}], measured("0.5", "0.3", "0.7")),
    ],
    ids=[
        "not comparable",
        "running",
        "not measured",
        "no effect",
        "other measure",
        "not predicted",
        "latency predicted",
    ],
)
def test_a_trial_without_a_measured_effect_on_capacity_teaches_nothing(
    predicted: list[dict[str, str]], status: dict[str, Any]
) -> None:
    assert lessons_of([a_trial(predicted=predicted, status=status)]) == ()


def test_an_effect_without_bounds_is_one_that_says_little_and_never_breaks_arithmetic() -> None:
    (found,) = lessons_of([a_trial(predicted=PREDICTED, status=measured("0.5", "-1", "100000"))])
    assert 2.0 < found.seen.sd < 3.0


@pytest.mark.parametrize(
    ("effect", "taught"),
    [("0.8", 1), ("2.0", 0), ("-0.2", 1), ("-0.8", 0)],
    ids=["more", "far more", "less", "far less"],
)
def test_what_is_off_by_more_than_twofold_says_more_of_a_disturbed_pod_than_of_the_knob(
    effect: str, taught: int
) -> None:
    trial = a_trial(predicted=PREDICTED, status=measured(effect, "-0.9", "3.0"))
    assert len(lessons_of([trial])) == taught


def test_lessons_come_in_the_order_of_their_trials() -> None:
    first, second = (
        a_trial(name, predicted=PREDICTED, status=measured(effect, "0", "1"), created=created)
        for name, effect, created in (("chat-1", "0.1", -600.0), ("chat-2", "0.2", -300.0))
    )
    assert [round(each.seen.log, 3) for each in lessons_of([second, first])] == [0.095, 0.182]


def test_a_step_that_trials_make_unlikely_to_help_is_not_tried_and_the_trial_says_what_it_rests_on() -> None:
    facts = Facts(
        goal=Goal.MINIMIZE_COST, bottleneck=Bottleneck(BottleneckKind.COMPUTE, 0.8, ()), mean_batch=8.0,
        repeat_share=None, hit_share=None, latency_violated=False, saturated=True, min_effect=0.05,
    )  # fmt: skip
    space = {BATCH: KnobRange(1, 16)}
    (found,) = candidates(space, EIGHT, replace(facts, min_effect=0.01, lessons=(a_lesson(0.3),)))
    assert found.hypothesis.endswith("(bottleneck Compute, confidence 0.80; trials measured before: 1)")
    assert candidates(space, EIGHT, replace(facts, min_effect=0.01))[0].change == found.change
    assert candidates(space, EIGHT, replace(facts, min_effect=0.01, lessons=(a_lesson(-0.4),))) == ()
    unlimited = replace(facts, min_effect=0.01, bottleneck=None, lessons=(a_lesson(0.3),))
    assert candidates(space, EIGHT, unlimited)[0].hypothesis.endswith("(trials measured before: 1)")
