"""What to try next: one candidate, or why nothing is tried now. Gates are small rules; the first that holds says why.

A search is all trials since the baseline was taken; it ends when its budget is spent or no candidate is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import Phase
from trimtab_api.trial import OptimizationTrial, TrialDesign
from trimtab_operator.analysis import pods, switch_schedule, trial_time
from trimtab_operator.analysis.trust import interval_seconds
from trimtab_operator.analysis.tunable import has_knobs
from trimtab_operator.decision.candidates import Candidate, ranked_candidates
from trimtab_operator.decision.design import FEWEST_PAIRED_PODS, first_testable
from trimtab_operator.decision.engines import attachable_pods, common_settings, engine_refusal, trial_pods, unattached
from trimtab_operator.decision.permission import refusal
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Pod, Snapshot, Target

_TOO_EARLY = (Phase.UNKNOWN, Phase.DISCOVERY)

Held = tuple[str, str]
"""(reason, sentence)"""


@dataclass(frozen=True)
class TrialProposal:
    """A candidate and how it is tried, the settings that every engine runs with now, and the pods that take part."""

    candidate: Candidate
    design: TrialDesign
    current: EngineSettings
    pods: tuple[Pod, ...]


@dataclass(frozen=True)
class Ground:
    """What the gates look at."""

    snapshot: Snapshot
    analysis: Analysis
    policy: OptimizationPolicy
    target: Target

    @property
    def search(self) -> tuple[OptimizationTrial, ...]:
        """The trials since the baseline was taken."""
        return search_of(self.policy, self.snapshot.trials)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that a trial may compare."""
        return trial_pods(self.target, self.analysis.worse_pods)

    @property
    def by_turns(self) -> bool:
        """Whether there are too few pods to compare one with another."""
        return len(self.pods) < FEWEST_PAIRED_PODS


def strategize(
    snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy, target: Target
) -> TrialProposal | Held:
    """Return the candidate that is most worth a trial, or why none is made now. Pure."""
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
    found = first_testable(ranked, len(ground.pods))
    return found if isinstance(found, tuple) else TrialProposal(found.candidate, found.design, current, ground.pods)


def search_of(policy: OptimizationPolicy, trials: tuple[OptimizationTrial, ...]) -> tuple[OptimizationTrial, ...]:
    """Return the trials that were made since the policy's baseline was taken; none without a baseline."""
    baseline = policy.status.baseline
    if baseline is None:
        return ()
    made = ((trial, trial.metadata.creation_timestamp) for trial in trials)
    return tuple(trial for trial, at in made if at is not None and at >= baseline.to)


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
    return None if scrape is None else _too_short(ground, scrape)


def _too_short(ground: Ground, scrape: float) -> Held | None:
    rules = ground.policy.spec.trial
    why = trial_time.too_short(rules, scrape)
    if why is None and ground.by_turns:
        why = switch_schedule.too_few_pairs(rules, scrape)
    return None if why is None else ("TrialWindowTooShort", why)


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


def _too_little_traffic(ground: Ground) -> Held | None:
    """Hold where no trial could end with a verdict: a quiet night must not spend the search. Unknown is too little."""
    rules, offered = ground.policy.spec.trial, pods.total(ground.snapshot, Signal.REQUESTS_PER_SECOND)
    pod_rate = 0.0 if offered is None else offered / max(1, len(ground.target.ready_pods))
    seconds = trial_time.longest_window(rules)
    if ground.by_turns:
        seconds = switch_schedule.measured_seconds(rules, interval_seconds(ground.snapshot))
    if pod_rate * seconds >= rules.min_requests:
        return None
    wanted = f"{rules.min_requests} for one {'setting' if ground.by_turns else 'pod'} (trial.minRequests)"
    return "TooLittleTraffic", f"requests come too seldom: {wanted} would take longer than trial.maxWindow"


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
    _too_little_traffic,
    _spent,
)
