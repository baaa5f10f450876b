"""Documents and identities: what an entry becomes at a given time, and which tokens are whose."""

from __future__ import annotations

from collections.abc import Set
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.agent_api import pod_token
from fakes.agent_wire import entry

from trimtab_agent.engines.documents import document_for
from trimtab_agent.engines.identity import PodIdentity, Refusal, identify
from trimtab_agent.engines.known_tuning import KnownTuning
from trimtab_api.wire import entry_hash, settings_hash

END = datetime(2026, 1, 1, 12, tzinfo=UTC)
POD = PodIdentity("a", "pod-of-a", "system:serviceaccount:ns:default")
TRIAL = entry("a", {"maxBatchSize": 32}, trial="t", expiresAt="2026-01-01T12:00:00Z", fallback={"maxBatchSize": 8})


def tuning(*entries: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "n", "uid": "u", "generation": 3, **metadata}, "spec": {"engines": list(entries)}}


def test_a_promoted_entry_never_ends() -> None:
    document = document_for(tuning(entry("a", {"cacheMemory": "64Mi"})), "a", END + timedelta(days=1000))
    assert document is not None
    assert document["settings"] == {"cacheMemory": "64Mi"}
    assert document["version"] == {"uid": "u", "generation": 3, "hash": settings_hash({"cacheMemory": "64Mi"})}
    assert "trial" not in document


@pytest.mark.parametrize(
    ("before_end", "settings", "expires"),
    [(60.5, {"maxBatchSize": 32}, 60.5), (0.001, {"maxBatchSize": 32}, 0.001), (0, {"maxBatchSize": 8}, None)],
)
def test_a_trial_counts_down_to_its_fallback(before_end: float, settings: Any, expires: float | None) -> None:
    document = document_for(tuning(TRIAL), "a", END - timedelta(seconds=before_end))
    assert document is not None
    assert document["settings"] == settings
    assert document.get("expiresInSeconds") == (None if expires is None else pytest.approx(expires))
    assert ("trial" in document, "fallback" in document) == (expires is not None, expires is not None)
    assert document["entry"] == entry_hash(TRIAL)
    assert document["version"]["hash"] == settings_hash(settings)


@pytest.mark.parametrize("body", [None, tuning(), tuning(entry("b")), {"metadata": {"name": "n"}}])
def test_without_an_entry_there_is_no_document(body: dict[str, Any] | None) -> None:
    assert document_for(body, "a", END) is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (pod_token("a", "n"), POD),
        (pod_token("a", "n", ("other", "trimtab-agent")), POD),
        ({}, Refusal.NOT_AUTHENTICATED),
        ({**pod_token("a", "n"), "authenticated": "true"}, Refusal.NOT_AUTHENTICATED),
        ({**pod_token("a", "n"), "audiences": None}, Refusal.WRONG_AUDIENCE),
        (pod_token("a", "n", ("trimtab-agent-2",)), Refusal.WRONG_AUDIENCE),
        (pod_token("", "n"), Refusal.NOT_A_POD),
        ({**pod_token("a", "n"), "user": {"username": "admin"}}, Refusal.NOT_A_POD),
        (pod_token("a", "m"), Refusal.OTHER_NODE),
        (pod_token("a", ""), Refusal.OTHER_NODE),
    ],
)  # fmt: skip
def test_only_a_token_of_a_pod_of_this_node_for_this_audience_is_somebody(status: Any, expected: Any) -> None:
    assert identify(status, "n") == expected


def test_an_extra_with_two_values_says_nothing() -> None:
    status = pod_token("a", "n")
    status["user"]["extra"]["authentication.kubernetes.io/node-name"] = ["n", "m"]
    assert identify(status, "n") is Refusal.OTHER_NODE


def test_without_an_own_name_no_node_is_this_one() -> None:
    assert identify(pod_token("a", ""), "") is Refusal.OTHER_NODE


def test_a_new_body_names_exactly_the_pods_whose_entry_changed() -> None:
    known = KnownTuning()
    told: list[Set[str]] = []
    known.on_change(told.append)
    known.replace(tuning(entry("a"), entry("b")))
    known.replace(tuning(entry("a"), entry("b", {"maxBatchSize": 2}), entry("c"), generation=4))
    known.replace(tuning(entry("a"), generation=5))
    known.replace(None)
    assert told == [{"a", "b"}, {"b", "c"}, {"b", "c"}, {"a"}]
    assert known.synced
