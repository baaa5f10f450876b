"""What to try next: one candidate, or why nothing is tried now. Gates are small rules; the first that holds says why.

A search is all trials since the baseline was taken; it ends when its budget is spent or no candidate is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import Phase
from trimtab_api.trial import TrialDesign
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.tunable import has_knobs
from trimtab_operator.decision.candidates import Candidate, ranked_candidates
from trimtab_operator.decision.design import first_testable
from trimtab_operator.decision.engines import attachable_pods, common_settings, engine_refusal, unattached
from trimtab_operator.decision.ground import Ground, Held
from trimtab_operator.decision.permission import refusal
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.snapshot import Pod, Snapshot, Target

_TOO_EARLY = (Phase.UNKNOWN, Phase.DISCOVERY)


@dataclass(frozen=True)
class TrialProposal:
    """A candidate and how it is tried, the settings that every engine runs with now, and the pods that take part."""

    candidate: Candidate
    design: TrialDesign
    current: EngineSettings
    pods: tuple[Pod, ...]


@dataclass(frozen=True)
class SurgeWish:
    """One replica more is wished for, on which a candidate is to be tried; `why` is the sentence that says which."""

    why: str


def strategize(
    snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy, target: Target
) -> TrialProposal | SurgeWish | Held:
    """Return the candidate that is most worth a trial, one more replica for it, or why none is made now. Pure."""
    ground = Ground(snapshot, analysis, policy, target)
    for gate in GATES:
        held = gate(ground)
        if held is not None:
            return held
    current = common_settings(snapshot, target)
    if current is None:
        why = engine_refusal(snapshot, target)
        return "SettingsDiffer", f"the engines do not run with the same settings yet{'' if why is None else f': {why}'}"
    ranked = ranked_candidates(snapshot, analysis, policy, current, ground.search)
    if not ranked:
        least = policy.spec.trial.min_effect
        return "SearchEnded", f"no change is expected to bring {least} (trial.minEffect) any more"
    found = first_testable(ranked, ground)
    if isinstance(found, tuple):
        return found
    if found.design is TrialDesign.SURGE and ground.surge is None:
        return SurgeWish(f"{found.candidate.change_summary} is to be tried on one replica more, beside what serves now")
    return TrialProposal(found.candidate, found.design, current, ground.pods)


def _no_knobs(ground: Ground) -> Held | None:
    if has_knobs(ground.policy, ground.target):
        return None
    return "NoKnobs", "no knob of this runtime may be turned: see spec.knobs"


def _not_permitted(ground: Ground) -> Held | None:
    return refusal(ground.snapshot, ground.target, ground.analysis, ground.policy, up=False)


def _asked_back(ground: Ground) -> Held | None:
    wanted = ground.policy.spec.rollback_to
    if wanted is None:
        return None
    return "RolledBackByUser", f"spec.rollbackTo holds the settings of trial {wanted}; remove it to go on trying"


def _not_measured(ground: Ground) -> Held | None:
    if not ground.analysis.trust.trusted:
        return "MetricsUntrusted", ground.analysis.trust.message
    early = ground.policy.status.phase in _TOO_EARLY or ground.policy.status.baseline is None
    if early or ground.analysis.drift is not None or ground.analysis.bottleneck is None:
        return "Baseline", "what is normal, and what limits it, is not known yet"
    scrape = ground.snapshot.scrape_interval_seconds
    short = None if scrape is None else trial_time.too_short(ground.policy.spec.trial, scrape)
    return None if short is None else ("TrialWindowTooShort", short)


def _unsettled(ground: Ground) -> Held | None:
    target = ground.target
    if ground.policy.status.intent is not None or target.rolling_out or len(target.ready_pods) < target.replicas:
        return "RolloutInProgress", "replicas are being changed"
    return None


def _not_attached(ground: Ground) -> Held | None:
    pods = attachable_pods(ground.target)
    if not pods:
        return "NoTokenVolume", "no pod mounts a token for its node's agent: see docs/how-to/attach-engine.md"
    missing = unattached(ground.snapshot, ground.target)
    if missing:
        return "Attaching", f"the engine of pod {missing[0].name} has not asked its node's agent for settings yet"
    return None


def _spent(ground: Ground) -> Held | None:
    rules, search = ground.policy.spec.trial, ground.search
    if len(search) >= rules.max_trials:
        return "SearchEnded", f"all {rules.max_trials} trials of this search (trial.maxTrials) are done"
    violating = sum(trial.status.violations > 0 for trial in search)
    if violating and violating >= rules.max_violating_trials:
        return "SearchEnded", f"{violating} trials breached a guard (trial.maxViolatingTrials)"
    return None


GATES: tuple[Callable[[Ground], Held | None], ...] = (
    _not_permitted,
    _asked_back,
    _no_knobs,
    _not_attached,
    _not_measured,
    _unsettled,
    _spent,
)
