"""Acting: only on a stored intent, on the very object it was written for, twice is once. Reporting: one small patch."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.kube import FakeKube, deployment, mode_configmap, policy
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_api import OptimizationPolicy
from trimtab_operator.actuation.board import TuningBoard
from trimtab_operator.actuation.events import QUIET_SECONDS, EventLedger
from trimtab_operator.actuation.execute import Hands, execute
from trimtab_operator.actuation.fail_point import FailPoint
from trimtab_operator.actuation.report import merge_patch, report
from trimtab_operator.actuation.scale import scale
from trimtab_operator.errors import KubeConflict, KubeNotFound, KubeUnavailable, UnsafeStep
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.resources import CONFIG_MAPS, DEPLOYMENTS, EVENTS, POLICIES
from trimtab_operator.model.action import Event, Scale, Step
from trimtab_operator.model.snapshot import Snapshot, Target, TargetProblem

INTENT = {"id": "i1", "kind": "Scale", "from": "1", "to": "3", "reason": "busy", "at": "2026-01-01T00:00:00Z"}
ACTION = Scale("prod", "llama", "Deployment", 3, "ignored", "i1")


@pytest.fixture
def kube() -> FakeKube:
    kube = FakeKube()
    kube.seed(DEPLOYMENTS, deployment("prod", "llama", replicas=1))
    kube.seed(POLICIES, policy("prod", "tune", "llama"))
    kube.seed(CONFIG_MAPS, mode_configmap("sys", "Apply"))
    return kube


def uid(kube: FakeKube) -> str:
    return str(kube.stored(DEPLOYMENTS, "prod", "llama")["metadata"]["uid"])


def hands(kube: FakeKube, clock: FakeClock | None = None) -> Hands:
    switch = ModeSwitch(kube, clock or FakeClock(), "sys", "trimtab-mode")
    return Hands(kube, switch, TuningBoard(lambda _: None, tuple), FailPoint())


def stored_policy(kube: FakeKube, intent: dict[str, Any] | None = INTENT) -> OptimizationPolicy:
    body = kube.stored(POLICIES, "prod", "tune")
    return OptimizationPolicy.model_validate(body | {"status": {"intent": intent} if intent else {}})


def snapshot(kube: FakeKube) -> Snapshot:
    body = kube.stored(DEPLOYMENTS, "prod", "llama")
    metadata = body["metadata"]
    return Snapshot(
        now=0.0,
        target=Target(
            kind="Deployment",
            namespace="prod",
            name="llama",
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=1,
            replicas=1,
            container="server",
            runtime="trimtab",
            template_hash="t",
            rolling_out=False,
            pods=(),
        ),
    )


def step(*actions: Scale, status: dict[str, Any] | None = None, events: tuple[Event, ...] = ()) -> Step:
    return Step(status, actions, events, 15.0)


async def test_a_stored_intent_is_acted_upon_once_however_often_it_is_tried(kube: FakeKube) -> None:
    for _ in range(2):
        await execute(hands(kube), stored_policy(kube), snapshot(kube), step(ACTION))
    assert kube.stored(DEPLOYMENTS, "prod", "llama")["spec"]["replicas"] == 3
    assert kube.writes == [("patch", "Deployment/scale", "prod/llama")]


@pytest.mark.parametrize(
    ("intent", "status", "action"),
    [
        pytest.param(None, None, ACTION, id="no stored intent"),
        pytest.param(INTENT | {"id": "other"}, None, ACTION, id="another stored intent"),
        pytest.param(INTENT, {"intent": INTENT | {"id": "new"}}, ACTION, id="a new intent in the same step"),
        pytest.param(INTENT, {}, ACTION, id="the intent removed in the same step"),
        pytest.param(INTENT | {"to": "2"}, None, ACTION, id="another number"),
    ],
)
async def test_a_step_that_persists_and_acts_at_once_is_refused(
    kube: FakeKube, intent: dict[str, Any] | None, status: dict[str, Any] | None, action: Scale
) -> None:
    with pytest.raises(UnsafeStep):
        await execute(hands(kube), stored_policy(kube, intent), snapshot(kube), step(action, status=status))
    assert kube.writes == []


async def test_without_a_target_nothing_is_acted_upon(kube: FakeKube) -> None:
    gone = Snapshot(now=0.0, target=TargetProblem("NotFound", "gone"))
    with pytest.raises(UnsafeStep):
        await execute(hands(kube), stored_policy(kube), gone, step(ACTION))


async def test_a_pulled_kill_switch_withholds_the_act(kube: FakeKube) -> None:
    kube.edit(CONFIG_MAPS, "sys", "trimtab-mode", {"data": {"maxMode": "Recommend"}})
    await execute(hands(kube), stored_policy(kube), snapshot(kube), step(ACTION))
    assert kube.writes == []


@pytest.mark.parametrize("case", ["another object", "another number"])
async def test_a_changed_world_is_a_conflict(kube: FakeKube, case: str) -> None:
    other_object = case == "another object"
    with pytest.raises(KubeConflict):
        await scale(kube, ACTION, uid="old" if other_object else uid(kube), expected_replicas=1 if other_object else 2)
    assert kube.writes == []


async def test_a_change_between_read_and_write_is_a_conflict(kube: FakeKube) -> None:
    read = kube.get_scale

    async def read_then_somebody_edits(namespace: str, name: str) -> dict[str, Any]:
        found = await read(namespace, name)
        kube.edit(DEPLOYMENTS, namespace, name, {"spec": {"replicas": 7}})
        return found

    kube.get_scale = read_then_somebody_edits  # type: ignore[method-assign]
    with pytest.raises(KubeConflict):
        await scale(kube, ACTION, uid=uid(kube), expected_replicas=1)
    assert kube.stored(DEPLOYMENTS, "prod", "llama")["spec"]["replicas"] == 7


async def test_a_target_that_is_gone_is_not_found(kube: FakeKube) -> None:
    with pytest.raises(KubeNotFound):
        await scale(kube, Scale("prod", "gone", "Deployment", 3, "", "i1"), uid="u", expected_replicas=1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_nulls(part) for part in value]
    return value


@given(old=OBJECTS, new=OBJECTS)
@settings(max_examples=60)
def test_the_patch_of_two_statuses_turns_one_into_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    from fakes.kube import merge

    old, wanted = without_nulls(old), without_nulls(new)
    patch = merge_patch(old, new)
    assert (patch == {}) == (old == wanted)
    merge(old, patch)
    assert without_nulls(old) == wanted


def events(kube: FakeKube, clock: FakeClock) -> EventLedger:
    return EventLedger(kube, clock, "operator-1")


async def test_an_unchanged_status_is_not_written(kube: FakeKube) -> None:
    kube.edit(POLICIES, "prod", "tune", {"status": {"phase": "Analysis"}})
    body = kube.stored(POLICIES, "prod", "tune")
    await report(kube, events(kube, FakeClock()), FailPoint(), body, step(status={"phase": "Analysis", "intent": None}))
    assert kube.writes == []


async def test_a_status_is_written_against_the_version_that_was_read(kube: FakeKube) -> None:
    body = kube.stored(POLICIES, "prod", "tune")
    kube.edit(POLICIES, "prod", "tune", {"spec": {"mode": "Paused"}})
    event = Event("Normal", "PhaseChanged", "x")
    with pytest.raises(KubeConflict):
        await report(
            kube, events(kube, FakeClock()), FailPoint(), body, step(status={"phase": "Analysis"}, events=(event,))
        )
    assert kube.all(EVENTS) == []


async def test_an_event_repeated_soon_stays_quiet_and_later_is_counted_up(kube: FakeKube) -> None:
    clock = FakeClock()
    ledger, body = events(kube, clock), kube.stored(POLICIES, "prod", "tune")
    event = Event("Warning", "MetricsNoData", "no series")
    for _ in range(3):
        await ledger.publish(body, event)
    (sent,) = kube.all(EVENTS)
    assert (sent["count"], sent["reason"], sent["involvedObject"]["name"]) == (1, "MetricsNoData", "tune")
    clock.tick(QUIET_SECONDS)
    await ledger.publish(body, event)
    (sent,) = kube.all(EVENTS)
    assert sent["count"] == 4
    await ledger.publish(body, Event("Warning", "MetricsNoData", "another message"))
    assert len(kube.all(EVENTS)) == 2


async def test_an_event_that_the_server_has_forgotten_is_made_again(kube: FakeKube) -> None:
    clock = FakeClock()
    ledger, body, event = events(kube, clock), kube.stored(POLICIES, "prod", "tune"), Event("Normal", "Scaled", "x")
    await ledger.publish(body, event)
    (sent,) = kube.all(EVENTS)
    kube.vanish(EVENTS, "prod", sent["metadata"]["name"])
    clock.tick(QUIET_SECONDS)
    await ledger.publish(body, event)
    assert len(kube.all(EVENTS)) == 1


async def test_an_event_that_cannot_be_written_does_not_fail_the_tick_and_is_sent_the_next_time(kube: FakeKube) -> None:
    ledger, body = events(kube, FakeClock()), kube.stored(POLICIES, "prod", "tune")
    kube.fail("create", "Event", KubeUnavailable)
    for _ in range(2):
        await ledger.publish(body, Event("Normal", "Scaled", "x" * 3000))
    (sent,) = kube.all(EVENTS)
    assert len(sent["message"]) == 1024


async def test_what_is_remembered_of_events_is_bounded(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    from trimtab_operator.actuation import events as module

    monkeypatch.setattr(module, "REMEMBERED", 3)
    ledger, body = events(kube, FakeClock()), kube.stored(POLICIES, "prod", "tune")
    for number in range(10):
        await ledger.publish(body, Event("Normal", "Scaled", str(number)))
    assert len(ledger._sent) == 3
