"""The trial loop through many ticks: what is tried, what becomes of it, and the settings that engines end up with."""

from __future__ import annotations

import pytest
from fakes.tuned_stage import KNOBS, TRIAL, Tuned
from fakes.world import NAMESPACE

from trimtab_api.engine_knobs import Knob
from trimtab_operator.errors import KubeConflict, KubeUnavailable
from trimtab_operator.kube.resources import DEPLOYMENTS, EVENTS, PODS, POLICIES, TRIALS
from trimtab_operator.model.signals import Signal

ENGINE = "optimizationtrials"


@pytest.fixture
def stage() -> Tuned:
    return Tuned()


async def test_a_change_that_helps_is_tried_on_one_pod_rolled_out_and_kept(stage: Tuned) -> None:
    stage.tune()
    trial = await stage.run_to("Measuring")
    assert stage.sizes() == [1, 8]
    (entry,) = [each for each in stage.entries() if "trial" in each]
    assert entry["fallback"] == {}
    assert entry["expiresAt"]
    assert trial["spec"]["hypothesis"]
    assert stage.status()["phase"] == "Strategy"
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    await stage.run(60)
    assert stage.sizes() == [8, 8]
    assert not [each for each in stage.entries() if "trial" in each]
    status = stage.status()
    assert status["phase"] == "Validation"
    assert status["tuning"]["settings"]["maxBatchSize"] == 8
    assert status["lastKnownGood"]["trial"] == trial["metadata"]["name"]
    assert "currentTrial" not in status
    assert stage.ledger() == ["TrialStarted", "TrialEnded", "RolledOut"]


async def test_a_change_that_hurts_is_taken_back(stage: Tuned) -> None:
    stage.gain = 0.7
    stage.load.requests_per_second = 13.0
    stage.tune()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Regressed", trial["status"]
    await stage.run(60)
    assert stage.sizes() == [1, 1]
    assert stage.ledger() == ["TrialStarted", "TrialEnded", "RolledBack"]
    assert "change" not in stage.status()["tuning"]


async def test_a_change_without_effect_is_not_kept(stage: Tuned) -> None:
    stage.gain = 1.0
    stage.tune()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Inconclusive", trial["status"]
    await stage.run(30)
    assert stage.sizes() == [1, 1]


async def test_nothing_moves_before_a_person_approves(stage: Tuned) -> None:
    stage.tune(trial=TRIAL | {"approval": "Required"})
    trial = await stage.run_to("AwaitingApproval")
    await stage.run(300)
    assert stage.sizes() == [1, 1]
    assert stage.condition("Progressing") == ("True", "AwaitingApproval")
    stage.kube.edit(TRIALS, NAMESPACE, trial["metadata"]["name"], {"spec": {"approval": "Approved"}})
    await stage.run_to("Measuring")
    assert stage.sizes() == [1, 8]


async def test_a_denied_trial_ends_without_a_change(stage: Tuned) -> None:
    stage.tune(trial=TRIAL | {"approval": "Required"})
    trial = await stage.run_to("AwaitingApproval")
    stage.kube.edit(TRIALS, NAMESPACE, trial["metadata"]["name"], {"spec": {"approval": "Denied"}})
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Denied"
    assert stage.sizes() == [1, 1]


async def test_recommend_tries_nothing_and_asks_engines_for_nothing(stage: Tuned) -> None:
    stage.tune(mode="Recommend")
    await stage.run(1200)
    assert stage.trials() == []
    assert stage.entries() == []


async def test_the_kill_switch_ends_a_trial_and_lets_no_write_to_a_node_through(stage: Tuned) -> None:
    stage.tune()
    await stage.run_to("Measuring")
    writes = [write for write in stage.kube.writes if write[1] == "NodeTuning"]
    stage.allow("Recommend")
    await stage.run(120)
    assert [write for write in stage.kube.writes if write[1] == "NodeTuning"] == writes
    stage.allow("Apply")
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Inconclusive"
    await stage.run(30)
    assert stage.sizes() == [1, 1]


async def test_a_new_template_ends_the_trial_without_a_write_to_the_canary(stage: Tuned) -> None:
    stage.tune()
    await stage.run_to("Measuring")
    before = stage.entries()
    stage.change_template()
    trial = await stage.run_to("Finished")
    await stage.run(30)
    assert trial["status"]["verdict"] == "TargetChanged"
    assert stage.entries() == before
    assert stage.status()["phase"] == "Discovery"


