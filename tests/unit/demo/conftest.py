"""Builders of arm results."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.demo.agreement import Comparison
from dev.demo.plan import Arm
from dev.demo.results import ArmResult
from dev.demo.sightings import ReplicaTime
from dev.load.figures import Figures

AGREES = Comparison("answers", "100", "101", "1.0%", "5%", holds=True)


@pytest.fixture
def an_arm() -> Callable[..., ArmResult]:
    def build(
        name: str = "arm",
        *,
        goodput: float = 10.0,
        answered: int = 1000,
        paid: float = 100.0,
        scalings: tuple[str, ...] = (),
        agreement: tuple[Comparison, ...] = (AGREES,),
    ) -> ArmResult:
        load = Figures(
            offered=1200,
            answered=answered,
            duration_seconds=100.0,
            objective_seconds=0.5,
            p50_latency_seconds=0.05,
            p95_latency_seconds=0.123 if answered else None,
            p99_latency_seconds=0.2,
            p95_exchange_seconds=0.12 if answered else None,
            goodput_per_second=goodput,
            exchange_goodput_per_second=goodput,
            outcomes={"ok": answered, "rejected": 1200 - answered},
        )
        replicas = ReplicaTime(paid, paid - 10, largest=3, smallest=1)
        return ArmResult(Arm(name, 1), load, replicas, agreement, scalings)

    return build
