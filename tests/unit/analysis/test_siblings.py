"""Which replica is worse than its siblings, and which only has another load."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import (
    NOW,
    a_distribution,
    a_pod,
    a_policy,
    a_reading,
    a_snapshot,
    a_target,
    buckets,
)

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.siblings import CONSTRAINT, worse_replicas
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

Fleet = dict[str, tuple[float, float, float]]
"""By pod: requests per second, busy share, median latency in seconds."""

EVEN: Fleet = {f"chat-{number}": (20.0, 0.4, 0.05) for number in range(4)}
SICK: Fleet = EVEN | {"chat-2": (20.0, 0.8, 0.11)}


def a_fleet(fleet: Fleet, *, warm_seconds: float = 3600.0, **overrides: Any) -> Snapshot:
    pods = tuple(a_pod(name, ready_at=NOW - warm_seconds) for name in fleet)
    readings = {
        Signal.REQUESTS_PER_SECOND: {name: rate for name, (rate, _, _) in fleet.items()},
        Signal.BUSY_RATIO: {name: busy for name, (_, busy, _) in fleet.items()},
    }
    latency = {name: buckets(20.0 * rate, seconds) for name, (rate, _, seconds) in fleet.items()}
    return a_snapshot(
        target=a_target(pods=pods),
        readings={signal: a_reading(signal, by_pod) for signal, by_pod in readings.items()},
        distributions={Signal.LATENCY_SECONDS: a_distribution(Signal.LATENCY_SECONDS, latency)},
        **overrides,
    )


def worse(fleet: Fleet, **overrides: Any) -> list[str]:
    return [each.pod for each in worse_replicas(a_fleet(fleet, **overrides), a_policy())]


@pytest.mark.parametrize(
    ("fleet", "expected"),
    [
        pytest.param(EVEN, [], id="alike"),
        pytest.param(SICK, ["chat-2"], id="one is twice as slow"),
        pytest.param(EVEN | {"chat-2": (10.0, 0.4, 0.04)}, [], id="less load, smaller batches"),
        pytest.param(EVEN | {"chat-2": (40.0, 0.7, 0.15)}, [], id="more load, longer waits"),
        pytest.param(EVEN | {"chat-2": (20.0, 0.48, 0.06)}, [], id="a fifth slower"),
        pytest.param(EVEN | {"chat-2": (20.0, 0.1, 0.01)}, [], id="better"),
        pytest.param({name: SICK[name] for name in ("chat-1", "chat-2")}, [], id="of two nobody knows which"),
        pytest.param({name: SICK[name] for name in ("chat-0", "chat-1", "chat-2")}, ["chat-2"], id="of three"),
        pytest.param(dict.fromkeys(EVEN, (0.5, 0.1, 0.05)) | {"chat-2": (0.5, 0.4, 0.5)}, [], id="few answers"),
        pytest.param(dict.fromkeys(EVEN, (20.0, 0.0, 0.05)), [], id="nothing is busy"),
    ],
)
def test_a_replica_is_worse_where_both_its_cost_and_its_latency_stand_out(fleet: Fleet, expected: list[str]) -> None:
    assert worse(fleet) == expected


def test_a_replica_that_has_just_started_is_cold_and_not_worse() -> None:
    assert worse(SICK, warm_seconds=599.0) == []
    assert worse(SICK, warm_seconds=600.0) == ["chat-2"]


def test_a_pod_that_is_given_another_setting_is_no_sibling() -> None:
    tuning = {"settings": {}, "change": {"trial": "chat-1", "settings": {}, "pods": ["uid-chat-2"]}}
    assert worse_replicas(a_fleet(SICK), a_policy(status={"tuning": tuning})) == ()


def test_one_that_was_named_stays_named_until_it_is_clearly_no_longer_worse() -> None:
    less = a_fleet(EVEN | {"chat-2": (20.0, 0.49, 0.062)})
    standing = a_policy(status={"constraints": [{"name": CONSTRAINT, "reason": "chat-2"}]})
    assert worse_replicas(less, a_policy()) == ()
    assert [each.pod for each in worse_replicas(less, standing)] == ["chat-2"]


@pytest.mark.parametrize("missing", ["busy", "latency", "requests", "resolution", "target"])
def test_without_data_nobody_is_called_worse(missing: str) -> None:
    seen = a_fleet(SICK)
    readings, distributions = dict(seen.readings), dict(seen.distributions)
    if missing == "busy":
        del readings[Signal.BUSY_RATIO]
    if missing == "requests":
        del readings[Signal.REQUESTS_PER_SECOND]
    if missing == "latency":
        del distributions[Signal.LATENCY_SECONDS]
    if missing == "resolution":
        first = {name: buckets(400.0, 0.0005) for name in SICK}
        distributions = {Signal.LATENCY_SECONDS: a_distribution(Signal.LATENCY_SECONDS, first)}
    target = TargetProblem("NotFound", "gone") if missing == "target" else seen.target
    found = a_snapshot(target=seen.target, readings=readings, distributions=distributions)  # type: ignore[arg-type]
    changed = type(found)(**{**vars(found), "readings": readings, "distributions": distributions, "target": target})
    assert worse_replicas(changed, a_policy()) == ()


def test_it_is_named_with_how_much_worse_it_is_and_takes_part_in_no_trial() -> None:
    found = analyze(a_fleet(SICK), a_policy())
    (named,) = [each for each in found.constraints if each.name == CONSTRAINT]
    assert "chat-2 (2.0 times theirs, z " in named.reason
    assert found.worse_pods == {"chat-2"}
    assert analyze(a_fleet(EVEN), a_policy()).worse_pods == frozenset()
