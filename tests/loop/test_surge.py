"""Surges through many ticks: what one replica cannot try by turns is tried on one more, which then goes again."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fakes.tuned_stage import TRIAL, Tuned
from fakes.world import NAMESPACE

from trimtab_api.policy_status import HistoryEntry
from trimtab_operator.errors import KubeConflict, KubeUnavailable
from trimtab_operator.kube.resources import DEPLOYMENTS, PODS, POLICIES, TRIALS
from trimtab_operator.model.ledger import reason_of
from trimtab_operator.model.signals import Signal

CACHE = {"cache": {"memory": {"max": "16Mi"}}}
SCALING = {"minReplicas": 1, "maxReplicas": 2, "stabilization": "2m"}
SURGED = ["Scaled", "TrialStarted", "TrialEnded", "RolledOut", "Scaled"]


class Alone(Tuned):
    """One attached replica that is 60 % busy; a cache makes an answer cheaper by `gain`. Two replicas find a node."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.room = 2
        self.load.requests_per_second = 6.0
        self.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": 1}})
        self.kube.settle(NAMESPACE, "llama")

    def tune(self, **spec: Any) -> None:
        super().tune(**{"scaling": SCALING, "knobs": CACHE, **spec})

    def _busy_of(self, pod: str, at: float) -> float:
        cheaper = self.gain if self.fleet.settings(pod, at)["cacheMemory"] != "0" else 1.0
        wobble = 0.01 * math.sin(at / 7.0 + sum(map(ord, pod)))
        return min(1.0, self._share(at) / self.load.capacity / cheaper) * (1.0 + wobble)

    def caches(self) -> list[str]:
        """The cache of each engine."""
        return [self.fleet.settings(name)["cacheMemory"] for _, name in sorted(self.kube.names(PODS))]

    def scaled(self) -> list[tuple[str, str, str]]:
        """Our scalings, as the ledger tells them: from, to, reason."""
        entries = [HistoryEntry.model_validate(each) for each in self.status().get("history", [])]
        return [(each.from_, each.to, reason_of(each)) for each in entries if each.what == "Scaled"]

    def constraints(self) -> dict[str, str]:
        return {each["name"]: each["reason"] for each in self.status().get("constraints", [])}

    async def run_until_replicas(self, number: int, seconds: float = 1200.0) -> None:
        for _ in range(int(seconds)):
            if self.replicas() == number:
                return
            await self.run(1.0)
        raise AssertionError(f"never {number} replicas: {self.status()}")

    async def run_until_intent(self) -> None:
        for _ in range(1200):
            if self.status().get("intent"):
                return
            await self.tick(self.queue.next_due or 0.0)
        raise AssertionError(f"nothing was intended: {self.status()}")

    async def run_to_the_end(self) -> dict[str, Any]:
        """Run until the trial is over and the replica that was added for it is gone."""
        trial = await self.run_to("Finished")
        await self.run_until_replicas(1)
        await self.run(60)
        return trial


@pytest.fixture
def stage() -> Alone:
    return Alone()


async def test_a_cache_is_tried_on_one_replica_more_kept_and_the_replica_given_back(stage: Alone) -> None:
    before = stage.kube.names(PODS)
    stage.tune()
    trial = await stage.run_to("Measuring")
    assert stage.scaled() == [("1", "2", "Surge")]
    arms = {pod["name"]: pod["arm"] for pod in trial["spec"]["pods"]}
    assert trial["spec"]["design"] == "Surge"
    assert arms[before[0][1]] == "Stable"
    assert sorted(arms.values()) == ["Canary", "Stable"]
    assert stage.caches() == ["0", "16Mi"]
    trial = await stage.run_to("Finished")
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    await stage.run_until_replicas(1)
    await stage.run(60)
    assert stage.scaled() == [("1", "2", "Surge"), ("2", "1", "Utilization")]
    assert stage.ledger() == SURGED
    assert stage.caches() == ["16Mi"]
    written = len(stage.kube.writes)
    await stage.run(900)
    assert stage.kube.writes[written:] == []
    assert len(stage.trials()) == 1


