"""Many ticks through the whole loop; what is asserted is the state of the world."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes.kube import FakeKube
from fakes.world import NAMESPACE, Stage

from trimtab_operator.controllers.recording import Recording, recorded
from trimtab_operator.errors import KubeConflict, KubeNotFound, KubeUnavailable
from trimtab_operator.kube.resources import (
    DEPLOYMENTS,
    EVENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    POLICIES,
    Resource,
)
from trimtab_operator.model.signals import Signal
from trimtab_replay.replay import replay


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.deploy()
    return stage


async def test_more_load_than_one_replica_carries_scales_up_and_the_ledger_says_why(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(120)
    assert stage.replicas() == 1
    stage.load.requests_per_second = 25.0
    await stage.run(180)
    assert 3 <= stage.replicas() <= 5
    history = stage.status()["history"]
    assert [entry["what"] for entry in history] == ["Scaled"] * len(stage.scalings())
    assert history[-1]["to"] == str(stage.replicas())
    assert "intent" not in stage.status()
    assert {event["reason"] for event in stage.kube.all(EVENTS)} >= {"Scaled"}
    assert set(stage.outcomes) == {"ok"}


async def test_less_load_scales_down_only_after_the_stabilisation_time(stage: Stage) -> None:
    stage.load.requests_per_second = 25.0
    stage.apply_policy()
    await stage.run(400)
    high = stage.replicas()
    stage.load.requests_per_second = 4.0
    await stage.run(100)
    assert stage.replicas() == high
    await stage.run(900)
    assert stage.replicas() < high


async def test_recommend_publishes_the_number_and_writes_nothing_to_the_target(stage: Stage) -> None:
    stage.apply_policy(mode="Recommend")
    stage.load.requests_per_second = 25.0
    await stage.run(600)
    assert stage.scalings() == []
    assert stage.status()["replicas"]["desired"] >= 2
    assert "intent" not in stage.status()


async def test_the_kill_switch_stops_writes_within_one_tick(stage: Stage) -> None:
    stage.allow("Recommend")
    stage.load.requests_per_second = 25.0
    stage.apply_policy()
    await stage.run(300)
    assert stage.scalings() == []
    stage.allow("Apply")
    await stage.run(60)
    assert stage.scalings() != []


async def test_what_was_recorded_of_it_replays_to_the_identical_steps(tmp_path: Path) -> None:
    stage = Stage(recording=Recording(tmp_path, 2**28))
    stage.deploy()
    stage.apply_policy()
    for rate in (4.0, 25.0, 4.0):
        stage.load.requests_per_second = rate
        await stage.run(600)
    results = list(replay(recorded(tmp_path, "prod/tune")))
    assert len(results) == stage.outcomes["ok"] > 100
    assert [differences for _, differences in results if differences] == []


async def test_no_act_follows_a_failed_status_write(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    stage.load.requests_per_second = 25.0
    stage.kube.fail("patch", "OptimizationPolicy", KubeUnavailable, times=1000)
    await stage.run(300)
    assert stage.scalings() == []
    stage.kube.faults.clear()
    await stage.run(120)
    assert stage.replicas() >= 3


async def test_a_status_write_whose_answer_was_lost_still_leads_to_one_scaling(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    stage.load.requests_per_second = 25.0
    stage.kube.fail("patch", "OptimizationPolicy", KubeUnavailable, after=True)
    await stage.run(60)
    writes = stage.scalings()
    assert len(writes) == len([entry for entry in stage.status()["history"] if entry["what"] == "Scaled"]) >= 1


@pytest.mark.parametrize("after", [False, True], ids=["before the write took effect", "after it took effect"])
async def test_a_crash_between_intent_and_act_ends_with_the_same_world(stage: Stage, after: bool) -> None:
    undisturbed = Stage()
    undisturbed.deploy()
    for each in (undisturbed, stage):
        each.apply_policy()
        await each.run(60)
        each.load.requests_per_second = 25.0
    stage.kube.fail("patch", "Deployment/scale", KubeUnavailable, after=after)
    while not stage.scalings() and not any(fault.times == 0 for fault in stage.kube.faults):
        await stage.run(0.1)
    assert "intent" in stage.status()
    stage.start()
    await stage.run(240)
    await undisturbed.run(240)
    assert stage.replicas() == undisturbed.replicas()
    assert "intent" not in stage.status()
    scaled = [(entry["from"], entry["to"]) for entry in stage.status()["history"] if entry["what"] == "Scaled"]
    expected = [(entry["from"], entry["to"]) for entry in undisturbed.status()["history"] if entry["what"] == "Scaled"]
    assert scaled == expected


async def test_prometheus_down_holds_says_so_and_recovers(stage: Stage) -> None:
    stage.load.requests_per_second = 25.0
    stage.apply_policy()
    await stage.run(400)
    held = stage.replicas()
    stage.prometheus.down = True
    stage.load.requests_per_second = 0.1
    await stage.run(900)
    assert stage.replicas() == held
    assert stage.condition("MetricsTrusted") == ("False", "QueryFailed")
    stage.prometheus.down = False
    await stage.run(60)
    assert stage.condition("MetricsTrusted")[0] == "True"


async def test_samples_that_are_old_are_not_trusted(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    stage.prometheus.sample_age_seconds = 200
    await stage.run(60)
    assert stage.condition("MetricsTrusted") == ("False", "Stale")


async def test_labels_that_name_other_pods_are_told_apart_from_no_data(stage: Stage) -> None:
    stage.prometheus.pods = lambda: [(NAMESPACE, "stranger-1")]
    stage.apply_policy()
    await stage.run(60)
    assert stage.condition("MetricsTrusted") == ("False", "LabelMismatch")


async def test_exported_labels_are_found_by_the_pods_that_they_join_to(stage: Stage) -> None:
    from trimtab_operator.observation.labels import EXPORTED

    stage.prometheus.labels = EXPORTED
    stage.apply_policy()
    await stage.run(120)
    assert stage.condition("MetricsTrusted")[0] == "True"


async def test_a_conflict_at_the_scaling_is_looked_at_again_and_ends_well(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    stage.kube.fail("patch", "Deployment/scale", KubeConflict, times=2)
    stage.load.requests_per_second = 25.0
    await stage.run(120)
    assert stage.replicas() >= 3
    assert stage.outcomes["KubeConflict"] == 2


async def test_a_foreign_edit_stands_in_the_ledger(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    stage.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": 2}})
    await stage.run(30)
    assert stage.status()["history"][-1]["what"] == "ForeignEdit"


async def test_replicas_in_the_manifest_are_a_conflict_and_nothing_is_written() -> None:
    stage = Stage()
    stage.deploy(replicas=1, manager="helm", operation="Apply")
    stage.load.requests_per_second = 25.0
    stage.apply_policy()
    await stage.run(300)
    assert stage.scalings() == []
    assert stage.condition("Conflict") == ("True", "ReplicasInManifest")


async def test_an_autoscaler_on_the_target_is_a_conflict_and_nothing_is_written(stage: Stage) -> None:
    reference = {"kind": "Deployment", "name": "llama"}
    body = {"metadata": {"namespace": NAMESPACE, "name": "hpa"}, "spec": {"scaleTargetRef": reference}}
    stage.kube.seed(HORIZONTAL_POD_AUTOSCALERS, body)
    stage.load.requests_per_second = 25.0
    stage.apply_policy()
    await stage.run(300)
    assert stage.scalings() == []
    assert stage.condition("Conflict") == ("True", "HorizontalPodAutoscaler")


async def test_of_two_policies_on_one_target_the_older_acts(stage: Stage) -> None:
    stage.apply_policy("older")
    stage.clock.tick(10)
    stage.kube.now = stage.clock.now()
    stage.apply_policy("younger")
    stage.load.requests_per_second = 25.0
    await stage.run(300)
    assert stage.replicas() >= 3
    assert stage.condition("Conflict", "younger") == ("True", "TargetTaken")
    assert stage.condition("Conflict", "older")[0] == "False"
    assert "Scaled" not in {entry["what"] for entry in stage.status("younger").get("history", [])}


async def test_the_younger_policy_takes_over_when_the_older_is_gone(stage: Stage) -> None:
    stage.apply_policy("older")
    stage.clock.tick(10)
    stage.kube.now = stage.clock.now()
    stage.apply_policy("younger")
    await stage.run(60)
    stage.kube.vanish(POLICIES, NAMESPACE, "older")
    await stage.run(60)
    assert stage.condition("Conflict", "younger")[0] == "False"
    assert stage.outcomes["gone"] == 1


async def test_a_policy_made_again_while_the_old_one_is_looked_for_is_not_lost(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    stage.kube.vanish(POLICIES, NAMESPACE, "tune")
    look = stage.kube.get

    async def look_while_it_is_made_again(resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        stage.kube.get = look  # type: ignore[method-assign]
        with pytest.raises(KubeNotFound):
            await look(resource, namespace, name)
        stage.apply_policy()
        raise KubeNotFound("get", "gone")

    stage.kube.get = look_while_it_is_made_again  # type: ignore[method-assign]
    await stage.run(60)
    assert stage.outcomes["gone"] == 1
    assert stage.status()["phase"] != "Unknown"


async def test_a_deleted_target_is_reported_and_found_again(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    stage.kube.vanish(DEPLOYMENTS, NAMESPACE, "llama")
    await stage.run(30)
    assert stage.condition("TargetResolved") == ("False", "NotFound")
    stage.deploy()
    await stage.run(60)
    assert stage.condition("TargetResolved") == ("True", "Found")


async def test_ten_steady_minutes_write_nothing(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(1500)
    written = len(stage.kube.writes)
    await stage.run(600)
    assert stage.kube.writes[written:] == []


async def test_a_limit_that_a_trend_leads_to_is_told_before_it_is_missed(stage: Stage) -> None:
    start = stage.clock.now()
    stage.prometheus.values[Signal.ERRORS_PER_SECOND] = lambda at: _rising(at - start) * stage.load.requests_per_second
    stage.apply_policy(mode="Recommend", objectives={"errorRatio": {"max": "0.10"}})
    await stage.run(600)
    assert stage.condition("ObjectivesMet") == ("True", "AllMet")
    await stage.run(3600)
    assert stage.condition("ObjectivesMet") == ("True", "WillMiss")
    message = next(row["message"] for row in stage.status()["conditions"] if row["type"] == "ObjectivesMet")
    assert "errorRatio is 0.0" in message
    assert "as seen over 1h: it will miss its limit of 0.1 at about 2023-11-15" in message
    (objective,) = stage.status()["objectives"]
    assert "trimtab_policy_objective_miss_timestamp_seconds{" in stage.world.telemetry.exposition().decode()
    assert objective["willMissAt"].startswith("2023-11-15T00:1")  # 2 h after 22:13:20, when the share was 0.02
    row = next(row for row in stage.status()["scorecard"] if row["measure"] == "Errors")
    assert float(next(trend["perHour"] for trend in row["trends"] if trend["over"] == "1h")) == pytest.approx(
        0.04, 0.05
    )
    await stage.run(4 * 3600)
    assert stage.condition("ObjectivesMet") == ("True", "AllMet")
    assert "trimtab_policy_objective_miss_timestamp_seconds{" not in stage.world.telemetry.exposition().decode()


def _rising(seconds: float) -> float:
    """Share of errors: 0.02, from 0 on rising by 0.04 in an hour, for an hour and a half; then as it stands."""
    return 0.02 + 0.04 * min(1.5, max(0.0, seconds / 3600.0))


async def test_what_is_missed_again_and_again_is_not_called_met_until_five_good_minutes(stage: Stage) -> None:
    start = stage.clock.now()
    bad = 0.3 * stage.load.requests_per_second
    stage.prometheus.values[Signal.ERRORS_PER_SECOND] = lambda at: bad if 0.0 <= at - start < 2400.0 else 0.0
    stage.prometheus.error_reasons = {"rejected": bad}
    stage.apply_policy(mode="Recommend", objectives={"errorRatio": {"max": "0.05"}})
    await stage.run(2390)
    assert stage.condition("ObjectivesMet") == ("False", "Violated")
    row = next(row for row in stage.status()["scorecard"] if row["measure"] == "Errors")
    assert row["errors"] == [{"reason": "rejected", "ratio": "0.3"}]
    await stage.run(120)
    assert stage.condition("ObjectivesMet") == ("False", "Burning")
    (objective,) = stage.status()["objectives"]
    assert objective["met"] == "Met"
    assert objective["burnRate"]["lasting"] is True
    assert 'trimtab_policy_objective_burn_rate{namespace="prod",objective="errorRatio",policy="tune",window="1h"}' in (
        stage.world.telemetry.exposition().decode()
    )
    await stage.run(300)
    assert stage.condition("ObjectivesMet") == ("True", "AllMet")


async def test_a_prometheus_that_forgets_after_a_day_costs_the_week_and_nothing_else(stage: Stage) -> None:
    start = stage.clock.now()
    stage.prometheus.values[Signal.CACHE_HIT_RATIO] = lambda at: None if at < start - 86_400.0 else 0.9
    stage.apply_policy()
    await stage.run(60)
    row = next(row for row in stage.status()["scorecard"] if row["measure"] == "CacheHits")
    assert [trend["over"] for trend in row["trends"]] == ["1h", "1d"]
    assert row["trendReason"] == "7d: 1 of 7 steps of 24 h are known, 5 needed"


async def test_the_api_server_away_for_a_while_costs_nothing_but_time(stage: Stage) -> None:
    stage.apply_policy()
    await stage.run(60)
    for verb, kind in (("get", "OptimizationPolicy"), ("get", "Deployment"), ("list", "Pod")):
        stage.kube.fail(verb, kind, KubeUnavailable, times=7)
    stage.load.requests_per_second = 25.0
    await stage.run(400)
    assert stage.replicas() >= 3
    assert stage.outcomes["KubeUnavailable"] >= 7


async def test_an_invalid_policy_says_so_and_another_is_not_touched(stage: Stage) -> None:
    stage.apply_policy("good")
    stage.apply_policy("bad", scaling={"minReplicas": "many", "maxReplicas": 3})
    await stage.run(120)
    assert stage.condition("Ready", "bad") == ("False", "InvalidSpec")
    message = stage.status("bad")["conditions"][0]["message"]
    assert "spec.scaling.minReplicas" in message
    assert "'many'" in message
    assert stage.status("good")["phase"] != "Unknown"


async def test_thirty_policies_of_one_interval_share_their_queries() -> None:
    stage = Stage()
    for number in range(30):
        stage.deploy(f"model-{number}")
        stage.apply_policy(f"tune-{number}", f"model-{number}", mode="Recommend")
    await stage.run(60)
    stage.prometheus.queries.clear()
    start = stage.outcomes["ok"]
    await stage.run(30)
    assert stage.outcomes["ok"] - start >= 60
    assert max(Counter(stage.prometheus.queries).values()) == 2


async def test_a_restarted_operator_sees_the_history_that_the_living_one_saw(stage: Stage) -> None:
    from trimtab_operator.controllers.refusals import parse_policy
    from trimtab_operator.observation.observe import observe

    stage.apply_policy()
    for load in (3.0, 6.0, 9.0, 4.0):
        stage.load.requests_per_second = load
        await stage.run(97)
    body = stage.kube.stored(POLICIES, NAMESPACE, "tune")
    living = await observe(stage.world.eyes, body, parse_policy(body), stage.clock.now())
    stage.start()
    restarted = await observe(stage.world.eyes, body, parse_policy(body), stage.clock.now())
    assert {name: [point.at for point in series.points] for name, series in living.history.items()} == {
        name: [point.at for point in series.points] for name, series in restarted.history.items()
    }


async def test_a_closed_gate_lets_no_write_through(stage: Stage) -> None:
    from trimtab_operator.errors import LeadershipLost

    stage.apply_policy()
    stage.gate.close()
    with pytest.raises(LeadershipLost):
        await stage.run(60)
    assert stage.kube.writes == []
    assert isinstance(stage.kube, FakeKube)
