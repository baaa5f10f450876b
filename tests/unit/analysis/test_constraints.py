"""What may not change, and why; freeze windows; ownership."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes.builders import NOW, a_pod, a_policy, a_reading, a_snapshot, a_target, a_trial, an_engine
from fakes.ledger import an_entry

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.constraints import ownership
from trimtab_operator.analysis.freeze import frozen_by, unknown_time_zones
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import ReplicasOwner, Snapshot, Target, TargetProblem


def named(snapshot: Snapshot, **policy: Any) -> dict[str, str]:
    return {each.name: each.reason for each in analyze(snapshot, a_policy(**policy)).constraints}


def owned(kind: Any, name: str = "helm") -> Target:
    return a_target(replicas_owners=(ReplicasOwner(kind, name),))


STUCK = a_pod("chat-2", ready=False, unschedulable_since=NOW - 61.0, unschedulable_message="0/1 nodes: no GPU")
FRESHLY_STUCK = replace(STUCK, unschedulable_since=NOW - 30.0)
ALL_DAY = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]  # NOW is a Friday, 08:00 UTC
OTHER_RUNTIME = a_snapshot(target=a_target(runtime="vllm"))
EDITS = [an_entry(id=f"edit-{n}", what="ForeignEdit", at=NOW - 60.0 * n, why="ForeignEdit: by x") for n in (3, 2, 1)]

CASES: list[tuple[str, Snapshot, dict[str, Any], str, str]] = [
    ("taken", a_snapshot(taken_by="prod/older"), {}, "TargetTaken", "prod/older"),
    ("manifest", a_snapshot(target=owned("Manifest")), {}, "ReplicasInManifest", "remove the line `replicas: 2`"),
    ("hpa", a_snapshot(target=owned("HorizontalPodAutoscaler", "web")), {}, "HorizontalPodAutoscaler", "'web'"),
    ("keda", a_snapshot(target=owned("ScaledObject", "web")), {}, "ScaledObject", "'web'"),
    ("fight", a_snapshot(), {"status": {"history": EDITS}}, "ForeignManager", "3 times in ten minutes"),
    ("rollout", a_snapshot(target=a_target(rolling_out=True)), {}, "RolloutInProgress", "rollout"),
    ("unschedulable", a_snapshot(target=a_target(pods=(a_pod(), STUCK))), {}, "UnschedulablePods", "no GPU"),
    ("no-scaling", a_snapshot(), {"scaling": None}, "NoScalingBlock", "scaling.maxReplicas"),
    ("full", a_snapshot(busy=0.95, replicas=8), {}, "MaxReplicasReached", "all 8 replicas"),
    ("frozen", a_snapshot(), {"freeze": ALL_DAY}, "Frozen", "until 24:00 UTC"),
    ("untrusted", a_snapshot(busy=9.0), {}, "MetricsUntrusted", "cannot be"),
    ("time-zone", a_snapshot(), {"freeze": [ALL_DAY[0] | {"timeZone": "Mars/Base"}]}, "InvalidSpec", "'Mars/Base'"),
    ("bounds", a_snapshot(), {"scaling": {"minReplicas": 9, "maxReplicas": 2}}, "InvalidSpec", "minReplicas 9"),
    ("batching", OTHER_RUNTIME, {"knobs": {"batching": {"maxQueueDelay": {"max": "5ms"}}}}, "BatchingNotAvailable",
     "batching"),
    ("cache", OTHER_RUNTIME, {"knobs": {"cache": {"memory": {"max": "1Gi"}}}}, "CacheNotAvailable", "cache"),
    ("quantization", a_snapshot(), {"knobs": {"quantization": {"allowed": ["None", "Int8"]}}},
     "QuantizationNotAvailable", "quantization"),
    ("fp8-on-cpu", a_snapshot(), {"knobs": {"quantization": {"allowed": ["None", "FP8"]}}}, "HardwareMismatch", "FP8"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("snapshot", "policy", "name", "text"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_a_constraint_says_what_holds_and_what_would_lift_it(
    snapshot: Snapshot, policy: dict[str, Any], name: str, text: str
) -> None:
    assert text in named(snapshot, **policy)[name]


@pytest.mark.parametrize(
    ("snapshot", "policy"),
    [
        pytest.param(a_snapshot(), {}, id="healthy"),
        pytest.param(a_snapshot(target=owned("Scale", "kubectl")), {}, id="scaled-by-hand-once"),
        pytest.param(a_snapshot(target=a_target(pods=(a_pod(), FRESHLY_STUCK))), {}, id="pending-for-half-a-minute"),
        pytest.param(a_snapshot(busy=0.95), {}, id="full-below-the-maximum"),
        pytest.param(a_snapshot(), {"freeze": [{"days": ["Sat"], "from": "00:00", "to": "24:00"}]}, id="other-day"),
        pytest.param(a_snapshot(), {"status": {"history": EDITS[:2]}}, id="two-edits"),
        pytest.param(a_snapshot(), {"knobs": {}}, id="no-knob"),
    ],
)
def test_nothing_holds_without_a_reason(snapshot: Snapshot, policy: dict[str, Any]) -> None:
    assert named(snapshot, **policy) == {}


def test_formats_that_engines_offer_are_no_constraint_and_those_that_some_do_not_are() -> None:
    both, one = {"quantization": ["None", "Int8"]}, {"quantization": ["None"]}
    knobs = {"quantization": {"allowed": ["None", "Int8"]}}
    offering = {f"uid-chat-{number}": an_engine(words=both) for number in range(2)}
    assert named(a_snapshot(engines=offering), knobs=knobs) == {}
    mixed = offering | {"uid-chat-1": an_engine(words=one)}
    assert "allows Int8" in named(a_snapshot(engines=mixed), knobs=knobs)["HardwareMismatch"]


def test_what_a_machine_cannot_run_is_told_in_the_engines_words_and_what_a_gate_said_is_not() -> None:
    change, knobs = {"knob": "quantization", "from": "None", "to": "Int8"}, {"quantization": {"allowed": ["Int8"]}}
    offering = {f"uid-chat-{number}": an_engine(words={"quantization": ["None", "Int8"]}) for number in range(2)}

    def said(reason: str, verdict: str = "FailedToStart") -> dict[str, str]:
        trial = a_trial(change=change, status={"phase": "Finished", "verdict": verdict, "reason": reason})
        return named(a_snapshot(engines=offering, trials=(trial,)), knobs=knobs)

    assert said("refused: quantization Int8: BackendMissing: no kernel") == {
        "HardwareMismatch": "refused: quantization Int8: BackendMissing: no kernel"
    }
    assert set(said("refused: quantization Int8: NotFaster: no kind of layer is faster in Int8 on this device")) == {
        "HardwareMismatch"
    }
    assert said("refused: quantization Int8: NotFaster: the best plan (2 layers) is 0.99 times as fast") == {}
    assert said("refused: quantization Int8: AccuracyTooLow: 0.91") == {}
    assert said("BackendMissing", verdict="Improved") == {}


def test_variants_that_not_all_engines_declare_are_named() -> None:
    engines = {f"uid-chat-{number}": an_engine(words={"variant": ["base", "small"]}) for number in range(2)}
    allowed = {"variants": {"allowed": ["base", "small"]}}
    assert named(a_snapshot(engines=engines), knobs=allowed) == {}
    assert "allows base, small" in named(a_snapshot(), knobs=allowed)["VariantsNotAvailable"]


def test_fp8_on_gpus_is_no_mismatch() -> None:
    target = a_target(pods=(a_pod("chat-0", gpus=1), a_pod("chat-1", gpus=1)))
    knobs = {"quantization": {"allowed": ["None", "FP8"]}}
    assert set(named(a_snapshot(target=target), knobs=knobs)) == {"QuantizationNotAvailable"}


def test_a_full_target_at_its_maximum_stays_so_until_it_is_clearly_relieved() -> None:
    standing = {"constraints": [{"name": "MaxReplicasReached", "reason": "full"}]}
    assert "MaxReplicasReached" not in named(a_snapshot(busy=0.8, replicas=8))
    assert "MaxReplicasReached" in named(a_snapshot(busy=0.8, replicas=8), status=standing)
    assert "MaxReplicasReached" not in named(a_snapshot(busy=0.7, replicas=8), status=standing)
    unknown = a_snapshot(replicas=8, readings={Signal.BUSY_RATIO: a_reading(Signal.BUSY_RATIO, {})})
    assert "MaxReplicasReached" not in named(unknown)


def test_who_leaves_replicas_alone_has_no_conflict_about_them() -> None:
    target = owned("Manifest")
    snapshot = a_snapshot(target=target)
    assert ownership(snapshot, target, a_policy(scaling=None)) is None
    taken = replace(snapshot, taken_by="prod/older")
    conflict = ownership(taken, target, a_policy(scaling=None))
    assert conflict is not None
    assert conflict.name == "TargetTaken"


def test_a_missing_target_still_shows_what_is_wrong_with_the_spec() -> None:
    snapshot = Snapshot(now=NOW, target=TargetProblem("NotFound", "gone"))
    assert set(named(snapshot, freeze=ALL_DAY)) == {"Frozen", "MetricsUntrusted"}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


EVENING = [{"days": ["Fri"], "from": "16:00", "to": "24:00", "timeZone": "Europe/Berlin"}]


@pytest.mark.parametrize(
    ("now", "frozen"),
    [
        ("2026-11-20T14:59:59", False),  # 15:59:59 in Berlin, a Friday
        ("2026-11-20T15:00:00", True),
        ("2026-11-20T22:59:59", True),
        ("2026-11-20T23:00:00", False),  # Saturday in Berlin
        ("2026-07-17T14:00:00", True),  # summer time: 16:00 in Berlin
        ("2026-11-19T15:00:00", False),  # Thursday
    ],
)
def test_a_freeze_window_is_read_in_its_own_time_zone(now: str, frozen: bool) -> None:
    assert (frozen_by(a_policy(freeze=EVENING).spec, at(now)) is not None) is frozen


@pytest.mark.parametrize("name", ["Mars/Base", "Europe", "A" * 64])
def test_a_time_zone_that_nobody_knows_freezes_nothing_and_is_named(name: str) -> None:
    spec = a_policy(freeze=[EVENING[0] | {"timeZone": name}]).spec
    assert frozen_by(spec, at("2026-11-20T16:00:00")) is None
    assert unknown_time_zones(spec) == (name,)
