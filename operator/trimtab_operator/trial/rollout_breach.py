"""A guard that pods of a rollout break so badly that two scrapes tell it.

The pods of each step are an arm of their own: where a change breaks those that have just got it, the many that had it
before do not hide that. They are held against the pods that have it not. Once all have it, the last step is held
against the others, which have had it for longer and kept the guards; what all pods do together is nobody's proof, for
it may be the minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from trimtab_api.trial import TrialStatus
from trimtab_operator.analysis.sudden_breach import sudden_breach
from trimtab_operator.model.arms import Arms
from trimtab_operator.trial.abort import aborted
from trimtab_operator.trial.looks import look_at
from trimtab_operator.trial.measuring import times_of
from trimtab_operator.trial.stand import Stand


def aborted_at_once(stand: Stand, when: str) -> TrialStatus | None:
    """Return the status of a trial of which a step suddenly breaks a guard; None where none does."""
    if not stand.analysis.trust.trusted:
        return None
    times = times_of(stand, look_at(0.0, stand.trial.spec.rules))
    for arms in _steps(stand):
        found = sudden_breach(arms, times, stand.policy.spec.objectives)
        if found is not None:
            return aborted(stand, found, arms.canary, when)
    return None


def steps(changed: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the pods by the step that gave them the change: one, one more, then twice as many with each."""
    ends = [0, 1]
    while ends[-1] < len(changed):
        ends.append(2 * ends[-1])
    return tuple(changed[begin:end] for begin, end in pairwise(ends))


def _steps(stand: Stand) -> Iterator[Arms]:
    """Yield each step that runs the change, beside the pods that have it not; the last one beside all where none is."""
    arms, changed, begin = stand.snapshot.arms, stand.status.changed, 0
    if arms is None or arms.recent is None:
        return
    serving = {pod.name for pod in stand.target.ready_pods}
    unchanged = tuple(name for name in arms.stable if name in serving)
    for step in steps(changed):
        last = begin + len(step) == len(changed)
        pods, earlier = _running(stand, step), _running(stand, changed[:begin])
        in_force_at = _asked_at(stand) if last and begin > 0 else arms.recent.in_force_at
        beside = unchanged or (earlier if last else ())
        if pods and beside and arms.recent.begin >= in_force_at:
            yield replace(arms, canary=pods, stable=beside, recent=replace(arms.recent, in_force_at=in_force_at))
        begin += len(step)


def _asked_at(stand: Stand) -> float:
    """Return when (unix seconds) the last step was asked to take the change, or all were seen to have it."""
    return stand.now - stand.seconds_since(stand.status.changed_at)


def _running(stand: Stand, step: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the trial's pods of a step whose engines run the change."""
    named = {pod.uid: pod.name for pod in stand.trial.spec.pods}
    change = stand.trial.spec.canary
    return tuple(named[uid] for uid in step if uid in named and stand.pod(uid) and stand.engine(uid).runs(change))
