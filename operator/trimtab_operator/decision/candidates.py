"""Which single change to try next: enumerated, cut by hard rules, ordered by what each is expected to bring.

score = expected gain, as earlier trials taught, x how much this knob can do about the bottleneck, the less the surer
that is. What the engine must search and check first counts less: it takes minutes in which nothing else is tried, and
alters answers. A change that is expected to bring less than minEffect goes last, and below half of it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from trimtab_api.engine_knobs import ENGINE_KNOBS, ChangeCost, Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.findings import BottleneckKind, Measure
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Goal
from trimtab_api.quantities import format_decimal
from trimtab_api.trial import Change, OptimizationTrial, Prediction
from trimtab_operator.analysis.quality import offered, runnable_formats
from trimtab_operator.decision.choices import choice_steps
from trimtab_operator.decision.expectation import Expectation
from trimtab_operator.decision.facts import Facts, facts_of
from trimtab_operator.decision.knob_space import QUALITY_KNOBS, KnobSpace, KnobWords, knob_space, knob_words
from trimtab_operator.decision.knob_values import with_value, written
from trimtab_operator.decision.steps import KnobStep, steps
from trimtab_operator.decision.taught import taught
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.runtimes.select import RUNTIMES

WORTH_A_TRIAL = 0.5
NO_WORDS: KnobWords = MappingProxyType({})

_OF_FILLING = (Knob.MAX_QUEUE_DELAY, Knob.MAX_BATCH_TOKENS, Knob.BATCHING, Knob.LATENCY_TARGET)
"""The knobs that decide how full batches become within their size."""

_RELIEF = {
    BottleneckKind.QUEUE: {Knob.MAX_BATCH_SIZE: 1.0, Knob.CACHE_MEMORY: 1.0, **dict.fromkeys(_OF_FILLING, 0.5)},
    BottleneckKind.COMPUTE: {Knob.MAX_BATCH_SIZE: 1.0, Knob.CACHE_MEMORY: 1.0},
    BottleneckKind.CPU: {Knob.MAX_BATCH_SIZE: 1.0, Knob.CACHE_MEMORY: 1.0},
    BottleneckKind.MEMORY_BANDWIDTH: {Knob.MAX_BATCH_SIZE: 1.0, Knob.CACHE_MEMORY: 1.0},
    BottleneckKind.POWER_THROTTLE: {Knob.MAX_BATCH_SIZE: 1.0, Knob.CACHE_MEMORY: 1.0},
    BottleneckKind.GPU_MEMORY: {Knob.MAX_BATCH_SIZE: 0.1, Knob.CACHE_MEMORY: 0.8},
}
"""How much of a bottleneck each knob can relieve, 0 to 1."""
_OF_MODEL = 0.9  # a model that takes less time relieves whatever its passes limit
_LITTLE = 0.3  # any other knob, and every knob where nothing much limits
_WAIT = 0.6  # what a gain counts that comes minutes later than others


@dataclass(frozen=True)
class Candidate:
    """One change worth a trial: `settings` are complete, `score` orders it among the others."""

    change: Change
    settings: EngineSettings
    hypothesis: str
    predicted: tuple[Prediction, ...]
    predicted_summary: str
    score: float

    @property
    def change_summary(self) -> str:
        """The change in a few words, such as `maxBatchSize 1→8`."""
        return f"{self.change.knob} {self.change.from_}→{self.change.to}"


def ranked_candidates(
    snapshot: Snapshot,
    analysis: Analysis,
    policy: OptimizationPolicy,
    current: EngineSettings,
    search: tuple[OptimizationTrial, ...],
) -> tuple[Candidate, ...]:
    """Return the changes worth a trial of this policy, best first. `search`: what was tried already."""
    runtime = None if isinstance(snapshot.target, TargetProblem) else RUNTIMES.get(snapshot.target.runtime)
    facts = facts_of(snapshot, analysis, policy, search)
    offers = {knob: offered(snapshot, knob) for knob in ENGINE_KNOBS} | {Knob.QUANTIZATION: runnable_formats(snapshot)}
    words = knob_words(policy.spec.knobs, offers, has_accuracy=facts.min_accuracy is not None)
    return candidates(knob_space(policy.spec.knobs, runtime), current, facts, words)


def candidates(
    space: KnobSpace, current: EngineSettings, facts: Facts, words: KnobWords = NO_WORDS
) -> tuple[Candidate, ...]:
    """Return the changes worth a trial, best first; equal inputs give the same order.

    `current` are the settings in force; a knob that is absent there is not known, and is left alone.
    """
    found: dict[tuple[Knob, str], tuple[KnobStep, Candidate]] = {}
    for step in taught(list(_allowed(space, words, current, facts)), current, facts.lessons):
        candidate = _candidate(step, current, facts)
        key = (step.knob, candidate.change.to)
        if key not in found and (step.knob, candidate.change.from_, candidate.change.to) not in facts.tried:
            found[key] = (step, candidate)
    kept = [each for each in found.values() if each[0].gain >= WORTH_A_TRIAL * facts.min_effect]
    kept.sort(key=lambda each: (each[0].gain < facts.min_effect, -each[1].score, each[0].knob.value, _order(each[0])))
    return tuple(candidate for _, candidate in kept)


def _order(step: KnobStep) -> tuple[float, str]:
    """Smaller numbers first, words by name."""
    return (0.0, step.to) if isinstance(step.to, str) else (step.to, "")


def _allowed(space: KnobSpace, words: KnobWords, current: EngineSettings, facts: Facts) -> Iterator[KnobStep]:
    for knob, choices in words.items():
        yield from choice_steps(knob, choices, current, facts)
    for knob, bounds in space.items():
        for step in steps(knob, current, bounds, facts):
            if written(knob, step.to) != written(knob, step.at):
                yield step


def _candidate(step: KnobStep, current: EngineSettings, facts: Facts) -> Candidate:
    before, after = written(step.knob, step.at), written(step.knob, step.to)
    predicted = [_prediction(Measure.THROUGHPUT, step.capacity)]
    if step.latency is not None:
        predicted.append(_prediction(Measure.LATENCY_P95, step.latency))
    shown = step.capacity if step.latency is None else step.latency
    return Candidate(
        change=Change(knob=step.knob, from_=before, to=after),
        settings=_settings(step, current, facts),
        hypothesis=f"{step.why}: {step.knob} {before} to {after}{_grounds(facts)}",
        predicted=tuple(predicted),
        predicted_summary=f"{'throughput' if step.latency is None else 'latency'} {shown.effect:+.0%}",
        score=step.gain * _relief(step.knob, facts) * _pace(step.knob),
    )


def _settings(step: KnobStep, current: EngineSettings, facts: Facts) -> EngineSettings:
    """Return the complete settings; what changes answers goes with the least agreement that the policy asks for."""
    changed = with_value(current, step.knob, step.to)
    return changed.model_copy(update={"min_accuracy": facts.min_accuracy}) if step.knob in QUALITY_KNOBS else changed


def _grounds(facts: Facts) -> str:
    found, taught_by = facts.bottleneck, len(facts.lessons)
    limit = [] if found is None else [f"bottleneck {found.kind}, confidence {found.confidence:.2f}"]
    trials = [f"trials measured before: {taught_by}"] if taught_by else []
    return f" ({'; '.join([*limit, *trials])})" if limit or trials else ""


def _relief(knob: Knob, facts: Facts) -> float:
    found = facts.bottleneck
    if found is None or facts.goal is Goal.MINIMIZE_LATENCY:
        return 1.0
    least = _OF_MODEL if knob in QUALITY_KNOBS and found.kind in _RELIEF else _LITTLE
    relief = _RELIEF.get(found.kind, {}).get(knob, least)
    return 1.0 - found.confidence * (1.0 - relief)


def _pace(knob: Knob) -> float:
    return 1.0 if ENGINE_KNOBS[knob].cost is ChangeCost.HOT else _WAIT


def _prediction(measure: Measure, expected: Expectation) -> Prediction:
    effect, low, high = (format_decimal(each, 3) for each in (expected.effect, expected.low, expected.high))
    return Prediction(measure=measure, effect=effect, low=low, high=high)
