"""A policy on a simulated fleet: it scales with the load, by what scrapes show; equal seeds give equal runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.builders import a_pod, a_policy, a_target

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.occupancy import occupancy
from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot
from trimtab_replay.fleet import Fleet, FleetPlan
from trimtab_replay.outcome import outcome
from trimtab_replay.policy_controller import PolicyController, start_of
from trimtab_replay.run import Played, Run
from trimtab_replay.scrape import Scrapes
from trimtab_replay.serving import ServingModel
from trimtab_replay.trace import Trace

MODEL = ServingModel(0.01, 0.001, 1e-5, kv_tokens=20_000, max_sequences=32)
PLAN = FleetPlan(MODEL, startup_seconds=45.0)


def chat(**spec: Any) -> OptimizationPolicy:
    return a_policy(
        objectives={"timeToFirstToken": {"percentile": 95, "max": "2s"}, "latency": {"percentile": 95, "max": "30s"}},
        scaling={"minReplicas": 1, "maxReplicas": 6, "stabilization": "2m"},
        observation={"interval": "15s", "window": "5m"},
        **spec,
    )


def play(policy: OptimizationPolicy, trace: Trace, plan: FleetPlan = PLAN, **start: Any) -> Played:
    return Run(PolicyController(policy), start_of(policy, plan, **start), trace).play()


def steady(rate: float, seconds: float, start: float = 0.0) -> list[float]:
    return [start + place / rate for place in range(int(rate * seconds))]


def requests(*parts: list[float], output: int = 100) -> Trace:
    arrived = np.array(sorted(each for part in parts for each in part), float)
    return Trace(arrived, np.full(len(arrived), 200.0), np.full(len(arrived), float(output)))


def test_more_load_brings_replicas_and_less_takes_them_away_after_the_stabilisation() -> None:
    trace = requests(steady(2.0, 600.0), steady(40.0, 600.0, 600.0), steady(2.0, 1200.0, 1200.0))
    played = play(chat(), trace)
    assert played.unserved == 0
    assert len(played.answers) == len(trace)
    grown = [each for each in played.scalings if each.after > each.before]
    shrunk = [each for each in played.scalings if each.after < each.before and each.at > 1200.0]
    assert grown
    assert 600.0 < grown[0].at < 900.0
    assert "the load fills" in grown[0].reason
    assert shrunk
    assert shrunk[0].at >= 1200.0 + 120.0
    assert max(asked for _, asked, _ in played.replicas) <= 6
    assert played.replicas[-1][1] < max(asked for _, asked, _ in played.replicas)
    assert played.gpu_hours > 2400.0 / 3600.0


def test_the_same_seed_gives_the_same_run_also_where_scrapes_are_lost() -> None:
    trace = requests(steady(10.0, 400.0))
    one, same = (play(chat(), trace, seed=3, scrape_loss=0.2) for _ in range(2))
    assert (one.scalings, one.replicas, one.gpu_hours) == (same.scalings, same.replicas, same.gpu_hours)
    assert one.answers.finished.tolist() == same.answers.finished.tolist()


def test_what_is_not_answered_in_time_misses_the_objective() -> None:
    trace = requests(steady(60.0, 300.0))
    policy = chat()
    found = outcome(policy, trace, play(policy, trace, FleetPlan(MODEL, startup_seconds=45.0, nodes=1)))
    assert found.requests == len(trace)
    assert {each.name for each in found.attained} == {"timeToFirstToken", "latency"}
    assert not any(each.met for each in found.attained)
    assert found.course.requests[0] == pytest.approx(60 * 60, abs=2)
    assert found.course.percentiles["latency"][3] > 30.0


def test_an_empty_trace_is_played_in_no_time() -> None:
    policy = chat()
    found = outcome(policy, requests(), play(policy, requests()))
    assert (found.requests, found.unserved, found.gpu_hours) == (0, 0, 0.0)
    assert all(each.met for each in found.attained)


def test_scrapes_show_rates_gauges_and_growing_buckets_and_nothing_before_there_are_two() -> None:
    trace = requests(np.arange(0.0, 120.0, 0.5).tolist(), output=20)
    fleet, scrapes = Fleet(PLAN, 1, trace), Scrapes(15.0, 600.0, 0.0, np.random.default_rng(0))
    assert scrapes.readings(fleet)[Signal.REQUESTS_PER_SECOND].state is SignalState.NO_DATA
    for at in np.arange(15.0, 119.0, 15.0).tolist():
        fleet.advance(at)
        scrapes.scrape(fleet)
    readings, distributions = scrapes.readings(fleet), scrapes.distributions(fleet)
    rate = readings[Signal.REQUESTS_PER_SECOND]
    assert rate.by_pod["replica-1"] == pytest.approx(2.0, rel=0.1)
    assert (rate.window_seconds, rate.at) == (60.0, 105.0)
    latency = distributions[Signal.LATENCY_SECONDS].by_pod["replica-1"]
    assert latency.cumulative[-1] == pytest.approx(120.0, rel=0.1)
    assert latency.cumulative == tuple(sorted(latency.cumulative))
    assert readings[Signal.KV_CACHE_USED_RATIO].by_pod["replica-1"] < 0.1
    points = scrapes.history()[Signal.REQUESTS_PER_SECOND].points
    assert [point.at for point in points] == [30.0, 45.0, 60.0, 75.0, 90.0, 105.0]
    assert {point.pods for point in points} == {1}


def test_scrapes_show_the_exact_means_of_the_histograms_averaged_over_the_pods_that_answered() -> None:
    trace = requests(steady(20.0, 104.0), output=20)
    fleet, scrapes = Fleet(PLAN, 2, trace), Scrapes(15.0, 600.0, 0.0, np.random.default_rng(0))
    for at in np.arange(15.0, 106.0, 15.0).tolist():
        fleet.advance(at)
        scrapes.scrape(fleet)
    answers = fleet.answers()
    within = (answers.finished > 45.0) & (answers.finished <= 105.0)
    readings, history = scrapes.readings(fleet), scrapes.history()
    for signal, seconds in (
        (Signal.LATENCY_MEAN_SECONDS, answers.latency_seconds),
        (Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS, answers.ttft_seconds),
        (Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS, answers.tpot_seconds),
    ):
        by_pod = {f"replica-{row + 1}": seconds[within & (answers.pod == row)].mean() for row in (0, 1)}
        assert readings[signal].by_pod == pytest.approx(by_pod)
        assert history[signal].points[-1].value == pytest.approx(sum(by_pod.values()) / 2.0)
        assert history[signal].points[-1].pods == 2


def test_a_pod_that_answered_nothing_has_no_mean() -> None:
    fleet, scrapes = Fleet(PLAN, 1, requests()), Scrapes(15.0, 600.0, 0.0, np.random.default_rng(0))
    for at in (15.0, 30.0, 45.0):
        fleet.advance(at)
        scrapes.scrape(fleet)
    found = scrapes.readings(fleet)[Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS]
    assert (found.state, found.by_pod) == (SignalState.NO_DATA, {})
    assert Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS not in scrapes.history()


def test_gpu_time_counts_from_the_time_that_is_asked_for_and_changes_nothing_else() -> None:
    trace = requests(steady(1.0, 400.0))
    start = start_of(chat(), PLAN)
    whole, late = (
        Run(PolicyController(chat()), replace(start, counted_from_seconds=seconds), trace).play()
        for seconds in (0.0, 300.0)
    )
    assert late.answers.finished.tolist() == whole.answers.finished.tolist()
    assert late.scalings == whole.scalings
    assert {asked for _, asked, _ in whole.replicas} == {1}
    assert whole.gpu_hours - late.gpu_hours == pytest.approx(300.0 / 3600.0)


def test_the_sequences_of_half_a_step_are_found_from_what_scrapes_show_of_a_simulated_replica() -> None:
    rates = (2.0, 8.0, 4.0, 12.0, 6.0, 10.0)
    trace = requests(*(steady(rate, 300.0, 300.0 * place) for place, rate in enumerate(rates)), output=100)
    fleet, scrapes = Fleet(PLAN, 1, trace), Scrapes(15.0, 1800.0, 0.0, np.random.default_rng(0))
    for at in np.arange(15.0, 1800.0, 15.0).tolist():
        fleet.advance(at)
        scrapes.scrape(fleet)
    target = a_target(pods=(a_pod("replica-1", created_at=-100.0, ready_at=-50.0),), runtime="vllm")
    found = occupancy(
        Snapshot(
            fleet.now,
            target,
            readings=scrapes.readings(fleet),
            distributions=scrapes.distributions(fleet),
            history=scrapes.history(),
        ),
        chat(),
        PLAN.startup_seconds,
    )
    assert found is not None
    assert found.half == pytest.approx(MODEL.step_seconds / MODEL.sequence_seconds, rel=0.3)


def test_what_is_remembered_of_a_long_run_is_bounded() -> None:
    fleet, scrapes = Fleet(PLAN, 1, requests()), Scrapes(15.0, 3600.0, 0.0, np.random.default_rng(0))
    for place in range(1, 1000):
        fleet.advance(15.0 * place)
        scrapes.scrape(fleet)
    assert len(scrapes.history()[Signal.QUEUE_REQUESTS].points) <= 122
