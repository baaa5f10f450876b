"""Our rivals decide as their own code decided (`tests/data/rivals`, made by `dev/rivals`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.kalman import LocalTrend
from bench.scaling.rivals import kpa
from bench.scaling.rivals.dynamo_load import Estimates, Limits, growth_of, replicas_of_load
from bench.scaling.rivals.dynamo_throughput import Predictor, TrafficPredictor, least_replicas
from bench.scaling.rivals.hpa_behavior import Behavior, BehaviorPace, Bounds, Pace, PlainPace, Policy, Rules
from bench.scaling.rivals.hpa_metric import Tolerance, replicas_of_pods, replicas_of_total
from bench.scaling.rivals.windows import Window

DATA = Path(__file__).parents[2] / "data" / "rivals"

Vector = dict[str, Any]


def vectors_of(file: str, kind: str = "vectors") -> list[Vector]:
    vectors: list[Vector] = json.loads((DATA / file).read_text())[kind]
    return vectors


def differing(decided: list[int | None], vector: Vector, field: str) -> list[str]:
    """Name each decision that is not the rival's."""
    return [
        f"{vector['name']}[{place}]: {ours}, not {theirs}"
        for place, (ours, theirs) in enumerate(zip(decided, vector[field], strict=True))
        if ours != theirs
    ]


def tolerance_of(settings: Vector) -> Tolerance:
    def ratio(direction: str) -> float:
        own = (settings[direction] or {}).get("tolerance_ratio")
        return float(settings["controller_tolerance_ratio"] if own is None else own)

    return Tolerance(down_ratio=ratio("scale_down"), up_ratio=ratio("scale_up"))


def pace_of(settings: Vector) -> Pace:
    bounds = Bounds(settings["min_replicas"], settings["max_replicas"])
    window_seconds = settings["downscale_stabilization_seconds"]
    if settings["scale_up"] is None:
        return PlainPace(window_seconds, bounds)

    def rules(given: Vector) -> Rules:
        own = given["stabilization_seconds"]
        policies = tuple(Policy(each["type"], each["value"], each["period_seconds"]) for each in given["policies"])
        return Rules(window_seconds if own is None else own, policies, given["select_policy"])

    return BehaviorPace(Behavior(rules(settings["scale_up"]), rules(settings["scale_down"])), bounds)


def recommended(vector: Vector, tick: int) -> int | None:
    settings, tolerance = vector["settings"], tolerance_of(vector["settings"])
    if settings["metric"] == "Pods":
        return replicas_of_pods(
            vector["current_replicas"][tick], vector["values_milli"][tick], settings["target_milli"], tolerance,
            pending=vector["pending_pods"][tick], missing=vector["missing_pods"][tick],
        )  # fmt: skip
    total = vector["total_milli"][tick]
    if total is None:
        return None
    return replicas_of_total(vector["status_replicas"][tick], total, settings["target_milli"], tolerance)


def test_hpa_and_keda_decide_as_the_controller_of_kubernetes() -> None:
    wrong = []
    for vector in vectors_of("hpa.json"):
        pace = pace_of(vector["settings"])
        decided: list[int | None] = [
            pace.next(now, current, recommended(vector, tick))
            for tick, (now, current) in enumerate(zip(vector["at_seconds"], vector["current_replicas"], strict=True))
        ]
        wrong += differing(decided, vector, "desired_replicas")
    assert wrong == []


def kpa_settings(given: Vector) -> kpa.Settings:
    return kpa.Settings(
        stable_seconds=given["stable_window_seconds"],
        panic_threshold_ratio=given["panic_threshold_ratio"],
        max_up_rate=given["max_scale_up_ratio"],
        max_down_rate=given["max_scale_down_ratio"],
        down_delay_seconds=given["scale_down_delay_seconds"],
        activation_pods=given["activation_scale"],
    )