async def test_a_change_without_effect_goes_and_so_does_the_replica(stage: Alone) -> None:
    stage.gain = 1.0
    stage.tune()
    trial = await stage.run_to_the_end()
    assert trial["status"]["verdict"] == "Inconclusive", trial["status"]
    assert stage.caches() == ["0"]


async def test_trials_that_follow_are_made_on_the_replica_that_is_there(stage: Alone) -> None:
    stage.prometheus.values |= {Signal.INPUT_REPEAT_RATIO: 0.6, Signal.CACHE_HIT_RATIO: 0.3}
    stage.tune(knobs={"cache": {"memory": {"max": "64Mi"}}}, trial=TRIAL | {"maxTrials": 2})
    await stage.run_to("Finished")
    while len(stage.trials()) < 2:
        await stage.run(1.0)
    await stage.run_to_the_end()
    tried = [(trial["spec"]["changeSummary"], trial["spec"]["design"]) for trial in stage.trials()]
    assert tried == [("cacheMemory 0→16Mi", "Surge"), ("cacheMemory 16Mi→64Mi", "Surge")]
    assert stage.scaled() == [("1", "2", "Surge"), ("2", "1", "Utilization")]


async def test_a_replica_that_finds_no_node_is_taken_back_said_and_not_asked_for_again(stage: Alone) -> None:
    stage.room = 1
    stage.tune()
    await stage.run_until_replicas(2)
    await stage.run_until_replicas(1, seconds=120.0)
    await stage.run(30)
    assert stage.scaled() == [("1", "2", "Surge"), ("2", "1", "Unschedulable")]
    said = stage.constraints()["NoRoomForSurge"]
    assert said.startswith("cacheMemory 0→16Mi is worth a trial, for which one more replica is needed")
    assert "Insufficient cpu" in said
    await stage.run(2 * 3600)
    assert len(stage.scalings()) == 2
    assert stage.trials() == []
    written = len(stage.kube.writes)
    await stage.run(600)
    assert stage.kube.writes[written:] == []


async def test_a_replica_that_does_not_serve_in_time_is_taken_back(stage: Alone) -> None:
    stage.settles = False
    stage.tune()
    await stage.run_until_replicas(2)
    stage.kube.settle(NAMESPACE, "llama", ready=False)
    await stage.run(590)
    assert stage.replicas() == 2
    await stage.run(60)
    assert stage.scaled()[-1] == ("2", "1", "SurgeTooLate")
    stage.kube.settle(NAMESPACE, "llama")
    await stage.run(900)
    assert "did not serve within 10 min" in stage.constraints()["NoRoomForSurge"]
    assert stage.replicas() == 1


async def test_a_policy_that_is_made_anew_asks_for_it_again(stage: Alone) -> None:
    stage.room = 1
    stage.tune()
    await stage.run_until_replicas(2)
    await stage.run_until_replicas(1)
    stage.kube.vanish(POLICIES, NAMESPACE, "tune")
    await stage.run(60)
    stage.room = 2
    stage.tune()
    trial = await stage.run_to_the_end()
    assert trial["status"]["verdict"] == "Improved"


@pytest.mark.parametrize("when", ["intended", "asked for", "serving", "RunIn", "Measuring", "Validating"])
async def test_a_new_process_goes_on_where_the_old_one_stood(stage: Alone, when: str) -> None:
    stage.tune()
    if when == "intended":
        await stage.run_until_intent()
        assert stage.replicas() == 1
    elif when == "asked for":
        stage.settles = False
        await stage.run_until_replicas(2)
    elif when == "serving":
        await stage.run_until_replicas(2)
    else:
        await stage.run_to(when)
    stage.start()
    stage.settles = True
    trial = await stage.run_to_the_end()
    assert trial["status"]["verdict"] == "Improved", trial["status"]
    assert stage.ledger() == SURGED
    assert len(stage.scalings()) == 2


