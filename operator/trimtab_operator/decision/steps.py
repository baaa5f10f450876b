"""The steps of each knob from where it stands, with what each is expected to bring. One rule set for each knob."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import BatchingRule, EngineSettings
from trimtab_api.findings import BottleneckKind
from trimtab_operator.decision import expectation
from trimtab_operator.decision.expectation import Expectation
from trimtab_operator.decision.facts import Facts
from trimtab_operator.decision.knob_space import KnobRange
from trimtab_operator.decision.knob_values import Value, value_of

FULL = 0.7  # a mean batch of this part of the cap means that the cap cuts batches
FIRST_CACHE_BYTES = 16 * 2**20
CACHE_GROWTH = 4.0
BATCH_GROWTH = (8.0, 2.0)
DELAY_STEP_SECONDS = 0.005
_SHORTER_PASS = Expectation(*expectation.SHORTER_PASS_LATENCY)


@dataclass(frozen=True)
class KnobStep:
    """One step of a knob: values in its unit, expected relative changes, and why in a few words."""

    knob: Knob
    at: Value
    to: Value
    why: str
    capacity: Expectation
    latency: Expectation | None = None

    @property
    def gain(self) -> float:
        """The expected relative improvement of what the step is for."""
        return self.capacity.effect if self.latency is None else -self.latency.effect


def steps(knob: Knob, current: EngineSettings, bounds: KnobRange, facts: Facts) -> Iterator[KnobStep]:
    """Yield the steps of a knob from where it stands, inside its bounds; a step may lead nowhere.

    None where it is not known how it stands.
    """
    at = value_of(current, knob)
    if isinstance(at, float | int):
        yield from _RULES[knob](at, bounds, facts, current)


def _batch(at: float, bounds: KnobRange, facts: Facts, _: EngineSettings) -> Iterator[KnobStep]:
    knob = Knob.MAX_BATCH_SIZE
    if at <= 1.0 or (facts.mean_batch is not None and facts.mean_batch >= FULL * at):
        for growth in BATCH_GROWTH:
            to = bounds.nearest(at * growth)
            yield KnobStep(knob, at, to, "batches are as large as they may be", expectation.of_batch(at, to))
    if facts.seeks_latency and at > 1.0:
        to = bounds.nearest(max(1.0, at // 2.0))
        why = "smaller batches are done sooner"
        yield KnobStep(knob, at, to, why, expectation.of_batch(at, to), expectation.of_pass(at, to))


def fuller_batches(facts: Facts, current: EngineSettings) -> Expectation | None:
    """Return what somewhat fuller batches would bring; None where no requests wait, or batches are full as it is."""
    mean, cap, limit = facts.mean_batch, current.max_batch_size, facts.bottleneck
    queues = limit is not None and limit.kind is BottleneckKind.QUEUE
    if queues and mean is not None and cap is not None and 1.0 <= mean < FULL * cap:
        return expectation.of_batch(mean, min(cap, mean * expectation.LONGER_WAIT_FILLS))
    return None


def _delay(at: float, bounds: KnobRange, facts: Facts, current: EngineSettings) -> Iterator[KnobStep]:
    knob, fuller = Knob.MAX_QUEUE_DELAY, fuller_batches(facts, current)
    if current.batching is BatchingRule.ADAPTIVE:
        return  # the engine decides how long it waits
    if fuller is not None:
        for to in (at * 2.0, at + DELAY_STEP_SECONDS):
            yield KnobStep(knob, at, bounds.nearest(to), "requests wait, and batches are not full", fuller)
    if facts.seeks_latency:
        sooner = Expectation(*expectation.SHORTER_WAIT_LATENCY)
        for to in (at / 2.0, 0.0):
            why = "a batch that does not wait is done sooner"
            yield KnobStep(knob, at, bounds.nearest(to), why, expectation.NO_CHANGE, sooner)


def _tokens(at: float, bounds: KnobRange, facts: Facts, current: EngineSettings) -> Iterator[KnobStep]:
    """0 is no limit: the first one is the largest that is allowed."""
    knob, fuller = Knob.MAX_BATCH_TOKENS, fuller_batches(facts, current)
    if facts.seeks_latency:
        to = bounds.nearest(at // 2.0) if at > 0.0 else bounds.high
        yield KnobStep(knob, at, to, "a pass of fewer tokens is done sooner", expectation.NO_CHANGE, _SHORTER_PASS)
    elif at > 0.0 and fuller is not None:
        yield KnobStep(knob, at, bounds.nearest(at * 2.0), "requests wait, and tokens may cut batches", fuller)


def _target(at: float, bounds: KnobRange, facts: Facts, current: EngineSettings) -> Iterator[KnobStep]:
    knob, fuller = Knob.LATENCY_TARGET, fuller_batches(facts, current)
    if current.batching is not BatchingRule.ADAPTIVE:
        return  # nobody keeps to it
    if facts.seeks_latency:
        to = bounds.nearest(at / 2.0)
        yield KnobStep(knob, at, to, "shorter passes are done sooner", expectation.NO_CHANGE, _SHORTER_PASS)
    elif fuller is not None:
        yield KnobStep(knob, at, bounds.nearest(at * 2.0), "requests wait, and the target may cut batches", fuller)


def _cache(at: float, bounds: KnobRange, facts: Facts, _: EngineSettings) -> Iterator[KnobStep]:
    knob, repeats, hits = Knob.CACHE_MEMORY, facts.repeat_share, facts.hit_share
    if at <= 0.0:
        seen = "inputs may repeat" if repeats is None else f"{repeats:.0%} of inputs were seen before"
        to = bounds.nearest(FIRST_CACHE_BYTES)
        yield KnobStep(knob, at, to, f"the cache is off and {seen}", expectation.of_cache(repeats))
    elif repeats is not None and hits is not None and hits < repeats:
        why = f"the cache answers {hits:.0%} of inputs, and {repeats:.0%} were seen before"
        missed = (repeats - hits) / (1.0 - hits)
        yield KnobStep(knob, at, bounds.nearest(at * CACHE_GROWTH), why, expectation.of_cache(missed))


_RULES: dict[Knob, Callable[[float, KnobRange, Facts, EngineSettings], Iterator[KnobStep]]] = {
    Knob.MAX_BATCH_SIZE: _batch,
    Knob.MAX_QUEUE_DELAY: _delay,
    Knob.MAX_BATCH_TOKENS: _tokens,
    Knob.LATENCY_TARGET: _target,
    Knob.CACHE_MEMORY: _cache,
}
