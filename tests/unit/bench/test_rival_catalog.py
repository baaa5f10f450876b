"""The catalogue of rivals, and the two that know the trace."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from harness.rival_views import PROFILE, STARTING, pod, traffic, view

from bench.scaling.rivals.catalog import CATALOG, Entry
from bench.scaling.rivals.constant import Constant
from bench.scaling.rivals.constant import Settings as Count
from bench.scaling.rivals.cron import Cron
from bench.scaling.rivals.cron import Settings as Schedule

SWEPT = {name: entry for name, entry in CATALOG.items() if entry.space}
ENOUGH = 32


@pytest.mark.parametrize("entry", SWEPT.values(), ids=list(SWEPT))
def test_a_sweep_has_enough_settings_to_draw_from(entry: Entry) -> None:
    fields = {each.name for each in dataclasses.fields(entry.settings)}
    assert set(entry.space) <= fields
    assert len(list(itertools.product(*entry.space.values()))) >= ENOUGH
    assert all(len(set(values)) == len(values) >= 2 for values in entry.space.values())


@pytest.mark.parametrize("entry", SWEPT.values(), ids=list(SWEPT))
def test_what_is_published_is_among_them(entry: Entry) -> None:
    published = entry.settings()
    assert {name for name, values in entry.space.items() if getattr(published, name) not in values} == set()


@pytest.mark.parametrize("entry", SWEPT.values(), ids=list(SWEPT))
def test_every_one_follows_load_up_and_down_and_never_below_one(entry: Entry) -> None:
    rival = entry.build(entry.settings(), PROFILE)
    quiet = traffic(0.01, 0.01)
    late = traffic(60.0, 60.0, ttft_seconds=[5.0], tpot_seconds=[0.1])
    replicas, peak = 2, 0
    for tick in range(int(1200.0 / rival.period_seconds)):
        busy = [pod(60, 40, kv_ratio=0.95, kv_tokens=95_000.0)] * replicas
        replicas = rival.wants(view(*busy, now=tick * rival.period_seconds, seen=late))
        peak = max(peak, replicas)
        if replicas >= 6:
            break
    assert peak >= 6
    start = 1200.0
    for tick in range(int(3600.0 / rival.period_seconds)):
        replicas = rival.wants(view(*[pod()] * replicas, now=start + tick * rival.period_seconds, seen=quiet))
        assert replicas >= 1
    assert replicas <= 2


@pytest.mark.parametrize("entry", SWEPT.values(), ids=list(SWEPT))
def test_none_falls_over_while_no_pod_is_ready(entry: Entry) -> None:
    rival = entry.build(entry.settings(), PROFILE)
    assert rival.wants(view(STARTING, gateway_waiting=5)) >= 1


def test_a_sweep_knows_which_have_no_settings_to_draw() -> None:
    assert set(CATALOG) - set(SWEPT) == {"cron", "constant"}


@pytest.mark.parametrize(
    ("now", "expected"),
    [(0.0, 3), (3599.0, 3), (3600.0, 5), (7199.0, 5), (7200.0, 2), (10_000.0, 2), (-10.0, 3), (3600.5, 5), (7200.5, 2),
     (1e9, 2)],
)  # fmt: skip
def test_a_schedule_is_followed_by_the_clock(now: float, expected: int) -> None:
    cron = Cron(Schedule(((0.0, 3), (3600.0, 5), (7200.0, 2))))
    assert cron.wants(view(pod(99), now=now)) == expected


@pytest.mark.parametrize("waiting", [0, 1, 10, 1000])
def test_a_constant_looks_at_nothing(waiting: int) -> None:
    assert Constant(Count(7)).wants(view(pod(), gateway_waiting=waiting)) == 7


def test_those_that_know_the_trace_are_built_from_it() -> None:
    assert CATALOG["cron"].build(Schedule(((0.0, 4),)), PROFILE).wants(view(pod())) == 4
    assert CATALOG["constant"].build(Count(4), PROFILE).wants(view(pod())) == 4
