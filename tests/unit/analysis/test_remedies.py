"""Which remedy of a bottleneck is forbidden, and who can do it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.builders import NOW, a_policy, a_reading, a_snapshot, a_target

from trimtab_api.findings import BottleneckKind as Kind
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.remedies import remedy_constraints
from trimtab_operator.model.analysis import Bottleneck
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

OURS, FOREIGN = a_snapshot(), a_snapshot(target=a_target(runtime="vllm"))


def named(kind: Kind, snapshot: Snapshot) -> dict[str, str]:
    found = remedy_constraints(Bottleneck(kind, 0.9, ()), snapshot, a_policy())
    return {each.name: each.reason for each in found}


@pytest.mark.parametrize(
    ("kind", "snapshot", "name", "text"),
    [
        (Kind.CPU, OURS, "CpuLimitNotWritten", "raise resources.limits.cpu"),
        (Kind.NETWORK, OURS, "BandwidthNotWritten", "kubernetes.io/ingress-bandwidth"),
        (Kind.POWER_THROTTLE, FOREIGN, "PowerNotWritten", "power limit"),
        (Kind.KV_CAPACITY, FOREIGN, "EngineNotTunable", "KvCapacity limits, and no setting of runtime vllm"),
        (Kind.MEMORY_BANDWIDTH, FOREIGN, "EngineNotTunable", "only replicas"),
    ],
)
def test_a_forbidden_remedy_says_what_forbids_it(kind: Kind, snapshot: Snapshot, name: str, text: str) -> None:
    found = named(kind, snapshot)
    assert set(found) == {name}
    assert text in found[name]


@pytest.mark.parametrize("kind", [Kind.QUEUE, Kind.COMPUTE, Kind.MEMORY_BANDWIDTH, Kind.GPU_MEMORY])
def test_what_settings_of_our_engine_relieve_is_not_forbidden(kind: Kind) -> None:
    assert named(kind, OURS) == {}


@pytest.mark.parametrize("kind", [Kind.UNDERUSED, Kind.NONE])
def test_where_nothing_limits_there_is_no_remedy_to_forbid(kind: Kind) -> None:
    assert named(kind, FOREIGN) == {}


def test_without_a_bottleneck_or_a_target_nothing_is_forbidden() -> None:
    gone = Snapshot(now=NOW, target=TargetProblem("NotFound", "gone"))
    assert named(Kind.CPU, gone) == {}
    assert remedy_constraints(None, OURS, a_policy()) == ()


def test_the_forbidden_remedy_is_among_the_constraints() -> None:
    cache = a_reading(Signal.KV_CACHE_USED_RATIO, {"chat-0": 0.95, "chat-1": 0.95})
    full = replace(FOREIGN, readings=FOREIGN.readings | {Signal.KV_CACHE_USED_RATIO: cache})
    assert "EngineNotTunable" in {each.name for each in analyze(full, a_policy()).constraints}
