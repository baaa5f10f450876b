"""What is known of the target when a change is chosen."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_api.engine_knobs import Knob
from trimtab_api.objectives import ObjectiveName
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Goal
from trimtab_api.quantities import parse_ratio
from trimtab_api.trial import OptimizationTrial
from trimtab_operator.analysis import pods
from trimtab_operator.decision.lessons import Lesson, lessons_of
from trimtab_operator.model.analysis import Analysis, Attainment, Bottleneck
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot

SATURATED = 0.8
_LATENCIES = (ObjectiveName.LATENCY, ObjectiveName.SATISFACTION_RATIO)


@dataclass(frozen=True)
class Facts:
    """What the rules of the knobs look at.

    `mean_batch` in items, `repeat_share` of inputs that were seen before and `hit_share` of those that the cache
    answered (0 to 1): each None where it is not measured. `tried` are the (knob, from, to) of this search, as the API
    writes values, and `lessons` what its trials measured.
    """

    goal: Goal
    bottleneck: Bottleneck | None
    mean_batch: float | None
    repeat_share: float | None
    hit_share: float | None
    latency_violated: bool
    saturated: bool
    min_effect: float
    min_accuracy: str | None = None  # objectives.accuracyRatio.min
    tried: frozenset[tuple[Knob, str, str]] = frozenset()
    lessons: tuple[Lesson, ...] = ()

    @property
    def seeks_latency(self) -> bool:
        """Whether shorter latency is what a trial would be judged by, and load is not what makes it long."""
        return self.goal is Goal.MINIMIZE_LATENCY and self.latency_violated and not self.saturated


def facts_of(
    snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy, search: tuple[OptimizationTrial, ...]
) -> Facts:
    """Gather the facts of this tick; `search` are the trials whose changes are not tried again."""
    violated = {each.name for each in analysis.objectives if each.attainment is Attainment.VIOLATED}
    objectives = policy.spec.objectives
    return Facts(
        goal=policy.spec.goal,
        bottleneck=analysis.bottleneck,
        mean_batch=pods.recent(snapshot, Signal.BATCH_SIZE),
        repeat_share=_share(snapshot, Signal.INPUT_REPEAT_RATIO),
        hit_share=_share(snapshot, Signal.CACHE_HIT_RATIO),
        latency_violated=not violated.isdisjoint(_LATENCIES),
        saturated=analysis.capacity is not None and analysis.capacity.utilization_ratio >= SATURATED,
        min_effect=parse_ratio(policy.spec.trial.min_effect),
        min_accuracy=objectives.accuracy_ratio.min if objectives and objectives.accuracy_ratio else None,
        tried=frozenset((each.spec.change.knob, each.spec.change.from_, each.spec.change.to) for each in search),
        lessons=lessons_of(search),
    )


def _share(snapshot: Snapshot, signal: Signal) -> float | None:
    found = pods.recent(snapshot, signal)
    return None if found is None else min(1.0, max(0.0, found))
