"""What is told of trials, and when a search counts as over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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

POLICY = {"metadata": {"name": "minilm-tuned", "creationTimestamp": "2026-11-25T10:00:00Z"}}
Build = Callable[..., TrialSight]


def a_body(name: str, made: str, *, policy: str = "minilm-tuned", **status: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": made},
        "spec": {
            "policy": policy,
            "changeSummary": "maxBatchSize 1→8",
            "hypothesis": "batches are as large as they may be",
            "predictedSummary": "throughput +65%",
        },
        "status": status,
    }


def a_policy(message: str = "", *constraints: str) -> dict[str, Any]:
    conditions = [{"type": "Progressing", "status": "False", "reason": "Steady", "message": message}]
    named = [{"name": name, "reason": "all 3 trials are done"} for name in constraints]
    return {**POLICY, "status": {"conditions": conditions, "constraints": named}}


def test_only_trials_of_this_very_policy_are_seen_oldest_first() -> None:
    bodies = [
        a_body("minilm-tuned-2", "2026-11-25T10:05:00Z"),
        a_body("minilm-tuned-1", "2026-11-25T10:01:00Z"),
        a_body("other-1", "2026-11-25T10:01:00Z", policy="other"),
        a_body("minilm-tuned-7", "2026-11-25T09:00:00Z"),
    ]
    assert [trial.name for trial in trials_of(POLICY, bodies)] == ["minilm-tuned-1", "minilm-tuned-2"]
    assert trials_of(None, bodies) == ()


def test_a_trial_without_status_is_not_judged_yet() -> None:
    (trial,) = trials_of(POLICY, [a_body("minilm-tuned-1", "2026-11-25T10:01:00Z")])
    assert not trial.judged
    assert trial.under_way


@pytest.mark.parametrize(
    ("phase", "verdict", "promoted"),
    [
        ("Finished", "Improved", True),
        ("Validating", "Improved", False),
        ("RollingOut", "Improved", False),
        ("Finished", "Inconclusive", False),
        ("Reverting", "Regressed", False),
    ],
)
def test_a_change_is_promoted_once_it_was_seen_to_hold(
    a_trial: Build, phase: str, verdict: str, promoted: bool
) -> None:
    assert a_trial(phase=phase, verdict=verdict).promoted is promoted


def test_a_new_trial_is_told_with_its_hypothesis_and_prediction(a_trial: Build) -> None:
    first, second = told([], [a_trial(phase="RunIn", verdict="Unknown", reason="")])
    assert first.important
    assert "maxBatchSize 1→8, predicted throughput +65%: batches are as large" in first.text
    assert second.text.endswith("phase RunIn")


def test_a_verdict_is_told_once_with_what_was_observed_and_why(a_trial: Build) -> None:
    measuring, over = a_trial(phase="Measuring", verdict="Unknown", reason=""), a_trial(phase="RollingOut")
    verdict, phase = told([measuring], [over])
    assert verdict.important
    assert verdict.text == "trial minilm-tuned-1: Improved, observed throughput +61%: better"
    assert phase.text.endswith("phase RollingOut")
    assert told([over], [over]) == []


def test_what_a_look_said_is_told_while_the_trial_goes_on(a_trial: Build) -> None:
    before, now = (a_trial(phase="Measuring", verdict="Unknown", reason=text) for text in ("", "not clear yet"))
    assert [change.text for change in told([before], [now])] == ["trial minilm-tuned-1: not clear yet"]


@pytest.mark.parametrize(
    ("policy", "ended"),
    [
        pytest.param(None, False, id="no policy"),
        pytest.param(POLICY, False, id="no status"),
        pytest.param(a_policy("spec.scaling is absent; settings: Baseline: not known yet"), False, id="waits"),
        pytest.param(a_policy("spec.scaling is absent; settings: SearchEnded: done"), True, id="condition"),
        pytest.param(a_policy("spec.scaling is absent", "SearchEnded"), True, id="constraint"),
    ],
)
def test_a_search_is_over_when_the_policy_says_so(policy: dict[str, Any] | None, ended: bool) -> None:
    assert search_ended(policy) is ended


def test_the_reason_for_trying_nothing_is_said_once_wherever_it_stands() -> None:
    assert progressing(a_policy("no scaling", "SearchEnded")) == (
        "Steady: no scaling; settings: SearchEnded: all 3 trials are done"
    )
    both = a_policy("no scaling; settings: SearchEnded: all 3 trials are done", "SearchEnded")
    assert progressing(both) == "Steady: no scaling; settings: SearchEnded: all 3 trials are done"
    assert progressing(None) == ""


def test_what_engines_of_ours_still_work_on_is_told() -> None:
    searching = {"setting": "quantization", "value": "Int8", "phase": "Searching"}
    reports = [{"podUid": "a", "pending": [searching]}, {"podUid": "b"}, {"podUid": "stranger", "pending": [searching]}]
    found = work_by_pod([{"status": {"engines": reports}}, {}], {"a": "minilm-tuned-a", "b": "minilm-tuned-b"})
    assert found == {"minilm-tuned-a": "quantization Int8: Searching"}


def test_why_a_format_cannot_be_tried_stands_in_the_constraints() -> None:
    assert unavailable(a_policy("", "SearchEnded", "HardwareMismatch")) == "HardwareMismatch: all 3 trials are done"
    assert unavailable(a_policy("", "SearchEnded")) == unavailable(None) == ""


def test_settings_are_those_that_engines_of_ours_report() -> None:
    reports = [
        {"podUid": "a", "applied": {"maxBatchSize": 8, "cacheMemory": "0"}},
        {"podUid": "b"},
        {"podUid": "stranger", "applied": {"maxBatchSize": 1}},
    ]
    found = settings_by_pod([{"status": {"engines": reports}}, {}], {"a": "minilm-tuned-a", "b": "minilm-tuned-b"})
    assert found == {"minilm-tuned-a": "cacheMemory 0, maxBatchSize 8"}
