"""What is tried next, or why nothing is: each gate, and their order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import CANARY, RULES, STABLE, a_pod, a_series, a_target, a_trial, a_tuning, an_engine, at
from fakes.ledger import an_intent
from fakes.stands import BASELINE, SURGED, a_tuned_policy, a_tuned_snapshot, attached_pods, attached_target, engines

from trimtab_api.trial import OptimizationTrial
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.ground import Held, search_of, trial_under_way
from trimtab_operator.decision.strategy import GATES, SurgeWish, TrialProposal, strategize
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Target

FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]  # NOW is a Friday
AWAY = engines(None, an_engine(pod="chat-1", attached=False))
STARTING = attached_target(pods=(*attached_pods(), a_pod("chat-2", ready=False)), count=3)
UNLIKE = engines(None, CANARY)
REFUSED = {"quantization": "Int8"}
ONE_REFUSED = engines(CANARY, an_engine(pod="chat-1", refused=REFUSED))
CACHE = {"cache": {"memory": {"max": "64Mi"}}}
SCALING = {"minReplicas": 1, "maxReplicas": 2}
NO_BREACH = RULES | {"maxViolatingTrials": 0}
BREACHED = {"phase": "Finished", "verdict": "Regressed", "violations": 1}


def strategy(*, status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **seen: Any) -> Any:
    snapshot = a_tuned_snapshot(**{"busy": 0.95, **seen})
    policy = a_tuned_policy(status=status, **(spec or {}))
    assert isinstance(snapshot.target, Target)
    return strategize(snapshot, analyze(snapshot, policy), policy, snapshot.target)


CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("no-knobs", {"spec": {"knobs": {}}}, "NoKnobs", "spec.knobs"),
    ("recommend", {"spec": {"mode": "Recommend"}}, "RecommendOnly", "Recommend"),
    ("kill-switch", {"max_mode": "Recommend"}, "MaxModeRecommend", "maxMode"),
    ("frozen", {"spec": {"freeze": FREEZE}}, "Frozen", "until 24:00 UTC"),
    ("taken", {"taken_by": "prod/older"}, "TargetTaken", "prod/older"),
    ("asked-back", {"spec": {"rollbackTo": "chat-4"}}, "RolledBackByUser", "trial chat-4"),
    ("no-token", {"target": a_target()}, "NoTokenVolume", "no pod mounts a token"),
    ("attaching", {"engines": AWAY}, "Attaching", "pod chat-1"),
    ("one-pod-and-a-cache", {"target": attached_target(1), "spec": {"knobs": CACHE}}, "NeedsTwoReplicas",
     "cacheMemory 0→16Mi is worth a trial, for which two serving pods are needed: one alone cannot take turns"),
    ("one-pod-and-a-short-time", {"target": attached_target(1), "spec": {"trial": RULES | {"maxWindow": "4m"}}},
     "TrialWindowTooShort", "set it to 300s or more"),
    ("one-pod-with-little-traffic", {"target": attached_target(1), "rps": 1.1}, "TooLittleTraffic",
     "100 for one setting (trial.minRequests)"),
    ("untrusted", {"busy": 9.0}, "MetricsUntrusted", "busy"),
    ("discovery", {"status": {"phase": "Discovery"}}, "Baseline", "not known yet"),
    ("just-made", {"status": {"phase": "Unknown"}}, "Baseline", "not known yet"),
    ("no-baseline", {"status": {"baseline": None}}, "Baseline", "not known yet"),
    ("another-load", {"history": {Signal.INPUT_TOKENS: a_series(Signal.INPUT_TOKENS, 100.0)},
                      "status": {"baseline": BASELINE | {"inputTokens": "25"}}}, "Baseline", "not known yet"),
    ("short-window", {"spec": {"trial": RULES | {"window": "30s"}}}, "TrialWindowTooShort", "8 scrapes of 5 s"),
    ("intent", {"status": {"intent": an_intent()}}, "RolloutInProgress", "replicas"),
    ("rollout", {"target": attached_target(rolling_out=True)}, "RolloutInProgress", "replicas"),
    ("a-pod-starts", {"target": STARTING}, "RolloutInProgress", "replicas"),
    ("a-quiet-night", {"rps": 0.4}, "TooLittleTraffic", "100 for one pod (trial.minRequests)"),
    ("nobody-asks", {"rps": 0.0}, "TooLittleTraffic", "longer than trial.maxWindow"),
    ("no-trials", {"spec": {"trial": RULES | {"maxTrials": 0}}}, "SearchEnded", "all 0 trials"),
    ("budget-spent", {"spec": {"trial": RULES | {"maxTrials": 1}}, "trials": (a_trial(),)}, "SearchEnded", "all 1"),
    ("too-many-breaches", {"trials": (a_trial(status=BREACHED), a_trial("chat-2", status=BREACHED))},
     "SearchEnded", "2 trials breached a guard"),
    ("one-breach-of-none", {"spec": {"trial": NO_BREACH}, "trials": (a_trial(status=BREACHED),)},
     "SearchEnded", "1 trials breached"),
    ("unlike", {"engines": UNLIKE}, "SettingsDiffer", "same settings"),
    ("unlike-for-one-refuses", {"engines": ONE_REFUSED}, "SettingsDiffer", "pod chat-1 refused quantization Int8"),
    ("nothing-left", {"spec": {"knobs": {"batching": {}}}}, "SearchEnded", "trial.minEffect"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "reason", "text"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_a_gate_says_why_nothing_is_tried(fields: dict[str, Any], reason: str, text: str) -> None:
    held: Held = strategy(**fields)
    assert held[0] == reason
    assert text in held[1]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"spec": {"knobs": {}}}, "no knob of this runtime may be turned: see spec.knobs"),
        ({"target": a_target()}, "no pod mounts a token for its node's agent: see docs/how-to/attach-engine.md"),
        ({"status": {"phase": "Discovery"}}, "what is normal, and what limits it, is not known yet"),
        ({"status": {"intent": an_intent()}}, "replicas are being changed"),
        ({"engines": UNLIKE}, "the engines do not run with the same settings yet"),
    ],
    ids=["no-knobs", "no-token", "discovery", "intent", "unlike"],
)
def test_a_gate_says_it_in_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    assert strategy(**fields)[1] == sentence


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="the usual"),
        pytest.param({"spec": {"trial": NO_BREACH}}, id="no breach allowed and none made"),
        pytest.param({"trials": (a_trial(status=BREACHED, created=-2000.0),)}, id="a breach of an earlier search"),
    ],
)
def test_with_every_gate_open_the_best_candidate_is_proposed(fields: dict[str, Any]) -> None:
    found = strategy(**fields)
    assert isinstance(found, TrialProposal), found
    assert found.candidate.change_summary == "maxBatchSize 1→8"
    assert (found.current, found.design) == (STABLE, "PairedCanary")


def test_one_pod_alone_takes_turns_with_the_best_change_that_lets_it() -> None:
    found = strategy(target=attached_target(1), spec={"knobs": CACHE | {"batching": {"maxBatchSize": {"max": 8}}}})
    assert isinstance(found, TrialProposal), found
    assert (found.candidate.change_summary, found.design) == ("maxBatchSize 1→8", "Switchback")
    assert [pod.name for pod in found.pods] == ["chat-0"]


def test_one_pod_wishes_for_a_second_where_its_best_change_cannot_take_turns() -> None:
    found = strategy(target=attached_target(1), spec={"knobs": CACHE, "scaling": SCALING}, busy=0.6)
    assert isinstance(found, SurgeWish), found
    assert found.why == "cacheMemory 0→16Mi is to be tried on one replica more, beside what serves now"


def test_once_the_second_serves_the_change_is_tried_beside_the_first() -> None:
    found = strategy(spec={"knobs": CACHE, "scaling": SCALING}, status=SURGED, busy=0.3)
    assert isinstance(found, TrialProposal), found
    assert (found.candidate.change_summary, found.design) == ("cacheMemory 0→16Mi", "Surge")
    assert [pod.name for pod in found.pods] == ["chat-0", "chat-1"]


def test_what_was_tried_in_this_search_is_not_tried_again() -> None:
    over = a_trial(status={"phase": "Finished", "verdict": "Inconclusive"})
    found = strategy(trials=(over,))
    assert not isinstance(found, TrialProposal) or found.candidate.change_summary != "maxBatchSize 1→8"


def test_why_nothing_is_tried_does_not_depend_on_what_was_tuned_before() -> None:
    assert strategy(spec={"knobs": {}}, status={"tuning": a_tuning()})[0] == "NoKnobs"


def test_the_gates_are_passed_in_the_order_in_which_a_person_would_mend_them() -> None:
    names = [gate.__name__ for gate in GATES]
    assert names.index("_not_permitted") < names.index("_not_attached") < names.index("_not_measured")
    assert names[-1] == "_spent"


def made(name: str, created: float) -> OptimizationTrial:
    return a_trial(name, created=created)


def test_a_search_is_all_trials_since_the_baseline() -> None:
    trials = (made("chat-1", -1201.0), made("chat-2", -1200.0), made("chat-3", -60.0))
    assert [each.metadata.name for each in search_of(a_tuned_policy(), trials)] == ["chat-2", "chat-3"]
    assert search_of(a_tuned_policy(status={"baseline": None}), trials) == ()
    later = BASELINE | {"to": at(-30.0)}
    assert search_of(a_tuned_policy(status={"baseline": later}), trials) == ()


def test_a_trial_without_a_time_belongs_to_no_search() -> None:
    trial = a_trial()
    bare = trial.model_copy(update={"metadata": trial.metadata.model_copy(update={"creation_timestamp": None})})
    assert search_of(a_tuned_policy(), (bare,)) == ()


@pytest.mark.parametrize(("phase", "goes_on"), [("Unknown", True), ("Measuring", True), ("Finished", False)])
def test_a_trial_is_under_way_until_it_is_over(phase: str, goes_on: bool) -> None:
    trials = (a_trial("chat-1", status={"phase": "Finished"}), a_trial("chat-2", status={"phase": phase}))
    assert trial_under_way(a_tuned_snapshot(trials=trials)) == (trials[1] if goes_on else None)
    assert trial_under_way(a_tuned_snapshot()) is None


def test_before_anything_limits_the_target_nothing_is_tried() -> None:
    snapshot, policy = a_tuned_snapshot(), a_tuned_policy()
    assert isinstance(snapshot.target, Target)
    unknown = replace(analyze(snapshot, policy), bottleneck=None)
    found = strategize(snapshot, unknown, policy, snapshot.target)
    assert not isinstance(found, TrialProposal)
    assert found[0] == "Baseline"


def test_trials_that_breached_nothing_do_not_end_the_search() -> None:
    kept = {"phase": "Finished", "verdict": "Inconclusive"}
    found = strategy(trials=(a_trial(status=kept), a_trial("chat-2", status=kept)))
    assert isinstance(found, TrialProposal)
