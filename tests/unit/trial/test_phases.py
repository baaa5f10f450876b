"""The phase of a policy by where its trial stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import a_trial
from fakes.stands import a_tuned_policy, a_tuned_snapshot

from trimtab_api.policy_status import Phase
from trimtab_api.trial import TrialPhase
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.action import TrialRecord
from trimtab_operator.model.analysis import Drift
from trimtab_operator.model.signals import Signal
from trimtab_operator.trial.phases import next_phase
from trimtab_operator.trial.steer import Course

MADE = TrialRecord("prod", "chat-1", body={})
STORED = TrialRecord("prod", "chat-1", status={})


def course_in(phase: str) -> Course:
    return Course(trial=a_trial(status={"phase": phase}))


CASES: list[tuple[str, Phase, Course, Phase]] = [
    *((phase, Phase.VALIDATION, course_in(phase), Phase.STRATEGY)
      for phase in ("Unknown", "AwaitingApproval", "RunIn", "Starting", "Shadow", "Measuring")),
    ("RollingOut", Phase.STRATEGY, course_in("RollingOut"), Phase.IMPLEMENTATION),
    ("Validating", Phase.IMPLEMENTATION, course_in("Validating"), Phase.VALIDATION),
    ("Reverting", Phase.STRATEGY, course_in("Reverting"), Phase.ROLLING_BACK),
    ("just made", Phase.VALIDATION, Course(record=MADE), Phase.STRATEGY),
    ("just ended", Phase.STRATEGY, Course(record=STORED), Phase.VALIDATION),
    ("ended by a changed target", Phase.STRATEGY, Course(record=STORED, rediscover=True), Phase.DISCOVERY),
    ("none", Phase.ROLLING_BACK, Course(), Phase.VALIDATION),
]  # fmt: skip


@pytest.mark.parametrize(("before", "course", "after"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_the_policy_stands_where_its_trial_stands(before: Phase, course: Course, after: Phase) -> None:
    policy: Any = a_tuned_policy()
    assert next_phase(before, analyze(a_tuned_snapshot(), policy), policy.status, course) is after


DRIFTED = Drift(Signal.INPUT_TOKENS, 25.0, 100.0)


@pytest.mark.parametrize(
    ("course", "after"),
    [
        pytest.param(Course(), Phase.DISCOVERY, id="without a trial"),
        pytest.param(Course(record=STORED), Phase.DISCOVERY, id="as a trial ends"),
        pytest.param(course_in("Measuring"), Phase.STRATEGY, id="while a trial is under way, which goes on"),
    ],
)
def test_a_changed_load_leads_to_discovery(course: Course, after: Phase) -> None:
    policy = a_tuned_policy()
    analysis = replace(analyze(a_tuned_snapshot(), policy), drift=DRIFTED)
    assert next_phase(Phase.VALIDATION, analysis, policy.status, course) is after


def test_every_phase_of_a_trial_under_way_has_its_phase() -> None:
    policy = a_tuned_policy()
    analysis = analyze(a_tuned_snapshot(), policy)
    under_way = set(TrialPhase) - {TrialPhase.FINISHED}
    phases = {next_phase(Phase.VALIDATION, analysis, policy.status, course_in(phase)) for phase in under_way}
    assert phases == {Phase.STRATEGY, Phase.IMPLEMENTATION, Phase.VALIDATION, Phase.ROLLING_BACK}
