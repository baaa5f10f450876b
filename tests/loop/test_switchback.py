"""Switchbacks through many ticks: one replica alone is tuned by turns of its old and new settings."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fakes.tuned_stage import Tuned
from fakes.world import NAMESPACE

from trimtab_operator.errors import KubeUnavailable
from trimtab_operator.kube.resources import DEPLOYMENTS, PODS, POLICIES, TRIALS
from trimtab_operator.model.signals import Signal

RULES = {"window": "2m", "maxWindow": "10m", "minRequests": 100, "maxTrials": 1}


class Single(Tuned):
    """One attached replica near saturation; `broken` is how many requests a second fail with the change."""

    broken: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.load.requests_per_second = 8.5
        self.prometheus.per_pod[Signal.ERRORS_PER_SECOND] = self._errors_of
        self.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": 1}})
        self.kube.settle(NAMESPACE, "llama")

    def tune(self, **spec: Any) -> None:
        super().tune(**{"trial": RULES, **spec})

    def _errors_of(self, pod: str, at: float) -> float:
        return self.broken if self.fleet.settings(pod, at)["maxBatchSize"] > 1 else 0.0

    def pod(self) -> str:
        ((_, name),) = self.kube.names(PODS)
        return name

    def turns(self, pod: str) -> list[int]:
        """The batch sizes that the engine ran with, one after the other."""
        uid = next(body["metadata"]["uid"] for body in self.kube.all(PODS) if body["metadata"]["name"] == pod)
        return [settings["maxBatchSize"] for _, settings in self.fleet.changes[uid]]

    async def run_to_period(self, arm: str, number: int = 1) -> dict[str, Any]:
        """Run until so many periods with the change (Canary) or without it were noted."""
        for _ in range(1800):
            await self.run(1.0)
            periods = [] if not self.trials() else self.trials()[-1].get("status", {}).get("periods", [])
            if periods and periods[-1]["arm"] == arm and sum(each["arm"] == arm for each in periods) >= number:
                return self.trials()[-1]
        raise AssertionError(f"no such period: {self.trials()}")


@pytest.fixture
def stage() -> Single:
    return Single()


async def test_a_change_that_helps_one_replica_alone_is_found_by_turns_and_kept(stage: Single) -> None:
    stage.tune()
    trial = await stage.run_to("Measuring")
    assert (trial["spec"]["design"], len(trial["spec"]["pods"])) == ("Switchback", 1)
    assert (
        "by Switchback"
        in next(each for each in stage.status()["conditions"] if each["type"] == "Progressing")["message"]
    )
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    assert "pairs of periods" in trial["status"]["reason"]
    sizes = stage.turns(stage.pod())
    assert sizes == [8 if number % 2 == 0 else 1 for number in range(len(sizes))]
    assert len(sizes) >= 6, "both settings had their turns"
    await stage.run(60)
    assert stage.sizes() == [8]
    assert not [each for each in stage.entries() if "trial" in each]
    assert stage.status()["lastKnownGood"]["trial"] == trial["metadata"]["name"]
    assert stage.ledger() == ["TrialStarted", "TrialEnded", "RolledOut"]


async def test_while_the_pod_has_the_change_its_entry_carries_the_way_back_and_else_nothing(stage: Single) -> None:
    stage.tune()
    await stage.run_to_period("Canary")
    (entry,) = stage.entries()
    assert (entry["settings"]["maxBatchSize"], entry["fallback"]) == (8, {})
    assert entry["expiresAt"]
    await stage.run_to_period("Stable")
    (entry,) = stage.entries()
    assert entry["settings"] == {}
    assert "expiresAt" not in entry


async def test_a_change_that_hurts_is_given_up_and_the_old_settings_stay(stage: Single) -> None:
    stage.gain = 0.7
    stage.load.requests_per_second = 6.5
    stage.tune(knobs={"batching": {"maxBatchSize": {"min": 1, "max": 8}}})
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Regressed", trial["status"]
    await stage.run(60)
    assert stage.sizes() == [1]
    assert "change" not in stage.status()["tuning"]


async def test_a_change_without_effect_is_not_kept(stage: Single) -> None:
    stage.gain = 1.0
    stage.tune()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Inconclusive", trial["status"]
    await stage.run(60)
    assert stage.sizes() == [1]


async def test_a_change_that_breaks_requests_is_taken_back_in_its_first_period(stage: Single) -> None:
    stage.broken = 2.0
    stage.tune(objectives={"errorRatio": {"max": "0.01"}}, trial=RULES | {"maxWindow": "20m"})
    await stage.run_to_period("Canary")
    trial = await stage.run_to("Finished", seconds=60.0)
    assert (trial["status"]["verdict"], trial["status"]["violations"]) == ("Regressed", 1)
    assert sum(each["arm"] == "Canary" for each in trial["status"]["periods"]) == 1
    await stage.run(60)
    assert stage.sizes() == [1]
    assert stage.ledger() == ["TrialStarted", "TrialEnded", "RolledBack"]


async def test_a_load_that_swings_from_minute_to_minute_neither_hides_nor_makes_an_effect(stage: Single) -> None:
    for gain, verdict in ((1.5, "Improved"), (1.0, "Inconclusive")):
        swinging = Single()
        swinging.gain = gain
        steady = swinging.prometheus.per_pod[Signal.BUSY_RATIO]

        def swings(pod: str, at: float, steady: Any = steady) -> float:
            return float(steady(pod, at)) * (1.0 + 0.08 * math.sin(at / 97.0))

        swinging.prometheus.per_pod[Signal.BUSY_RATIO] = swings
        swinging.tune()
        trial = await swinging.run_to("Finished")
        assert trial["status"]["verdict"] == verdict, trial["status"]


@pytest.mark.parametrize("arm", ["Canary", "Stable"])
async def test_a_new_process_goes_on_with_the_schedule_of_the_old_one(stage: Single, arm: str) -> None:
    stage.tune()
    await stage.run_to_period(arm, 2)
    stage.start()
    trial = await stage.run_to("Finished")
    undisturbed = Single()
    undisturbed.tune()
    other = await undisturbed.run_to("Finished")
    assert [each["arm"] for each in trial["status"]["periods"]] == [each["arm"] for each in other["status"]["periods"]]
    await stage.run(60)
    assert (trial["status"]["verdict"], stage.sizes()) == ("Improved", [8])


async def test_an_operator_that_is_away_for_minutes_costs_pairs_and_no_more(stage: Single) -> None:
    stage.tune()
    await stage.run_to_period("Canary", 2)
    stage.kube.fail("get", "OptimizationPolicy", KubeUnavailable, times=10_000)
    await stage.run(150)
    stage.kube.faults.clear()
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    assert len(trial["status"]["periods"]) < 20
    await stage.run(60)
    assert stage.sizes() == [8]


@pytest.mark.parametrize(
    ("verb", "kind"), [("patch", "OptimizationTrial"), ("patch", "OptimizationPolicy"), ("patch", "NodeTuning")]
)
@pytest.mark.parametrize("after", [False, True], ids=["before the write took effect", "after it took effect"])
async def test_a_write_that_fails_at_a_switch_is_made_good(stage: Single, verb: str, kind: str, after: bool) -> None:
    stage.tune()
    await stage.run_to_period("Stable")
    stage.kube.fail(verb, kind, KubeUnavailable, times=3, after=after)
    trial = await stage.run_to("Finished")
    await stage.run(60)
    assert (trial["status"]["verdict"], stage.sizes()) == ("Improved", [8]), trial["status"]
    assert stage.ledger() == ["TrialStarted", "TrialEnded", "RolledOut"]


async def test_agents_that_are_away_give_no_verdict_and_the_old_settings(stage: Single) -> None:
    stage.tune()
    await stage.run_to_period("Stable")
    stage.fleet.away = True
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] in {"NotIdentifiable", "Inconclusive"}, trial["status"]
    stage.fleet.away = False
    await stage.run(60)
    stage.fleet.answer()
    assert stage.sizes() == [1]


@pytest.mark.parametrize("arm", ["Canary", "Stable"])
async def test_what_ends_it_from_outside_leaves_the_old_settings_whoever_had_the_turn(arm: str) -> None:
    for how in ("rollback", "pod", "trial", "policy", "kill switch"):
        stage = Single()
        stage.tune()
        trial = await stage.run_to_period(arm)
        if how == "rollback":
            stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"rollbackTo": trial["metadata"]["name"]}})
        elif how == "pod":
            stage.kube.vanish(PODS, NAMESPACE, stage.pod())
        elif how == "trial":
            stage.kube.vanish(TRIALS, NAMESPACE, trial["metadata"]["name"])
            stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"knobs": {"batching": None}}})
        elif how == "policy":
            stage.kube.vanish(POLICIES, NAMESPACE, "tune")
        else:
            stage.allow("Recommend")
            await stage.run(60)
            stage.allow("Apply")
        await stage.run(60)
        stage.fleet.answer()
        assert stage.sizes() == [1], how
        assert not [each for each in stage.entries() if "trial" in each], how
        if how in {"rollback", "pod", "kill switch"}:
            assert stage.trials()[0]["status"]["verdict"] == "Inconclusive", how
            assert stage.trials()[0]["status"].get("violations", 0) == 0


async def test_a_new_template_ends_it_without_a_write_to_the_pod(stage: Single) -> None:
    stage.tune()
    await stage.run_to_period("Canary")
    before = stage.entries()
    stage.change_template()
    trial = await stage.run_to("Finished")
    await stage.run(30)
    assert trial["status"]["verdict"] == "TargetChanged"
    assert stage.entries() == before
    assert stage.status()["phase"] == "Discovery"


async def test_a_cache_is_not_tried_by_turns_and_the_policy_says_so(stage: Single) -> None:
    stage.tune(knobs={"cache": {"memory": {"max": "64Mi"}}})
    await stage.run(1200)
    assert stage.trials() == []
    said = {each["name"]: each["reason"] for each in stage.status()["constraints"]}
    assert "empties or refills its cache" in said["NeedsTwoReplicas"]