def test_kpa_decides_as_knatives_own_autoscaler() -> None:
    wrong = []
    for vector in vectors_of("kpa.json"):
        given = vector["settings"]
        decider = kpa.Decider(kpa_settings(given), given["target_concurrency"], 0.0, vector["ready_pods_at_start"])
        looks = zip(vector["ready_pods"], vector["stable_concurrency"], vector["panic_concurrency"], strict=True)
        decided = [
            None if stable is None else decider.decide(2.0 * (tick + 1), ready, stable, panic)
            for tick, (ready, stable, panic) in enumerate(looks)
        ]
        wrong += differing(decided, vector, "desired_pods")
    assert wrong == []


def test_the_means_of_kpa_are_knatives() -> None:
    # A gateway always answers: what Knative does with silence is not rebuilt.
    answered = [vector for vector in vectors_of("kpa.json") if None not in vector["samples_concurrency"]]
    for vector in answered:
        given = vector["settings"]
        stable, panic = Window[float](given["stable_window_seconds"]), Window[float](given["panic_window_seconds"])
        means = []
        for second, sample in enumerate(vector["samples_concurrency"], start=1):
            stable.record(second, sample)
            panic.record(second, sample)
            means.append((stable.mean(second), panic.mean(second)))
        theirs = list(zip(vector["stable_concurrency"], vector["panic_concurrency"], strict=True))
        assert means[1::2] == [pytest.approx(each, abs=2e-6) for each in theirs], vector["name"]
    assert len(answered) >= 50


def predictor_of(settings: Vector) -> Predictor:
    return Predictor(
        settings["predictor"],
        logarithmic=settings["logarithmic"],
        trend=LocalTrend(settings["level_variance"], settings["trend_variance"], settings["observation_variance"]),
        least_points=settings["least_points"],
    )


def test_dynamo_expects_the_traffic_that_its_own_predictors_expect() -> None:
    for vector in vectors_of("dynamo.json", "predictions"):
        traffic = TrafficPredictor(*(predictor_of(vector["settings"]) for _ in range(3)))
        kinds = ("requests", "prompt_tokens", "output_tokens")
        ours = [traffic.next(*seen) for seen in zip(*(vector[kind] for kind in kinds), strict=True)]
        theirs = list(zip(*(vector[f"expected_{kind}"] for kind in kinds), strict=True))
        assert ours == [pytest.approx(each, rel=1e-9) for each in theirs], vector["name"]


def of_fast_loop(vector: Vector, tick: int, least: int) -> int | None:
    given, limits = vector["workload"], vector["limits"]
    ready, starting, engines = vector["ready"][tick], vector["starting"][tick], vector["engines"][tick]
    if not engines or len(engines) != ready or (vector["expected"][tick] != ready and not starting):
        return None
    workers = []
    for seconds, (_, kv_tokens, _, prompt_tokens, _, preempted_tokens) in zip(
        vector["estimates_seconds"][tick], engines, strict=True
    ):
        ttft, alone, fewer_ttft, tpot, fewer_tpot = seconds
        kept_tokens = int((kv_tokens + prompt_tokens + preempted_tokens) * growth_of(ready))
        workers.append(Estimates(ttft, tpot, alone, fewer_ttft, fewer_tpot, kept_tokens))
    held_to = Limits(
        given["ttft_seconds"], given["itl_seconds"], limits["max_kv_tokens"], limits["down_sensitivity_ratio"]
    )
    return replicas_of_load(workers, starting, held_to, max(least, limits["min_replicas"]))


def test_both_loops_of_dynamo_decide_as_its_own_planner() -> None:
    wrong = []
    for vector in vectors_of("dynamo.json"):
        limits, least = vector["limits"], 1
        floors, decided = list[int | None](), list[int | None]()
        for tick, (ready, demand) in enumerate(zip(vector["ready"], vector["demand"], strict=True)):
            if demand is not None:
                least = least_replicas(
                    demand[0], vector["engine_rps"][tick] or 0.0, ready,
                    least=limits["min_replicas"], most_change=limits["max_change_replicas"],
                )  # fmt: skip
            floors.append(least)
            decided.append(of_fast_loop(vector, tick, least))
        wrong += differing(floors, vector, "least_replicas") + differing(decided, vector, "desired_replicas")
    assert wrong == []