async def test_a_canary_that_goes_away_ends_the_trial_without_a_violation(stage: Tuned) -> None:
    stage.tune()
    trial = await stage.run_to("Measuring")
    canary = next(pod["name"] for pod in trial["spec"]["pods"] if pod["arm"] == "Canary")
    stage.kube.vanish(PODS, NAMESPACE, canary)
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Inconclusive"
    assert trial["status"].get("violations", 0) == 0
    await stage.run(30)
    assert stage.sizes() == [1, 1]


async def test_an_engine_that_refuses_the_change_is_left_as_it_was(stage: Tuned) -> None:
    stage.fleet.refuses["maxBatchSize", 8] = "the test says so"
    stage.tune()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "FailedToStart"
    assert "the test says so" in trial["status"]["reason"]
    assert stage.sizes() == [1, 1]


async def test_a_policy_that_is_deleted_in_mid_trial_leaves_the_fallback(stage: Tuned) -> None:
    stage.tune()
    await stage.run_to("Measuring")
    stage.kube.vanish(POLICIES, NAMESPACE, "tune")
    await stage.run(60)
    stage.fleet.answer()
    assert stage.sizes() == [1, 1]
    assert not [each for each in stage.entries() if "trial" in each]


async def test_promoted_settings_stay_when_the_policy_is_deleted(stage: Tuned) -> None:
    stage.tune()
    await stage.run_to("Finished")
    await stage.run(60)
    stage.kube.vanish(POLICIES, NAMESPACE, "tune")
    await stage.run(60)
    assert stage.sizes() == [8, 8]
    assert len(stage.entries()) == 2


@pytest.mark.parametrize("phase", ["Starting", "Measuring", "RollingOut", "Validating"])
async def test_a_new_process_goes_on_where_the_old_one_stood(stage: Tuned, phase: str) -> None:
    stage.tune()
    await stage.run_to(phase)
    stage.start()
    trial = await stage.run_to("Finished")
    await stage.run(60)
    assert trial["status"]["verdict"] == "Improved", trial["status"]["reason"]
    assert stage.sizes() == [8, 8]
    assert stage.ledger() == ["TrialStarted", "TrialEnded", "RolledOut"]


async def test_a_policy_status_that_is_never_written_moves_no_engine(stage: Tuned) -> None:
    stage.tune()
    while not stage.status().get("tuning"):
        await stage.run(0.1)
    stage.kube.fail("patch", "OptimizationPolicy", KubeUnavailable, times=10_000)
    await stage.run(600)
    assert stage.sizes() == [1, 1]
    stage.kube.faults.clear()
    await stage.run_to("Finished")
    assert len(stage.trials()) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before the write took effect", "after it took effect"])
async def test_a_conflict_or_a_lost_answer_at_any_write_ends_in_the_same_world(after: bool) -> None:
    for verb, kind in (
        ("create", "OptimizationTrial"),
        ("patch", "OptimizationTrial"),
        ("create", "NodeTuning"),
        ("patch", "NodeTuning"),
    ):
        stage = Tuned()
        stage.kube.fail(verb, kind, KubeUnavailable if after else KubeConflict, times=1, after=after)
        stage.tune()
        trial = await stage.run_to("Finished")
        await stage.run(60)
        assert trial["status"]["verdict"] == "Improved", (verb, kind)
        assert stage.sizes() == [8, 8]
        assert stage.ledger() == ["TrialStarted", "TrialEnded", "RolledOut"]
        assert len(stage.trials()) == 1


async def test_rollback_to_restores_the_settings_after_that_trial_and_holds(stage: Tuned) -> None:
    stage.tune()
    trial = await stage.run_to("Finished")
    await stage.run(60)
    stage.kube.edit(TRIALS, NAMESPACE, trial["metadata"]["name"], {"status": {"verdict": "Inconclusive"}})
    stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"rollbackTo": trial["metadata"]["name"]}})
    await stage.run(60)
    assert stage.sizes() == [1, 1]
    assert stage.ledger()[-1] == "RolledBack"


async def test_a_search_ends_when_its_budget_is_spent_and_says_so(stage: Tuned) -> None:
    stage.gain = 1.0
    stage.tune()
    await stage.run_to("Finished")
    await stage.run(1800)
    assert len(stage.trials()) == 1
    said = {each["name"]: each["reason"] for each in stage.status()["constraints"]}
    assert "maxTrials" in said["SearchEnded"]


