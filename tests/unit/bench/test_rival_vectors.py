"""The decision vectors of other autoscalers: whole, of the pinned versions, and of all that should be seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dev.cluster.binaries import KUBERNETES_VERSION

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "rivals"
DECIDED = {"hpa": "desired_replicas", "kpa": "desired_pods", "dynamo": "desired_replicas"}

Tick = dict[str, Any]


@cache
def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    return content


@cache
def ticks(name: str) -> list[Tick]:
    """Each tick of each vector, with the vector's settings beside its own entries."""
    found = []
    for vector in read(name)["vectors"]:
        count = len(vector[DECIDED[name]])
        lists = {key: value for key, value in vector.items() if isinstance(value, list) and len(value) == count}
        rest = {key: value for key, value in vector.items() if key not in lists}
        found += [rest | {key: value[number] for key, value in lists.items()} for number in range(count)]
    return found


@pytest.mark.parametrize("name", DECIDED)
def test_there_are_at_least_200_decisions_in_less_than_300_kilobytes(name: str) -> None:
    assert len(ticks(name)) >= 200
    assert (DATA / f"{name}.json").stat().st_size < 300_000


@pytest.mark.parametrize(
    ("name", "other_lengths"),
    [("hpa", {}), ("kpa", {"samples_concurrency": 2}), ("dynamo", {})],
)
def test_each_list_of_a_vector_has_one_entry_per_tick(name: str, other_lengths: dict[str, int]) -> None:
    for vector in read(name)["vectors"]:
        count = len(vector[DECIDED[name]])
        lengths = {key: len(value) for key, value in vector.items() if isinstance(value, list)}
        assert lengths == {key: count * other_lengths.get(key, 1) for key in lengths}


def test_each_prediction_of_dynamo_follows_an_interval() -> None:
    for traffic in read("dynamo")["predictions"]:
        assert len({len(value) for value in traffic.values() if isinstance(value, list)}) == 1


@pytest.mark.parametrize(
    ("name", "pin"),
    [
        ("hpa", "dev/rivals/hpa/go.mod"),
        ("kpa", "dev/rivals/kpa/go.mod"),
        ("dynamo", "requirements/rivals/dynamo.txt"),
    ],
)
def test_the_vectors_are_of_the_version_that_their_program_pins(name: str, pin: str) -> None:
    package, version = read(name)["source"].split()
    separator = "==" if pin.endswith(".txt") else " "
    assert f"{package}{separator}{version}" in (ROOT / pin).read_text()


def test_the_hpa_that_decided_is_of_the_kubernetes_that_the_cluster_runs() -> None:
    assert read("hpa")["source"] == f"k8s.io/kubernetes {KUBERNETES_VERSION}"


@pytest.mark.parametrize("name", DECIDED)
def test_the_readme_says_how_many_decisions_there_are(name: str) -> None:
    row = next(line for line in (DATA / "README.md").read_text().splitlines() if line.startswith(f"| `{name}.json`"))
    count = f"{len(ticks(name)):,}".replace(",", " ")
    assert f"{count} in {len(read(name)['vectors'])} sequences" in row


def average_milli(tick: Tick) -> float | None:
    values = tick.get("values_milli")
    return sum(values) // len(values) if values else None


def at_an_edge(tick: Tick) -> bool:
    average, target = average_milli(tick), tick["settings"]["target_milli"]
    return average in {target * thousandths // 1000 for thousandths in (900, 1100)}


COVERED: list[tuple[str, str, Callable[[Tick], bool]]] = [
    ("hpa", "pods without a value", lambda tick: bool(tick.get("missing_pods"))),
    ("hpa", "pods that start", lambda tick: bool(tick.get("pending_pods"))),
    ("hpa", "failed pods", lambda tick: bool(tick.get("failed_pods"))),
    ("hpa", "an average at an edge of the tolerance", at_an_edge),
    ("hpa", "no load", lambda tick: average_milli(tick) == 0 or tick.get("total_milli") == 0),
    ("hpa", "no data", lambda tick: tick.get("total_milli", 0) is None),
    ("hpa", "the older path without behavior", lambda tick: tick["settings"]["scale_up"] is None),
    ("hpa", "up", lambda tick: tick["desired_replicas"] > tick["current_replicas"]),
    ("hpa", "down", lambda tick: tick["desired_replicas"] < tick["current_replicas"]),
    ("kpa", "no sample in the stable window", lambda tick: tick["stable_concurrency"] is None),
    ("kpa", "no load", lambda tick: tick["stable_concurrency"] == 0),
    ("kpa", "no pod wanted", lambda tick: tick["desired_pods"] == 0),
    ("kpa", "a scale-down delay", lambda tick: tick["settings"]["scale_down_delay_seconds"] > 0),
    ("dynamo", "up", lambda tick: tick["reason"] == "scale_up"),
    ("dynamo", "down", lambda tick: tick["reason"] == "scale_down"),
    ("dynamo", "no room on the rest", lambda tick: tick["reason"] == "scale_down_refused_consolidation"),
    ("dynamo", "a change under way", lambda tick: tick["reason"] == "scaling_in_progress"),
    ("dynamo", "a silent engine", lambda tick: tick["reason"] == "worker_count_mismatch"),
    ("dynamo", "a turn of the slow loop", lambda tick: tick["demand"] is not None),
    ("dynamo", "engines that start", lambda tick: tick["starting"] > 0),
]


@pytest.mark.parametrize(("name", "covered"), [pytest.param(n, c, id=f"{n}: {what}") for n, what, c in COVERED])
def test_a_situation_that_decides_is_seen_at_least_ten_times(name: str, covered: Callable[[Tick], bool]) -> None:
    assert sum(map(covered, ticks(name))) >= 10


def test_knative_leaves_its_panic_after_a_stable_window() -> None:
    """Where the wish falls below an earlier one, though that one had come in panic."""
    left = 0
    for vector in read("kpa")["vectors"]:
        ready, wanted = vector["ready_pods"], vector["desired_pods"]
        threshold, target = vector["settings"]["panic_threshold_ratio"], vector["settings"]["target_concurrency"]
        panicked = False
        for number, panic in enumerate(vector["panic_concurrency"]):
            over = panic is not None and -(-panic // target) / max(1, ready[number]) >= threshold
            if panicked and not over and None not in wanted[number - 1 : number + 1]:
                left += wanted[number] < wanted[number - 1]
            panicked = panicked or over
    assert left >= 10