@pytest.mark.parametrize("after", [False, True], ids=["before the write took effect", "after it took effect"])
async def test_a_conflict_or_a_lost_answer_at_any_write_ends_in_the_same_world(after: bool) -> None:
    for verb, kind in (
        ("patch", "OptimizationPolicy"),
        ("patch", "Deployment/scale"),
        ("create", "OptimizationTrial"),
        ("patch", "OptimizationTrial"),
    ):
        stage = Alone()
        stage.kube.fail(verb, kind, KubeUnavailable if after else KubeConflict, times=1, after=after)
        stage.tune()
        await stage.run_to_the_end()
        assert stage.ledger() == SURGED, (verb, kind)
        assert (stage.caches(), len(stage.trials())) == (["16Mi"], 1)


@pytest.mark.parametrize("when", ["intended", "asked for", "RunIn", "Measuring"])
async def test_the_kill_switch_in_mid_surge_lets_nothing_through_and_all_goes_back_afterwards(
    stage: Alone, when: str
) -> None:
    stage.tune()
    if when == "intended":
        await stage.run_until_intent()
    elif when == "asked for":
        await stage.run_until_replicas(2)
    else:
        await stage.run_to(when)
    stage.allow("Recommend")
    await stage.run(5)  # until it is effective
    replicas, scalings = stage.replicas(), len(stage.scalings())
    await stage.run(900)
    assert (stage.replicas(), len(stage.scalings())) == (replicas, scalings)
    stage.allow("Apply")
    await stage.run(3600)
    assert stage.replicas() == 1
    assert stage.caches() in (["16Mi"], ["0"])
    assert "change" not in stage.status()["tuning"]


async def test_recommend_adds_nothing_for_a_trial(stage: Alone) -> None:
    stage.tune(mode="Recommend")
    await stage.run(1200)
    assert stage.scalings() == []
    assert stage.status()["replicas"]["desired"] == 1


async def test_without_scaling_none_is_added_and_the_policy_says_what_is_needed(stage: Alone) -> None:
    stage.tune(scaling=None)
    await stage.run(1200)
    assert (stage.scalings(), stage.trials()) == ([], [])
    assert "empties or refills its cache" in stage.constraints()["NeedsTwoReplicas"]


async def test_what_a_person_rules_out_is_named(stage: Alone) -> None:
    stage.tune(trial=TRIAL | {"design": "PairedCanary"})
    await stage.run(1200)
    assert (stage.scalings(), stage.trials()) == ([], [])
    assert stage.constraints()["RuledOutByDesign"].startswith("spec.trial.design is PairedCanary: cacheMemory 0→16Mi")


async def test_the_canary_of_a_surge_that_goes_away_ends_it_without_a_violation(stage: Alone) -> None:
    stage.tune()
    trial = await stage.run_to("Measuring")
    canary = next(pod["name"] for pod in trial["spec"]["pods"] if pod["arm"] == "Canary")
    stage.kube.vanish(PODS, NAMESPACE, canary)
    trial = await stage.run_to_the_end()
    assert (trial["status"]["verdict"], trial["status"].get("violations", 0)) == ("Inconclusive", 0)
    assert stage.caches() == ["0"]


async def test_a_trial_that_somebody_deletes_leaves_no_replica_behind(stage: Alone) -> None:
    stage.tune()
    trial = await stage.run_to("RunIn")
    stage.kube.edit(POLICIES, NAMESPACE, "tune", {"spec": {"knobs": {"cache": None}}})
    stage.kube.vanish(TRIALS, NAMESPACE, trial["metadata"]["name"])
    await stage.run_until_replicas(1)
    assert stage.caches() == ["0"]
