"""A new trial as an object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import CANARY, STABLE, a_pod, a_trial
from fakes.stands import a_tuned_policy, a_tuned_snapshot, attached_pods, attached_target

from trimtab_api.trial import OptimizationTrial, TrialDesign
from trimtab_operator.decision.candidates import Candidate
from trimtab_operator.decision.engines import trial_pods
from trimtab_operator.decision.strategy import TrialProposal
from trimtab_operator.model.action import TrialRecord
from trimtab_operator.model.snapshot import Target
from trimtab_operator.trial.draft import POLICY_LABEL, draft, next_number

CHANGE = a_trial().spec.change
CANDIDATE = Candidate(CHANGE, CANARY, "more in one pass", (), "throughput +80%", 0.8)


def drafted(
    target: Target | None = None,
    trials: tuple[OptimizationTrial, ...] = (),
    worse: frozenset[str] = frozenset(),
    design: TrialDesign = TrialDesign.PAIRED_CANARY,
) -> TrialRecord:
    seen = target or attached_target()
    proposal = TrialProposal(CANDIDATE, design, STABLE, trial_pods(seen, worse))
    return draft(proposal, a_tuned_snapshot(target=seen, trials=trials), seen, a_tuned_policy())


def test_a_trial_says_what_is_tried_why_and_what_to_go_back_to() -> None:
    record = drafted()
    assert record.body is not None
    trial = OptimizationTrial.model_validate(record.body)
    assert (record.namespace, record.name, record.status) == ("prod", "chat-1", None)
    assert (trial.spec.canary, trial.spec.stable, trial.spec.change) == (CANARY, STABLE, CHANGE)
    assert (trial.spec.change_summary, trial.spec.hypothesis) == ("maxBatchSize 1→8", "more in one pass")
    assert (trial.spec.target.uid, trial.spec.target.template_hash) == ("target-uid", "abc")
    assert trial.spec.rules == a_tuned_policy().spec.trial
    assert (trial.spec.design, trial.status.phase) == ("PairedCanary", "Unknown")


def test_a_switchback_names_its_one_pod_as_the_canary() -> None:
    record = drafted(attached_target(1), design=TrialDesign.SWITCHBACK)
    trial = OptimizationTrial.model_validate(record.body)
    assert trial.spec.design == "Switchback"
    assert [(pod.name, pod.arm) for pod in trial.spec.pods] == [("chat-0", "Canary")]


def test_in_a_surge_the_newest_pod_has_the_change_whatever_its_name() -> None:
    old, newer = attached_pods(2)
    new = replace(a_pod("chat-00", attachable=True), created_at=newer.created_at + 60.0)
    record = drafted(attached_target(pods=(old, new, newer)), design=TrialDesign.SURGE)
    trial = OptimizationTrial.model_validate(record.body)
    assert trial.spec.design == "Surge"
    arms = [(pod.name, pod.arm) for pod in trial.spec.pods]
    assert arms == [("chat-00", "Canary"), ("chat-0", "Stable"), ("chat-1", "Stable")]


def test_a_trial_belongs_to_its_policy_and_does_not_keep_it_from_being_deleted() -> None:
    body: dict[str, Any] = drafted().body or {}
    policy = {"apiVersion": "trimtab.dev/v1alpha1", "kind": "OptimizationPolicy", "name": "chat", "uid": "policy-uid"}
    owner = policy | {"controller": True, "blockOwnerDeletion": False}
    assert (body["apiVersion"], body["kind"]) == ("trimtab.dev/v1alpha1", "OptimizationTrial")
    assert body["metadata"] == {
        "name": "chat-1", "namespace": "prod", "labels": {POLICY_LABEL: "chat"}, "ownerReferences": [owner]
    }  # fmt: skip


def test_the_pod_that_is_first_by_name_gets_the_change_whatever_their_order() -> None:
    pods = tuple(reversed(attached_pods(3)))
    bodies = (drafted(attached_target(pods=pods)).body or {})["spec"]["pods"]
    assert [(pod["name"], pod["arm"]) for pod in bodies] == [
        ("chat-0", "Canary"),
        ("chat-1", "Stable"),
        ("chat-2", "Stable"),
    ]


def test_a_pod_that_is_worse_than_its_siblings_is_in_neither_arm() -> None:
    bodies = (drafted(attached_target(3), worse=frozenset({"chat-0"})).body or {})["spec"]["pods"]
    assert [(pod["name"], pod["arm"]) for pod in bodies] == [("chat-1", "Canary"), ("chat-2", "Stable")]


def test_only_pods_that_serve_and_can_ask_take_part() -> None:
    plain, unready = a_pod("chat-8"), replace(a_pod("chat-9", attachable=True), ready=False)
    bodies = (drafted(attached_target(pods=(*attached_pods(), plain, unready))).body or {})["spec"]["pods"]
    assert [pod["name"] for pod in bodies] == ["chat-0", "chat-1"]


def test_more_pods_than_an_object_may_name_are_cut() -> None:
    assert len((drafted(attached_target(300)).body or {})["spec"]["pods"]) == 256


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], 1, id="none"),
        pytest.param(["chat-1", "chat-2"], 3, id="next"),
        pytest.param(["chat-9", "chat-10", "chat-4"], 11, id="largest-as-a-number"),
        pytest.param(["chat-by-hand"], 1, id="named-otherwise"),
    ],
)
def test_the_number_follows_the_largest(names: list[str], expected: int) -> None:
    assert next_number(a_trial(name) for name in names) == expected


def test_a_draft_made_twice_is_the_same() -> None:
    assert drafted(trials=(a_trial(),)) == drafted(trials=(a_trial(),))
    assert drafted(trials=(a_trial(),)).name == "chat-2"
