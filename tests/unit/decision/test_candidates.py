"""Which change is tried next: the room for it, what physics expects, and the order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import a_pod, a_policy, a_reading, a_series, a_snapshot, a_target, a_trial, an_engine
from hypothesis import given
from hypothesis import strategies as st

from trimtab_api.engine_knobs import ENGINE_KNOBS, Knob
from trimtab_api.engine_settings import BatchingRule, EngineSettings, Eviction, Quantization
from trimtab_api.findings import BottleneckKind, Measure
from trimtab_api.knobs import Knobs
from trimtab_api.policy_spec import Goal
from trimtab_api.trial import OptimizationTrial
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision import expectation
from trimtab_operator.decision.candidates import Candidate, candidates, ranked_candidates
from trimtab_operator.decision.choices import choice_steps
from trimtab_operator.decision.facts import Facts, facts_of
from trimtab_operator.decision.knob_space import KnobRange, KnobSpace, knob_space, knob_words
from trimtab_operator.decision.knob_values import value_of, with_value
from trimtab_operator.decision.steps import steps
from trimtab_operator.model.analysis import Bottleneck
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import TargetProblem
from trimtab_operator.runtimes.trimtab import TRIMTAB
from trimtab_operator.runtimes.vllm import VLLM

TOKENS, TARGET = Knob.MAX_BATCH_TOKENS, Knob.LATENCY_TARGET
BATCH, DELAY, CACHE = Knob.MAX_BATCH_SIZE, Knob.MAX_QUEUE_DELAY, Knob.CACHE_MEMORY
SAFE = knob_space(None, TRIMTAB)
COMPUTE = Bottleneck(BottleneckKind.COMPUTE, 0.8, ())
QUEUE = Bottleneck(BottleneckKind.QUEUE, 0.8, ())
FACTS = Facts(
    goal=Goal.MINIMIZE_COST,
    bottleneck=COMPUTE,
    mean_batch=1.0,
    repeat_share=None,
    hit_share=None,
    latency_violated=False,
    saturated=True,
    min_effect=0.05,
)
LATENCY_SEARCH = replace(FACTS, goal=Goal.MINIMIZE_LATENCY, latency_violated=True, saturated=False, bottleneck=None)


def current(batch: int | None = 1, delay: str | None = "5ms", cache: str | None = "0") -> EngineSettings:
    return EngineSettings(max_batch_size=batch, max_queue_delay=delay, cache_memory=cache)


def found(settings: EngineSettings, space: KnobSpace = SAFE, **facts: Any) -> list[str]:
    return [each.change_summary for each in candidates(space, settings, replace(FACTS, **facts))]


def asked(**knobs: Any) -> Knobs:
    return Knobs.model_validate(knobs)


def test_without_a_word_of_the_policy_the_runtimes_safe_set_may_be_turned() -> None:
    assert dict(SAFE) == {BATCH: KnobRange(1, 64), DELAY: KnobRange(0.0, 0.02), CACHE: KnobRange(0, 64 * 2**20)}


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        pytest.param(asked(), {}, id="nothing"),
        pytest.param(asked(batching={}, cache={}), {}, id="empty-blocks"),
        pytest.param(asked(batching={"maxBatchSize": {"min": 4, "max": 512}}), {BATCH: KnobRange(4, 256)}, id="cut"),
        pytest.param(asked(batching={"maxBatchSize": {"min": 300, "max": 512}}), {}, id="outside"),
        pytest.param(asked(batching={"maxQueueDelay": {"max": "50ms"}}), {DELAY: KnobRange(0.0, 0.05)}, id="delay"),
        pytest.param(asked(cache={"memory": {"max": "1Gi"}}), {CACHE: KnobRange(0, 2**30)}, id="cache"),
        pytest.param(
            asked(batching={"maxBatchTokens": {"min": 64, "max": 4096}}), {TOKENS: KnobRange(64, 4096)}, id="tokens"
        ),
        pytest.param(
            asked(batching={"rule": {"allowed": ["Adaptive"]}, "latencyTarget": {"min": "50ms", "max": "2m"}}),
            {TARGET: KnobRange(0.05, 60.0)},
            id="target-cut",
        ),
    ],
)
def test_the_policys_bounds_replace_the_safe_set_inside_of_what_the_engine_takes(
    knobs: Knobs, expected: KnobSpace
) -> None:
    assert knob_space(knobs, TRIMTAB) == expected


@pytest.mark.parametrize("runtime", [VLLM, None])
def test_a_runtime_without_knobs_has_none(runtime: Any) -> None:
    assert knob_space(None, runtime) == {}
    assert knob_space(asked(cache={"memory": {"max": "1Gi"}}), runtime) == {}


def test_at_a_batch_of_one_a_large_step_is_tried_first() -> None:
    best = candidates(SAFE, current(), FACTS)[0]
    assert best.change_summary == "maxBatchSize 1→8"
    assert best.settings == current(batch=8)
    assert (best.change.knob, best.change.from_, best.change.to) == (BATCH, "1", "8")
    assert best.predicted_summary == "throughput +36%"
    assert best.hypothesis == (
        "batches are as large as they may be: maxBatchSize 1 to 8 (bottleneck Compute, confidence 0.80)"
    )
    assert [(each.measure, each.effect, each.low, each.high) for each in best.predicted] == [
        (Measure.THROUGHPUT, "0.356", "0.096", "1.581")
    ]


@pytest.mark.parametrize("kind", [BottleneckKind.MEMORY_BANDWIDTH, BottleneckKind.POWER_THROTTLE, BottleneckKind.CPU])
def test_what_makes_passes_shorter_counts_as_much_whichever_part_of_the_hardware_is_full(kind: BottleneckKind) -> None:
    limited = Bottleneck(kind, 0.8, ())
    scores = [
        [each.score for each in candidates(SAFE, current(), replace(FACTS, bottleneck=limit))]
        for limit in (COMPUTE, limited)
    ]
    assert scores[0] == scores[1] != []


def test_candidates_come_in_the_order_of_their_scores() -> None:
    assert found(current()) == ["maxBatchSize 1→8", "maxBatchSize 1→2", "cacheMemory 0→16Mi"]


@pytest.mark.parametrize(
    ("mean", "batches"),
    [
        pytest.param(8.0, ["maxBatchSize 8→64", "maxBatchSize 8→16"], id="full"),
        pytest.param(5.6, ["maxBatchSize 8→64", "maxBatchSize 8→16"], id="full-enough"),
        pytest.param(5.5, [], id="not-full"),
        pytest.param(None, [], id="not-known"),
    ],
)
def test_a_batch_grows_only_while_it_is_filled(mean: float | None, batches: list[str]) -> None:
    assert found(current(8, cache=None), mean_batch=mean) == batches


def test_steps_stop_at_the_bounds_and_a_step_that_leads_nowhere_is_none() -> None:
    narrow = {BATCH: KnobRange(1, 4)}
    assert found(current(), narrow) == ["maxBatchSize 1→4", "maxBatchSize 1→2"]
    assert found(current(4), narrow, mean_batch=4.0) == []
    assert found(current(8), narrow, mean_batch=8.0) == []


def test_what_was_tried_in_this_search_is_not_tried_again() -> None:
    tried = frozenset({(BATCH, "1", "8"), (CACHE, "0", "16Mi")})
    assert found(current(), tried=tried) == ["maxBatchSize 1→2"]


def test_a_setting_that_is_not_known_is_left_alone() -> None:
    assert found(current(None, None, None)) == []


WIDE: KnobSpace = {DELAY: KnobRange(0.0, 0.02), TOKENS: KnobRange(512, 4096), TARGET: KnobRange(0.02, 0.5)}
QUEUING = {"bottleneck": QUEUE, "mean_batch": 2.0}
SEEKING = {
    "goal": Goal.MINIMIZE_LATENCY,
    "latency_violated": True,
    "saturated": False,
    "bottleneck": None,
    "mean_batch": 8.0,
}


def filling(facts: dict[str, Any], words: tuple[str, ...] = ("Manual", "Adaptive"), **settings: Any) -> list[str]:
    standing = {"max_batch_size": 8, "max_queue_delay": "0ms", "max_batch_tokens": 0, "batching": "Manual"}
    settings = {**standing, "latency_target": "100ms", **settings}
    chosen = candidates(WIDE, EngineSettings(**settings), replace(FACTS, **facts), {Knob.BATCHING: words})
    return sorted(each.change_summary for each in chosen)


def test_where_latency_is_sought_passes_are_made_shorter_or_the_engine_is_left_to_learn_them() -> None:
    assert filling(SEEKING) == ["batching Manual→Adaptive", "maxBatchTokens 0→4096"]
    assert filling(SEEKING, max_batch_tokens=4096) == ["batching Manual→Adaptive", "maxBatchTokens 4096→2048"]
    assert filling(SEEKING, ("Manual",), max_batch_tokens=512) == []
    assert filling(SEEKING, batching="Adaptive") == ["latencyTarget 100ms→50ms", "maxBatchTokens 0→4096"]
    assert filling(SEEKING, batching="Adaptive", latency_target="20ms", max_batch_tokens=512) == []


def test_where_requests_wait_for_batches_that_are_not_full_what_cuts_them_is_loosened() -> None:
    assert filling(QUEUING) == ["maxQueueDelay 0ms→5ms"]
    assert filling(QUEUING, max_batch_tokens=1024, max_queue_delay="20ms") == ["maxBatchTokens 1024→2048"]
    adaptive = ["batching Adaptive→Manual", "latencyTarget 100ms→200ms"]
    assert filling(QUEUING, batching="Adaptive") == adaptive
    assert filling({**QUEUING, "mean_batch": 7.0}, batching="Adaptive") == []
    assert filling({"bottleneck": COMPUTE}, batching="Adaptive", max_batch_tokens=1024) == []


def test_what_is_tried_of_the_filling_of_batches_is_settings_that_the_api_takes() -> None:
    for facts in (SEEKING, QUEUING):
        standing = EngineSettings(max_batch_size=8, max_batch_tokens=1024, batching=BatchingRule.ADAPTIVE)
        standing = standing.model_copy(update={"latency_target": "100ms"})
        words = {Knob.BATCHING: ("Manual", "Adaptive")}
        for each in candidates(WIDE, standing, replace(FACTS, **facts), words):
            assert EngineSettings.model_validate(each.settings.to_body()) == each.settings


CHOICES = {
    Knob.QUANTIZATION: ("None", "Int8"),
    Knob.VARIANT: ("base", "small"),
    Knob.CACHE_EVICTION: ("Auto", "LRU"),
    Knob.BATCHING: ("Adaptive",),
}
CHOOSING = EngineSettings(cache_memory="16Mi", cache_eviction="Auto", quantization="None", variant="base")
ACCURATE = replace(FACTS, min_accuracy="0.99")


def chosen(settings: EngineSettings = CHOOSING, facts: Facts = ACCURATE) -> list[str]:
    return [each.change_summary for each in candidates({}, settings, facts, CHOICES)]


def test_formats_and_variants_are_tried_but_never_back_to_where_the_model_came_from() -> None:
    assert chosen() == ["quantization None→Int8", "variant base→small"]
    changed = CHOOSING.model_copy(update={"quantization": Quantization.INT8, "variant": "small"})
    assert chosen(changed) == []
    assert chosen(EngineSettings()) == []


def test_a_format_and_another_model_are_not_asked_for_together() -> None:
    assert chosen(CHOOSING.model_copy(update={"quantization": Quantization.INT8})) == []
    assert chosen(CHOOSING.model_copy(update={"variant": "small"})) == []


def test_what_alters_no_answer_and_shows_at_once_is_tried_before_a_format_of_a_little_more_promise() -> None:
    facts = replace(ACCURATE, repeat_share=0.2)
    settings = CHOOSING.model_copy(update={"cache_memory": "0", "max_batch_size": 1})
    tried = [each.change_summary for each in candidates(SAFE, settings, facts, {Knob.QUANTIZATION: ("Int8",)})]
    assert tried == ["maxBatchSize 1→8", "cacheMemory 0→16Mi", "maxBatchSize 1→2", "quantization None→Int8"]
    settings = settings.model_copy(update={"cache_memory": "32Mi", "max_batch_size": 8})
    facts = replace(facts, hit_share=0.11, mean_batch=2.0)
    tried = [each.change_summary for each in candidates(SAFE, settings, facts, {Knob.QUANTIZATION: ("Int8",)})]
    assert tried == ["quantization None→Int8", "cacheMemory 32Mi→64Mi"]


def test_what_changes_answers_goes_with_the_least_agreement_that_the_policy_asks_for() -> None:
    int8 = candidates({}, CHOOSING, ACCURATE, CHOICES)[0]
    assert int8.settings == CHOOSING.model_copy(update={"quantization": Quantization.INT8, "min_accuracy": "0.99"})
    assert EngineSettings.model_validate(int8.settings.to_body()) == int8.settings
    assert [(each.effect, each.low, each.high) for each in int8.predicted] == [("0.25", "-0.1", "1")]


def test_for_latency_a_faster_pass_is_what_a_format_brings() -> None:
    facts = replace(LATENCY_SEARCH, min_accuracy="0.99")
    assert candidates({}, CHOOSING, facts, CHOICES)[0].predicted_summary == "latency -20%"


@pytest.mark.parametrize(
    ("repeats", "hits", "tried"), [(0.5, 0.2, True), (0.5, 0.5, False), (None, 0.2, False), (0.5, None, False)]
)
def test_another_eviction_is_tried_while_the_cache_drops_what_comes_again(
    repeats: float | None, hits: float | None, tried: bool
) -> None:
    facts = replace(ACCURATE, repeat_share=repeats, hit_share=hits)
    assert ("cacheEviction Auto→LRU" in chosen(facts=facts)) is tried
    off = CHOOSING.model_copy(update={"cache_memory": "0"})
    assert "cacheEviction Auto→LRU" not in chosen(off, facts)


@pytest.mark.parametrize(
    ("knobs", "has_accuracy", "expected"),
    [
        (None, True, {}),
        (asked(), True, {}),
        (asked(cache={}), True, {}),
        (asked(quantization={"allowed": ["Int8", "FP8"]}), True, {Knob.QUANTIZATION: ("Int8",)}),
        (asked(quantization={"allowed": ["Int8"]}, variants={"allowed": ["small"]}), False, {}),
        (asked(variants={"allowed": ["small", "tiny"]}), True, {Knob.VARIANT: ("small",)}),
        (asked(cache={"eviction": {"allowed": ["LRU"]}}), False, {Knob.CACHE_EVICTION: ("LRU",)}),
        (asked(batching={"rule": {"allowed": ["Manual", "Adaptive"]}}), False, {Knob.BATCHING: ("Adaptive",)}),
    ],
)
def test_words_are_tried_that_the_policy_allows_and_the_engines_offer(
    knobs: Knobs | None, has_accuracy: bool, expected: dict[Knob, tuple[str, ...]]
) -> None:
    assert knob_words(knobs, CHOICES, has_accuracy=has_accuracy) == expected


def test_a_format_is_the_best_candidate_once_engines_offer_it_and_the_policy_says_how_far() -> None:
    words = {"quantization": ["None", "Int8"]}
    engines = {f"uid-chat-{number}": an_engine(CHOOSING, words=words) for number in range(2)}
    snapshot = a_snapshot(busy=0.97, engines=engines)
    knobs = {"quantization": {"allowed": ["None", "Int8"]}}
    policy = a_policy(knobs=knobs, objectives={"accuracyRatio": {"min": "0.985"}})
    best = ranked_candidates(snapshot, analyze(snapshot, policy), policy, CHOOSING, ())[0]
    assert (best.change_summary, best.settings.min_accuracy) == ("quantization None→Int8", "0.985")
    unlimited = a_policy(knobs=knobs)
    assert ranked_candidates(snapshot, analyze(snapshot, unlimited), unlimited, CHOOSING, ()) == ()


def test_a_format_that_the_machines_cannot_run_is_not_tried() -> None:
    words = {"quantization": ["None", "Int8", "FP8"]}
    engines = {f"uid-chat-{number}": an_engine(CHOOSING, words=words) for number in range(2)}
    policy = a_policy(
        knobs={"quantization": {"allowed": ["Int8", "FP8"]}}, objectives={"accuracyRatio": {"min": "0.98"}}
    )
    change = {"knob": "quantization", "from": "None", "to": "Int8"}
    refused = {"phase": "Finished", "verdict": "FailedToStart", "reason": "quantization Int8: NoFormat: no kernel"}
    trial = a_trial(change=change, status=refused)

    def best(**seen: Any) -> str:
        snapshot = a_snapshot(busy=0.97, engines=engines, **seen)
        found = ranked_candidates(snapshot, analyze(snapshot, policy), policy, CHOOSING, ())
        return found[0].change_summary if found else "none"

    assert best() == "quantization None→Int8"
    assert best(trials=(trial,)) == "none"
    pods = tuple(a_pod(f"chat-{number}", gpus=1) for number in range(2))
    assert best(trials=(trial,), target=a_target(pods=pods)) == "quantization None→FP8"
    assert best(trials=(trial,), target=a_target(template_hash="another")) == "quantization None→Int8"


def test_a_cache_is_worth_what_repeats_say() -> None:
    best = candidates({CACHE: SAFE[CACHE]}, current(), replace(FACTS, repeat_share=0.5))[0]
    assert best.predicted_summary == "throughput +67%"
    assert "50% of inputs were seen before" in best.hypothesis
    assert found(current(), repeat_share=0.9)[0] == "cacheMemory 0→16Mi"
    assert "cacheMemory 0→16Mi" not in found(current(), repeat_share=0.02)


def test_a_cache_stays_inside_its_bound() -> None:
    assert found(current(), {CACHE: KnobRange(0, 2**20)}) == ["cacheMemory 0→1Mi"]


@pytest.mark.parametrize(
    ("repeats", "hits", "grows"),
    [
        pytest.param(0.5, 0.2, True, id="it-answers-less-than-repeats"),
        pytest.param(0.5, 0.5, False, id="it-answers-all-repeats"),
        pytest.param(0.5, 0.49, False, id="a-trial-would-not-show-the-rest"),
        pytest.param(None, 0.2, False, id="repeats-not-known"),
        pytest.param(0.5, None, False, id="hits-not-known"),
    ],
)
def test_a_cache_grows_while_it_misses_what_repeats(repeats: float | None, hits: float | None, grows: bool) -> None:
    made = candidates(SAFE, current(64, cache="16Mi"), replace(FACTS, repeat_share=repeats, hit_share=hits))
    assert [each.change_summary for each in made] == (["cacheMemory 16Mi→64Mi"] if grows else [])
    assert [each.predicted_summary for each in made] == (["throughput +43%"] if grows else [])


def test_where_requests_queue_and_batches_are_small_waiting_longer_is_worth_a_try_but_last() -> None:
    facts: dict[str, Any] = {"bottleneck": QUEUE, "mean_batch": 3.0}
    assert found(current(8), **facts) == ["cacheMemory 0→16Mi", "maxQueueDelay 5ms→10ms"]
    assert found(current(8, "0ms"), {DELAY: SAFE[DELAY]}, **facts) == ["maxQueueDelay 0ms→5ms"]
    assert found(current(8), {DELAY: SAFE[DELAY]}, bottleneck=QUEUE, mean_batch=8.0) == []
    assert found(current(8), {DELAY: SAFE[DELAY]}, bottleneck=QUEUE, mean_batch=None) == []
    assert found(current(None), {DELAY: SAFE[DELAY]}, **facts) == []
    assert found(current(8), {DELAY: SAFE[DELAY]}, bottleneck=None, mean_batch=3.0) == []


def test_for_latency_without_saturation_batches_wait_less_and_get_smaller() -> None:
    names = [each.change_summary for each in candidates(SAFE, current(8, cache=None), LATENCY_SEARCH)]
    assert names == ["maxBatchSize 8→4", "maxQueueDelay 5ms→0ms", "maxQueueDelay 5ms→2ms"]
    halved = candidates(SAFE, current(8, cache=None), LATENCY_SEARCH)[0]
    assert halved.predicted_summary == "latency -47%"
    assert [each.measure for each in halved.predicted] == [Measure.THROUGHPUT, Measure.LATENCY_P95]
    assert float(halved.predicted[0].effect) < 0.0
    assert halved.hypothesis == "smaller batches are done sooner: maxBatchSize 8 to 4"


@pytest.mark.parametrize("facts", [{"goal": Goal.MINIMIZE_COST}, {"latency_violated": False}, {"saturated": True}])
def test_nothing_is_given_up_for_latency_where_it_is_not_sought(facts: dict[str, Any]) -> None:
    not_sought = replace(LATENCY_SEARCH, mean_batch=3.0, **facts)
    assert candidates({BATCH: SAFE[BATCH], DELAY: SAFE[DELAY]}, current(8), not_sought) == ()


def test_the_surer_the_bottleneck_the_less_what_does_not_relieve_it_counts() -> None:
    def score(bottleneck: Bottleneck | None) -> float:
        return candidates({BATCH: SAFE[BATCH]}, current(), replace(FACTS, bottleneck=bottleneck))[0].score

    def of(kind: BottleneckKind, confidence: float) -> float:
        return score(Bottleneck(kind, confidence, ()))

    assert score(None) == of(BottleneckKind.COMPUTE, 0.9) == of(BottleneckKind.QUEUE, 0.9)
    assert of(BottleneckKind.UNDERUSED, 0.9) < of(BottleneckKind.UNDERUSED, 0.5) < score(None)
    assert of(BottleneckKind.GPU_MEMORY, 0.9) < of(BottleneckKind.UNDERUSED, 0.9)


def test_gpu_memory_puts_the_cache_before_larger_batches() -> None:
    full = Bottleneck(BottleneckKind.GPU_MEMORY, 0.95, ())
    assert found(current(), bottleneck=full, repeat_share=0.3)[0] == "cacheMemory 0→16Mi"


def test_a_full_batch_is_shared_by_its_items() -> None:
    grown = expectation.of_batch(1.0, 8.0)
    assert grown.effect == pytest.approx(1.0 / (0.3 / 8.0 + 0.7) - 1.0)
    assert 0.0 < grown.low < grown.effect < grown.high
    assert expectation.of_cache(1.0).effect == pytest.approx(4.0)
    assert expectation.of_cache(None).low == 0.0


def test_what_a_cache_saves_lies_between_half_of_what_is_expected_and_every_repeat() -> None:
    saved = expectation.of_cache(0.5)
    assert (saved.low, saved.effect, saved.high) == pytest.approx((1 / 0.8 - 1, 1 / 0.6 - 1, 1 / 0.5 - 1))


FILLING = {"bottleneck": QUEUE, "mean_batch": 2.0}
ADAPTIVE = EngineSettings(batching=BatchingRule.ADAPTIVE, latency_target="100ms", max_batch_size=8)
LIMITED = EngineSettings(max_batch_tokens=4096, max_batch_size=8)
WHY_STEPS: list[tuple[str, Knob, EngineSettings, KnobRange, Facts, str]] = [
    ("latency-batch", BATCH, current(8), KnobRange(1, 64), LATENCY_SEARCH, "smaller batches are done sooner"),
    ("delay", DELAY, current(8), KnobRange(0.0, 0.02), replace(FACTS, **FILLING),
     "requests wait, and batches are not full"),
    ("latency-delay", DELAY, current(8), KnobRange(0.0, 0.02), LATENCY_SEARCH,
     "a batch that does not wait is done sooner"),
    ("tokens", TOKENS, LIMITED, KnobRange(64, 2**15), replace(FACTS, **FILLING),
     "requests wait, and tokens may cut batches"),
    ("latency-tokens", TOKENS, LIMITED, KnobRange(64, 2**15), LATENCY_SEARCH, "a pass of fewer tokens is done sooner"),
    ("target", TARGET, ADAPTIVE, KnobRange(0.05, 60.0), replace(FACTS, **FILLING),
     "requests wait, and the target may cut batches"),
    ("latency-target", TARGET, ADAPTIVE, KnobRange(0.05, 60.0), LATENCY_SEARCH, "shorter passes are done sooner"),
    ("cache-unknown", CACHE, current(), KnobRange(0, 2**30), FACTS, "the cache is off and inputs may repeat"),
    ("cache-off", CACHE, current(), KnobRange(0, 2**30), replace(FACTS, repeat_share=0.4),
     "the cache is off and 40% of inputs were seen before"),
    ("cache-small", CACHE, current(cache="16Mi"), KnobRange(0, 2**30), replace(FACTS, repeat_share=0.6, hit_share=0.2),
     "the cache answers 20% of inputs, and 60% were seen before"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("knob", "settings", "bounds", "facts", "why"), [pytest.param(*case[1:], id=case[0]) for case in WHY_STEPS]
)
def test_each_step_of_a_number_says_why(
    knob: Knob, settings: EngineSettings, bounds: KnobRange, facts: Facts, why: str
) -> None:
    assert {step.why for step in steps(knob, settings, bounds, facts)} == {why}


WHY_CHOICES: list[tuple[Knob, str, EngineSettings, Facts, str]] = [
    (Knob.QUANTIZATION, "Int8", EngineSettings(quantization=Quantization.NONE), FACTS,
     "weights of 8 bits take less time and memory"),
    (Knob.VARIANT, "small", EngineSettings(variant="base"), FACTS,
     "another model that the engine declares may take less time"),
    (Knob.CACHE_EVICTION, "S3FIFO", EngineSettings(cache_memory="16Mi", cache_eviction=Eviction.LRU),
     replace(FACTS, repeat_share=0.6, hit_share=0.2), "inputs come again after the cache dropped them"),
    (Knob.BATCHING, "Adaptive", EngineSettings(batching=BatchingRule.MANUAL), LATENCY_SEARCH,
     "the engine learns how long passes take"),
    (Knob.BATCHING, "Manual", ADAPTIVE, replace(FACTS, **FILLING),
     "requests wait, and the engine keeps batches small"),
]  # fmt: skip


@pytest.mark.parametrize(("knob", "word", "settings", "facts", "why"), WHY_CHOICES, ids=[row[4] for row in WHY_CHOICES])
def test_each_step_of_a_choice_says_why(
    knob: Knob, word: str, settings: EngineSettings, facts: Facts, why: str
) -> None:
    assert [step.why for step in choice_steps(knob, (word,), settings, facts)] == [why]


@st.composite
def all_facts(draw: st.DrawFn) -> Facts:
    kind = draw(st.none() | st.sampled_from(BottleneckKind))
    return Facts(
        goal=draw(st.sampled_from(Goal)),
        bottleneck=None if kind is None else Bottleneck(kind, draw(st.floats(0.0, 1.0)), ()),
        mean_batch=draw(st.none() | st.floats(0.0, 300.0)),
        repeat_share=draw(st.none() | st.floats(0.0, 1.0)),
        hit_share=draw(st.none() | st.floats(0.0, 1.0)),
        latency_violated=draw(st.booleans()),
        saturated=draw(st.booleans()),
        min_effect=0.05,
    )


@given(
    batch=st.integers(1, 256),
    delay=st.sampled_from(["0ms", "1ms", "5ms", "20ms", "1s"]),
    cache=st.sampled_from(["0", "1Mi", "16Mi", "64Mi", "1Gi"]),
    facts=all_facts(),
)
def test_every_candidate_is_one_change_inside_the_bounds_and_worth_a_trial(
    batch: int, delay: str, cache: str, facts: Facts
) -> None:
    settings = current(batch, delay, cache)
    made = candidates(SAFE, settings, facts)
    assert made == candidates(dict(reversed(list(SAFE.items()))), settings, facts)
    assert len({(each.change.knob, each.change.to) for each in made}) == len(made)
    for each in made:
        _is_sound(each, settings)


def _is_sound(candidate: Candidate, settings: EngineSettings) -> None:
    knob = candidate.change.knob
    value = value_of(candidate.settings, knob)
    assert isinstance(value, float | int)
    assert SAFE[knob].low <= value <= SAFE[knob].high
    assert ENGINE_KNOBS[knob].low <= value <= ENGINE_KNOBS[knob].high
    before = value_of(settings, knob)
    assert before is not None
    assert with_value(candidate.settings, knob, before) == settings
    assert candidate.change.from_ != candidate.change.to
    assert EngineSettings.model_validate(candidate.settings.to_body()) == candidate.settings
    assert candidate.score > 0.0


def a_trial_of(knob: Knob, before: str, after: str) -> OptimizationTrial:
    return a_trial(change={"knob": knob, "from": before, "to": after})


def test_the_best_candidate_of_a_busy_target_is_a_larger_batch_until_all_is_tried() -> None:
    snapshot, policy = a_snapshot(busy=0.97), a_policy()
    analysis = analyze(snapshot, policy)
    best = ranked_candidates(snapshot, analysis, policy, current(), ())[0]
    assert best.change_summary == "maxBatchSize 1→8"
    search = (a_trial_of(BATCH, "1", "8"), a_trial_of(BATCH, "1", "2"), a_trial_of(CACHE, "0", "16Mi"))
    assert ranked_candidates(snapshot, analysis, policy, current(), search) == ()


def test_a_target_that_is_not_there_has_no_candidate() -> None:
    snapshot = replace(a_snapshot(), target=TargetProblem("TargetNotFound", "gone"))
    policy = a_policy()
    assert ranked_candidates(snapshot, analyze(snapshot, policy), policy, current(), ()) == ()


def test_facts_are_those_of_the_tick() -> None:
    batch = a_reading(Signal.BATCH_SIZE, {"chat-0": 3.0, "chat-1": 5.0})
    repeats = a_reading(Signal.INPUT_REPEAT_RATIO, {"chat-0": 0.3, "chat-1": 0.5})
    readings = {Signal.BATCH_SIZE: batch, Signal.INPUT_REPEAT_RATIO: repeats}
    snapshot = a_snapshot(target=a_target(2), busy=0.95, slow=0.5, readings=readings)
    policy = a_policy(objectives={"latency": {"max": "200ms"}}, goal="MinimizeLatency")
    facts = facts_of(snapshot, analyze(snapshot, policy), policy, (a_trial_of(BATCH, "1", "8"),))
    assert (facts.mean_batch, facts.latency_violated, facts.saturated) == (4.0, True, True)
    assert facts.repeat_share == pytest.approx(0.4)
    assert facts.hit_share is None
    assert (facts.goal, facts.bottleneck) == (Goal.MINIMIZE_LATENCY, analyze(snapshot, policy).bottleneck)
    assert facts.bottleneck is not None
    assert facts.tried == {(BATCH, "1", "8")}
    assert not facts.seeks_latency
    with_series = replace(snapshot, history=snapshot.history | {Signal.BATCH_SIZE: a_series(Signal.BATCH_SIZE, 6.0)})
    assert facts_of(with_series, analyze(snapshot, policy), policy, ()).mean_batch == pytest.approx(6.0)
