"""The whole spec of one NodeTuning: what policies ask for, and what stays when they do not speak."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import CANARY, NOW, STABLE, a_pod, a_tuning
from fakes.stands import a_tuned_policy, a_tuned_snapshot, attached_pods, attached_target
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_api.node_tuning import MAX_ENGINES, EngineEntry
from trimtab_api.policy_status import Tuning
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.trial.node_spec import Ask, asks_of, node_spec
from trimtab_operator.trial.texts import when

ENDS = when(NOW + 600.0)
UNDER_TEST = a_tuning(STABLE, change={})


def an_entry(uid: str, *, under_trial: bool = False) -> EngineEntry:
    entry = EngineEntry(pod_uid=uid, namespace="prod", pod=f"pod-{uid}", settings=CANARY)
    trial = {"trial": "chat-1", "expires_at": ENDS, "fallback": STABLE}
    return entry.model_copy(update=trial) if under_trial else entry


def asked(tuning: Tuning | None, *, snapshot: Snapshot | None = None, **spec: Any) -> tuple[Ask, ...]:
    policy = a_tuned_policy(status={"tuning": tuning}, **spec)
    return asks_of(policy, snapshot or a_tuned_snapshot())


def test_every_attached_pod_is_asked_for_the_settings_of_the_policy() -> None:
    found = asked(a_tuning(STABLE))
    assert [(ask.node, ask.entry.pod, ask.entry.pod_uid) for ask in found] == [
        ("node-a", "chat-0", "uid-chat-0"),
        ("node-a", "chat-1", "uid-chat-1"),
    ]
    assert all((ask.entry.settings, ask.entry.trial, ask.entry.namespace) == (STABLE, None, "prod") for ask in found)


def test_a_pod_under_trial_has_an_end_and_a_way_back() -> None:
    canary, stable = (ask.entry for ask in asked(UNDER_TEST))
    assert (canary.settings, canary.trial, canary.expires_at, canary.fallback) == (CANARY, "chat-1", ENDS, STABLE)
    assert (stable.settings, stable.trial, stable.expires_at, stable.fallback) == (STABLE, None, None, None)


def test_a_pod_of_a_rollout_has_the_change_for_good() -> None:
    canary, stable = (ask.entry for ask in asked(a_tuning(STABLE, change={"expiresAt": None})))
    assert (canary.settings, canary.trial, canary.expires_at, canary.fallback) == (CANARY, None, None, None)
    assert stable.settings == STABLE


@pytest.mark.parametrize(
    ("tuning", "fields"),
    [
        pytest.param(None, {}, id="nothing tuned yet"),
        pytest.param(UNDER_TEST, {"mode": "Recommend"}, id="mode Recommend"),
        pytest.param(UNDER_TEST, {"mode": "Paused"}, id="mode Paused"),
        pytest.param(UNDER_TEST, {"snapshot": Snapshot(NOW, TargetProblem("NotFound", "gone"))}, id="no target"),
        pytest.param(UNDER_TEST, {"snapshot": a_tuned_snapshot(taken_by="prod/older")}, id="an older policy has it"),
    ],
)
def test_a_policy_that_may_not_act_asks_for_nothing(tuning: Tuning | None, fields: dict[str, Any]) -> None:
    assert asked(tuning, **fields) == ()


def test_pods_that_cannot_ask_or_are_nowhere_are_left_out_and_one_on_its_way_out_keeps_its_entry() -> None:
    pods = (
        *attached_pods(1),
        a_pod("chat-1"),
        a_pod("chat-2", attachable=True, deleting=True),
        a_pod("chat-3", attachable=True, node=None, ready=False),
        a_pod("chat-4", attachable=True, ready=False, node="node-b"),
    )
    found = asked(a_tuning(), snapshot=a_tuned_snapshot(target=attached_target(pods=pods)))
    assert [(ask.node, ask.entry.pod) for ask in found] == [
        ("node-a", "chat-0"),
        ("node-a", "chat-2"),
        ("node-b", "chat-4"),
    ]


def test_while_not_every_policy_has_been_heard_entries_stay_exactly_as_they_are() -> None:
    left = (an_entry("b", under_trial=True), an_entry("c"))
    assert node_spec([an_entry("a")], left, set(), complete=False) == (an_entry("a"), *left)


def test_an_entry_that_nobody_asks_for_falls_back_while_its_pod_lives_and_goes_with_it() -> None:
    left = (an_entry("b", under_trial=True), an_entry("c"), an_entry("d"))
    fallen = an_entry("b").model_copy(update={"settings": STABLE})
    assert node_spec([], left, {"b", "c"}, complete=True) == (fallen, an_entry("c"))


def test_what_is_asked_for_replaces_what_is_there() -> None:
    assert node_spec([an_entry("a")], [an_entry("a", under_trial=True)], set(), complete=True) == (an_entry("a"),)


def test_more_entries_than_fit_are_cut_and_what_is_asked_for_stays() -> None:
    wanted = [an_entry(f"z{number:03d}") for number in range(MAX_ENGINES - 1)]
    left = [an_entry("a"), an_entry("b")]
    found = node_spec(wanted, left, {"a", "b"}, complete=True)
    assert len(found) == MAX_ENGINES
    assert found == node_spec(wanted[::-1], left[::-1], {"a", "b"}, complete=True)
    assert set(found) > set(wanted)


ENTRIES = st.lists(
    st.builds(an_entry, st.sampled_from([f"pod{number}" for number in range(12)]), under_trial=st.booleans()),
    max_size=10,
    unique_by=lambda entry: entry.pod_uid,
)
FULL = [an_entry(f"x{number:03d}") for number in range(MAX_ENGINES - 5)]
LIVING = st.frozensets(st.sampled_from([f"pod{number}" for number in range(12)]))


@given(others=st.sampled_from([[], FULL]), few=ENTRIES, existing=ENTRIES, living=LIVING, complete=st.booleans())
@settings(max_examples=60)
def test_a_composition_is_idempotent_order_free_and_loses_nothing_of_who_was_not_heard(
    others: list[EngineEntry],
    few: list[EngineEntry],
    existing: list[EngineEntry],
    living: frozenset[str],
    complete: bool,
) -> None:
    wanted = [*few, *others]
    found = node_spec(wanted, existing, living, complete=complete)
    assert node_spec(wanted, found, living, complete=complete) == found, "idempotent"
    assert node_spec(wanted[::-1], existing[::-1], living, complete=complete) == found, "order-free"
    assert len(found) <= MAX_ENGINES
    uids = [entry.pod_uid for entry in found]
    assert uids == sorted(set(uids))
    asking = {entry.pod_uid for entry in wanted}
    silent = [entry for entry in existing if entry.pod_uid not in asking]
    room = len(wanted) + len(silent) <= MAX_ENGINES
    assert not room or set(wanted) <= set(found)
    if complete:
        assert all(entry.fallback is None for entry in found if entry.pod_uid not in asking), "trials fall back"
        kept = {entry.pod_uid for entry in silent} & living
        assert {uid for uid in uids if uid not in asking} <= kept
    elif room:
        assert set(silent) <= set(found), "nothing of a policy that was not heard is lost"