async def test_a_pod_that_joins_during_a_trial_stays_outside_and_gets_what_is_stable(stage: Tuned) -> None:
    stage.load.requests_per_second = 19.5
    stage.tune()
    await stage.run_to("Measuring")
    stage.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": 3}})
    stage.load.requests_per_second = 27.0
    await stage.run(60)
    assert stage.sizes() == [1, 1, 8]
    trial = await stage.run_to("Finished")
    await stage.run(60)
    assert len(trial["spec"]["pods"]) == 2
    assert trial["status"]["verdict"] == "Improved"
    assert stage.sizes() == [8, 8, 8]


async def test_pods_without_a_token_are_told_how_to_attach(stage: Tuned) -> None:
    plain = Tuned()
    for body in plain.kube.all(PODS):
        plain.kube.edit(PODS, NAMESPACE, body["metadata"]["name"], {"spec": {"volumes": None}})
    plain.tune()
    await plain.run(900)
    assert plain.trials() == []
    assert plain.condition("EngineAttached") == ("False", "NoTokenVolume")
    row = next(row for row in plain.status()["conditions"] if row["type"] == "EngineAttached")
    assert "kubectl -n prod patch deployment llama" in row["message"]


async def test_ten_steady_minutes_after_a_search_write_nothing(stage: Tuned) -> None:
    stage.tune()
    await stage.run_to("Finished")
    await stage.run(2400)
    written = len(stage.kube.writes)
    await stage.run(600)
    assert stage.kube.writes[written:] == []


def test_the_knob_under_test_is_one_of_the_engine() -> None:
    assert Knob.MAX_BATCH_SIZE.value in KNOBS["batching"]


async def test_longer_inputs_reopen_a_search_that_had_ended_with_a_baseline_of_their_own(stage: Tuned) -> None:
    stage.gain = 1.0
    stage.prometheus.values[Signal.INPUT_TOKENS] = 25.0
    stage.tune()
    await stage.run_to("Finished")
    await stage.run(600)
    assert len(stage.trials()) == 1
    assert stage.status()["baseline"]["inputTokens"] == "25"
    changed_at = stage.clock.now()
    stage.prometheus.values[Signal.INPUT_TOKENS] = lambda at: 25.0 if at < changed_at else 100.0
    await stage.run(240)
    assert "LoadChanged" not in stage.ledger(), "the window holds both loads"
    await stage.run(120)
    assert stage.ledger().count("LoadChanged") == 1
    assert stage.status()["baseline"]["inputTokens"] == "100"
    assert "Validation → Discovery" in {event["message"] for event in stage.kube.all(EVENTS)}
    await stage.run(1800)
    assert stage.ledger().count("LoadChanged") == 1
    assert len(stage.trials()) == 2, "the new load has a search of its own"


async def test_a_trial_under_way_is_brought_to_its_end_before_a_changed_load_is_looked_at(stage: Tuned) -> None:
    stage.prometheus.values[Signal.INPUT_TOKENS] = lambda at: 25.0 if at < changed_at else 100.0
    changed_at = stage.clock.now()
    stage.tune(trial=TRIAL | {"approval": "Required"})
    trial = await stage.run_to("AwaitingApproval")
    changed_at = stage.clock.now()
    await stage.run(900)
    assert "LoadChanged" not in stage.ledger()
    stage.kube.edit(TRIALS, NAMESPACE, trial["metadata"]["name"], {"spec": {"approval": "Denied"}})
    await stage.run(60)
    assert "LoadChanged" in stage.ledger()


async def test_a_policy_that_is_made_anew_in_mid_rollout_brings_all_engines_to_the_same_settings_and_tries_again(
    stage: Tuned,
) -> None:
    stage.load.requests_per_second = 26.0
    stage.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": 3}})
    stage.kube.settle(NAMESPACE, "llama")
    stage.tune()
    await stage.run_to("RollingOut")
    await stage.run(5)
    assert stage.sizes() == [1, 8, 8]
    stage.kube.vanish(POLICIES, NAMESPACE, "tune")
    for trial in stage.trials():  # they go with their owner
        stage.kube.vanish(TRIALS, NAMESPACE, trial["metadata"]["name"])
    await stage.run(60)
    assert stage.sizes() == [1, 8, 8], "nobody is there to change them"
    stage.tune()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    await stage.run(60)
    assert stage.sizes() == [8, 8, 8]
    assert stage.ledger()[0] == "RolledBack"
