"""Builders of results of arms and acts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.demo.accuracy import Accuracy
from dev.demo.agreement import Comparison
from dev.demo.plan import Arm
from dev.demo.results import ArmResult
from dev.demo.sightings import ReplicaTime
from dev.demo.tuning.results import ActResult
from dev.demo.tuning.trials import TrialSight
from dev.demo.tuning.windows import Measured
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
        p95 = (0.123, 0.12) if answered else (None, None)
        load = _load(1200, 100.0, answered=answered, goodput=goodput, p95=p95, p99=0.2)
        replicas = ReplicaTime(paid, paid - 10, largest=3, smallest=1)
        return ArmResult(Arm(name, 1), load, replicas, agreement, scalings)

    return build


@pytest.fixture
def a_window() -> Callable[..., Measured]:
    def build(
        *,
        goodput: float = 10.0,
        p95: float | None = 0.4,
        answered: int = 1800,
        cpu: float | None = 0.02,
        hits: float | None = None,
        repeats: float | None = 0.38,
        accuracy: Accuracy | None = Accuracy(2, 0),  # noqa: B008  frozen
    ) -> Measured:
        load = _load(2400, 60.0, answered=answered, goodput=goodput, p95=(p95, p95), p99=p95)
        return Measured(load, cpu, hits, repeats, accuracy)

    return build


@pytest.fixture
def a_trial() -> Callable[..., TrialSight]:
    def build(
        name: str = "minilm-tuned-1",
        *,
        change: str = "maxBatchSize 1→8",
        phase: str = "Finished",
        verdict: str = "Improved",
        reason: str = "better",
    ) -> TrialSight:
        return TrialSight(
            name=name,
            change=change,
            hypothesis="batches are as large as they may be",
            predicted="throughput +65%",
            phase=phase,
            observed="throughput +61%",
            verdict=verdict,
            reason=reason,
        )

    return build


@pytest.fixture
def an_act(a_window: Callable[..., Measured], a_trial: Callable[..., TrialSight]) -> Callable[..., ActResult]:
    def build(
        *,
        before: Measured | None = None,
        after: Measured | None = None,
        trials: tuple[TrialSight, ...] | None = None,
        verdict_seconds: float | None = 130.0,
        progressing: str = "",
    ) -> ActResult:
        return ActResult(
            name="tuning",
            before=before or a_window(goodput=2.0, p95=3.0),
            after=after or a_window(goodput=39.0, p95=0.2, answered=2390, hits=0.31),
            trials=(a_trial(),) if trials is None else trials,
            first_verdict_seconds=verdict_seconds,
            progressing=progressing,
        )

    return build


def _load(
    offered: int,
    duration_seconds: float,
    *,
    answered: int,
    goodput: float,
    p95: tuple[float | None, float | None],
    p99: float | None,
) -> Figures:
    """Figures of a run; `p95` of the latency and of the exchange; what was not answered was rejected."""
    return Figures(
        offered=offered,
        answered=answered,
        duration_seconds=duration_seconds,
        objective_seconds=0.5,
        p50_latency_seconds=0.05,
        p95_latency_seconds=p95[0],
        p99_latency_seconds=p99,
        p95_exchange_seconds=p95[1],
        goodput_per_second=goodput,
        exchange_goodput_per_second=goodput,
        outcomes={"ok": answered, "rejected": offered - answered},
    )
