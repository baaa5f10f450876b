"""Looks once a second at the tuned deployment, its policy, trials and engines' reports, and tells what changed."""

from __future__ import annotations

import time
from types import TracebackType

from dev.demo.accuracy import Accuracy
from dev.demo.changes import Seen, changes
from dev.demo.kube import Json, Kube
from dev.demo.narration import Narrator
from dev.demo.plan import NAMESPACE
from dev.demo.repeat import Repeat
from dev.demo.tuning.gate import Gate, format_trial
from dev.demo.tuning.plan import TUNED, Quality
from dev.demo.tuning.trials import (
    TrialSight,
    progressing,
    search_ended,
    settings_by_pod,
    told,
    trials_of,
    unavailable,
    work_by_pod,
)
from dev.demo.watch import look, pods_of, policy_of

_TRIALS = f"/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/optimizationtrials"
_NODE_TUNINGS = "/apis/trimtab.dev/v1alpha1/nodetunings"


class TuningWatch:
    """Everything seen so far; `with_policy` False looks at the deployment only."""

    def __init__(self, kube: Kube, narrator: Narrator, *, with_policy: bool) -> None:
        self._kube = kube
        self._narrator = narrator
        self._with_policy = with_policy
        self._repeat = Repeat(self._look, narrator)
        self._seen = Seen()
        self._policy: Json | None = None
        self._settings: dict[str, str] = {}
        self._work: dict[str, str] = {}
        self.trials: tuple[TrialSight, ...] = ()
        self.first_verdict_at_seconds: float | None = None
        """Unix time at which a verdict was first seen."""

    def __enter__(self) -> TuningWatch:
        self._repeat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._repeat.__exit__(kind, error, trace)

    @property
    def search_ended(self) -> bool:
        """Whether nothing is under way and the policy tries nothing more."""
        return search_ended(self._policy) and not any(trial.under_way for trial in self.trials)

    @property
    def format_judged(self) -> bool:
        """Whether the newest trial of a number format has its verdict."""
        trial = format_trial(self.trials)
        return trial is not None and trial.judged

    @property
    def promoted(self) -> bool:
        """Whether a change was kept."""
        return any(trial.promoted for trial in self.trials)

    @property
    def progressing(self) -> str:
        """What the policy says it does, or why it does nothing."""
        return progressing(self._policy)

    def gate(self, quality: Quality, accuracy: Accuracy | None) -> Gate:
        """Return how it stands with a format now."""
        working = "; ".join(sorted(set(self._work.values())))
        why = unavailable(self._policy) or (self.progressing if self.search_ended else "")
        return Gate(quality, format_trial(self.trials), working, why, accuracy)

    def _look(self) -> None:
        sighting = look(self._kube, TUNED)
        policy = policy_of(self._kube, TUNED) if self._with_policy else None
        seen = Seen.of(sighting, policy)
        lines = changes(self._seen, seen)
        self._seen, self._policy = seen, policy
        if policy is not None:
            trials = trials_of(policy, self._kube.items(_TRIALS))
            lines += told(self.trials, trials)
            self.trials = trials
        for change in lines:
            (self._narrator.stress if change.important else self._narrator.say)(change.text)
        if self.first_verdict_at_seconds is None and any(trial.judged for trial in self.trials):
            self.first_verdict_at_seconds = time.time()
        if policy is not None:
            self._look_at_settings()

    def _look_at_settings(self) -> None:
        names = {pod["metadata"]["uid"]: pod["metadata"]["name"] for pod in pods_of(self._kube, TUNED)}
        reports = self._kube.items(_NODE_TUNINGS)
        settings, work = settings_by_pod(reports, names), work_by_pod(reports, names)
        for pod, text in settings.items():
            if self._settings.get(pod) != text:
                self._narrator.say(f"engine {pod} runs with {text}")
        for pod, text in work.items():
            if self._work.get(pod) != text:
                self._narrator.say(f"engine {pod} works on {text}")
        self._settings, self._work = settings, work
