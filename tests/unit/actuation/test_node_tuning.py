"""One node's NodeTuning: composed from what all policies ask, written where it differs."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.kube import FakeKube, mode_configmap, pod

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.node_tuning import EngineEntry
from trimtab_operator.actuation.board import PolicyKey, TuningBoard
from trimtab_operator.actuation.execute import Hands
from trimtab_operator.actuation.fail_point import FailPoint
from trimtab_operator.actuation.node_tuning import AUTHORITY_ANNOTATION, NodeTuner
from trimtab_operator.errors import KubeConflict, KubeUnavailable, LeadershipLost
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.resources import CONFIG_MAPS, NODE_TUNINGS, NODES, PODS
from trimtab_operator.trial.node_spec import Ask

CHAT: PolicyKey = ("prod", "chat")
NODE = "node"
UNDER_TRIAL = {
    "settings": {"maxBatchSize": 8},
    "trial": "chat-1",
    "expiresAt": "2027-01-15T09:00:00Z",
    "fallback": {"maxBatchSize": 1},
}


class Bench:
    """One node, one policy, and a tuner."""

    def __init__(self, *namespaces: str) -> None:
        self.clock = FakeClock()
        self.gate = WriteGate(self.clock)
        self.gate.open_until(float("inf"))
        self.kube = FakeKube(gate=self.gate)
        self.kube.seed(CONFIG_MAPS, mode_configmap("sys", "Apply"))
        self.kube.seed(NODES, {"metadata": {"name": NODE}})
        self.policies: list[PolicyKey] = [CHAT]
        self.board = TuningBoard(lambda _: None, lambda: self.policies)
        switch = ModeSwitch(self.kube, self.clock, "sys", "trimtab-mode")
        self.authority: str | None = "first"
        hands = Hands(self.kube, switch, self.board, FailPoint())
        self.tuner = NodeTuner(hands, lambda: self.authority, namespaces)

    def ask(self, *pods: str, batch: int | None = None) -> None:
        self.board.put(
            CHAT,
            tuple(
                Ask(
                    NODE,
                    EngineEntry(
                        pod_uid=f"uid-{name}",
                        namespace="prod",
                        pod=name,
                        settings=EngineSettings(max_batch_size=batch),
                    ),
                )
                for name in pods
            ),
            tunes=True,
        )

    def seed(self, *entries: dict[str, Any], authority: str | None = "first") -> None:
        annotations = {AUTHORITY_ANNOTATION: authority} if authority else None
        metadata = {"name": NODE, "annotations": annotations}
        self.kube.seed(NODE_TUNINGS, {"metadata": metadata, "spec": {"engines": list(entries)}})

    def live(self, name: str, uid: str | None = None) -> None:
        body = pod("prod", "chat", name, self.clock.now())
        body["metadata"]["uid"] = uid or f"uid-{name}"
        self.kube.seed(PODS, body)

    def stored(self) -> dict[str, Any]:
        return self.kube.stored(NODE_TUNINGS, None, NODE)

    def entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.stored()["spec"]["engines"]
        return found


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {"podUid": f"uid-{name}", "namespace": "prod", "pod": name, "settings": {}, **fields}


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_first_entry_makes_the_object_and_it_goes_with_its_node(bench: Bench) -> None:
    bench.ask("chat-0")
    assert await bench.tuner.tune(NODE) == "written"
    metadata = bench.stored()["metadata"]
    node = bench.kube.stored(NODES, None, NODE)["metadata"]
    assert metadata["ownerReferences"] == [{"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": node["uid"]}]
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": "trimtab"}
    assert metadata["annotations"] == {AUTHORITY_ANNOTATION: "first"}
    assert bench.entries() == [entry("chat-0")]


async def test_a_node_that_is_gone_gets_no_object(bench: Bench) -> None:
    bench.kube.vanish(NODES, None, NODE)
    bench.ask("chat-0")
    assert await bench.tuner.tune(NODE) == "no node"
    assert bench.kube.writes == []


async def test_a_node_that_nobody_asks_for_gets_no_object(bench: Bench) -> None:
    bench.ask()
    assert await bench.tuner.tune(NODE) == "same"
    assert bench.kube.all(NODE_TUNINGS) == []


async def test_another_wish_replaces_the_whole_spec_and_nothing_is_written_twice(bench: Bench) -> None:
    bench.ask("chat-0")
    await bench.tuner.tune(NODE)
    bench.ask("chat-1", "chat-0", batch=8)
    assert await bench.tuner.tune(NODE) == "written"
    assert bench.entries() == [entry(name, settings={"maxBatchSize": 8}) for name in ("chat-0", "chat-1")]
    assert await bench.tuner.tune(NODE) == "same"
    assert [write[0] for write in bench.kube.writes] == ["create", "patch"]


async def test_the_order_of_the_entries_is_no_difference(bench: Bench) -> None:
    bench.seed(entry("chat-1"), entry("chat-0"))
    bench.ask("chat-0", "chat-1")
    assert await bench.tuner.tune(NODE) == "same"


async def test_a_write_on_what_somebody_else_has_changed_meanwhile_is_a_conflict(bench: Bench) -> None:
    bench.seed(entry("chat-0"))
    bench.ask("chat-0", batch=8)
    read = bench.kube.get

    async def read_then_somebody_edits(resource: Any, namespace: str | None, name: str) -> dict[str, Any]:
        found = await read(resource, namespace, name)
        if resource is NODE_TUNINGS:
            bench.kube.edit(NODE_TUNINGS, None, NODE, {"metadata": {"labels": {"edited": "yes"}}})
        return found

    bench.kube.get = read_then_somebody_edits  # type: ignore[method-assign]
    with pytest.raises(KubeConflict):
        await bench.tuner.tune(NODE)
    assert bench.entries() == [entry("chat-0")]


async def test_the_kill_switch_withholds_the_write(bench: Bench) -> None:
    bench.kube.edit(CONFIG_MAPS, "sys", "trimtab-mode", {"data": {"maxMode": "Recommend"}})
    bench.ask("chat-0")
    assert await bench.tuner.tune(NODE) == "withheld"
    assert bench.kube.writes == []


async def test_without_the_lease_nothing_is_written(bench: Bench) -> None:
    bench.gate.close()
    bench.ask("chat-0")
    with pytest.raises(LeadershipLost):
        await bench.tuner.tune(NODE)


async def test_before_every_policy_has_been_heard_the_entries_of_the_others_stay_as_they_are(bench: Bench) -> None:
    others = entry("search-0", **UNDER_TRIAL)
    bench.seed(others)
    bench.policies.append(("prod", "search"))
    bench.ask("chat-0")
    await bench.tuner.tune(NODE)
    assert bench.entries() == [entry("chat-0"), others]
    assert await bench.tuner.tune(NODE) == "waiting"
    assert ("get", "Pod", "prod/search-0") not in bench.kube.reads


@pytest.mark.parametrize(
    ("uid", "kept"),
    [
        pytest.param("uid-old-0", [entry("old-0", settings={"maxBatchSize": 1})], id="the pod lives: it falls back"),
        pytest.param("uid-new", [], id="another pod has its name"),
        pytest.param(None, [], id="the pod is gone"),
    ],
)
async def test_an_entry_that_nobody_asks_for_any_more(
    bench: Bench, uid: str | None, kept: list[dict[str, Any]]
) -> None:
    bench.seed(entry("old-0", **UNDER_TRIAL))
    if uid is not None:
        bench.live("old-0", uid)
    bench.ask()
    assert await bench.tuner.tune(NODE) == "written"
    assert bench.entries() == kept


async def test_what_was_promoted_stays_while_its_pod_lives(bench: Bench) -> None:
    bench.seed(entry("old-0", settings={"maxBatchSize": 8}))
    bench.live("old-0")
    bench.ask()
    assert await bench.tuner.tune(NODE) == "same"


async def test_the_entries_of_namespaces_that_another_installation_watches_are_left_alone() -> None:
    bench = Bench("prod")
    theirs = entry("search-0", **UNDER_TRIAL) | {"namespace": "elsewhere"}
    bench.seed(theirs, authority="theirs")
    bench.ask()
    assert await bench.tuner.tune(NODE) == "same"
    bench.ask("chat-0")
    assert await bench.tuner.tune(NODE) == "written"
    assert bench.entries() == [entry("chat-0"), theirs]
    bench.ask()
    assert await bench.tuner.tune(NODE) == "written"
    assert bench.entries() == [theirs]


async def test_while_pods_cannot_be_read_nothing_is_written(bench: Bench) -> None:
    bench.seed(entry("old-0", **UNDER_TRIAL))
    bench.kube.fail("get", "Pod", KubeUnavailable)
    bench.ask("chat-0")
    with pytest.raises(KubeUnavailable):
        await bench.tuner.tune(NODE)
    assert bench.kube.writes == []


async def test_an_entry_that_cannot_be_read_is_written_over(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.seed(entry("chat-0", settings={"maxBatchSize": "many"}), {"podUid": "alone"})
    bench.ask("chat-0")
    assert await bench.tuner.tune(NODE) == "written"
    assert bench.entries() == [entry("chat-0")]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "entry not read",
        "entry not read",
    ]


@pytest.mark.parametrize(
    ("held", "authority", "outcome", "after"),
    [
        pytest.param("first", "first", "same", "first", id="as it is"),
        pytest.param("first", "second", "written", "second", id="a new one"),
        pytest.param(None, "first", "written", "first", id="the first one"),
        pytest.param("first", None, "same", "first", id="not known now"),
    ],
)
async def test_agents_are_told_which_authority_signs(
    bench: Bench, held: str | None, authority: str | None, outcome: str, after: str
) -> None:
    bench.seed(entry("chat-0"), authority=held)
    bench.authority = authority
    bench.ask("chat-0")
    assert await bench.tuner.tune(NODE) == outcome
    assert bench.stored()["metadata"]["annotations"] == {AUTHORITY_ANNOTATION: after}
    assert bench.entries() == [entry("chat-0")]


async def test_an_object_made_before_an_authority_is_known_names_none(bench: Bench) -> None:
    bench.authority = None
    bench.ask("chat-0")
    await bench.tuner.tune(NODE)
    assert bench.stored()["metadata"]["annotations"] == {}
