"""The cache of policies: which changes it reports, and that a full list heals it."""

from __future__ import annotations

from typing import Any

from trimtab_operator.controllers.cache import PolicyCache, PolicyKey


def body(name: str, *, uid: str = "u", generation: int = 1, phase: str = "") -> dict[str, Any]:
    metadata = {"namespace": "prod", "name": name, "uid": uid, "generation": generation}
    return {"metadata": metadata, "spec": {"targetRef": {"name": "x"}}, "status": {"phase": phase}}


def recording() -> tuple[PolicyCache, list[PolicyKey]]:
    changed: list[PolicyKey] = []
    return PolicyCache(changed.append), changed


def test_a_new_policy_and_a_new_generation_are_changes_and_an_echo_of_status_is_not() -> None:
    cache, changed = recording()
    cache.put(body("a"))
    cache.put(body("a", phase="Analysis"))
    cache.put(body("a", generation=2))
    assert changed == [("prod", "a")] * 2


def test_a_policy_made_again_under_its_name_is_a_change() -> None:
    cache, changed = recording()
    cache.put(body("a"))
    cache.put(body("a", uid="other"))
    assert len(changed) == 2


def test_a_late_deletion_of_the_former_bearer_of_a_name_removes_nothing() -> None:
    cache, _ = recording()
    cache.put(body("a", uid="new"))
    cache.remove(("prod", "a"), uid="old")
    assert ("prod", "a") in cache
    cache.remove(("prod", "a"), uid="new")
    assert ("prod", "a") not in cache


def test_a_full_list_finds_what_the_watch_missed_and_buries_ghosts() -> None:
    cache, changed = recording()
    cache.put(body("ghost"))
    cache.put(body("same"))
    changed.clear()
    assert cache.replace_all([body("same"), body("unseen")]) == 2
    assert sorted(changed) == [("prod", "ghost"), ("prod", "unseen")]
    assert cache.replace_all([body("same"), body("unseen")]) == 0


def test_namespaces_are_those_that_hold_a_policy() -> None:
    cache, _ = recording()
    cache.put(body("a"))
    assert cache.namespaces() == ("prod",)
    cache.remove(("prod", "a"))
    assert cache.namespaces() == ()


def test_which_policies_there_are_is_known_from_the_first_full_list_on() -> None:
    cache, _ = recording()
    cache.put(body("a"))
    assert cache.all_keys() is None
    cache.replace_all([body("a")])
    cache.put(body("b"))
    assert cache.all_keys() == (("prod", "a"), ("prod", "b"))
