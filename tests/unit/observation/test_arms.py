"""Both arms of the trial under way, from Prometheus."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import NOW, a_trial, at
from fakes.prometheus import FakePrometheus
from fakes.stands import attached_pods

from trimtab_api.trial import OptimizationTrial, TrialPhase
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.observation.arms import SIGNALS, read_arms
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feeds
from trimtab_operator.observation.look import Look
from trimtab_operator.observation.readings import Scope
from trimtab_operator.runtimes.select import queries_for

PODS = ("chat-0", "chat-1", "chat-2")
SCRAPE = 5.0
GIVEN = {"changed": ["uid-chat-0"], "changedAt": at(-300.0), "startedAt": at(-300.0)}
MEASURING = GIVEN | {"phase": "Measuring", "measuredFrom": at(-180.0)}
UNDER_WAY = {"RunIn", "Starting", "Shadow", "Measuring", "RollingOut", "Validating"}


def busy(pod: str, when: float) -> float | None:
    """Chat-0 is busy half of the time, less from its change on; chat-1 is not seen for a minute."""
    if pod == "chat-1" and NOW - 120.0 <= when < NOW - 60.0:
        return None
    return 0.5 if pod != "chat-0" else 0.3 if when >= NOW - 300.0 else 0.5


@pytest.fixture
def prometheus() -> FakePrometheus:
    def requests(_: float) -> dict[str, float]:
        return {"0.1": 90.0, "1.0": 100.0, "+Inf": 100.0}

    return FakePrometheus(
        lambda: [("prod", pod) for pod in PODS],
        values={Signal.REQUESTS_PER_SECOND: 20.0, Signal.ERRORS_PER_SECOND: 0.0, Signal.CPU_USED_CORES: 0.5},
        per_pod={Signal.BUSY_RATIO: busy},
        histograms={Signal.LATENCY_SECONDS: requests},
    )


async def arms_of(prometheus: FakePrometheus, *trials: OptimizationTrial) -> Arms | None:
    batch = Batch(prometheus, lambda: ("prod",))
    feeds = Feeds(batch, None, None, SCRAPE)
    found = {
        "engine": await feeds.engine("trimtab", "prod", "chat", PODS, NOW),
        "agent": await feeds.agent("prod", "chat", PODS, NOW),
        "dcgm": await feeds.dcgm("prod", "chat", PODS, NOW),
    }
    look = Look(batch, found, Scope("prod", "chat", attached_pods(3), NOW, SCRAPE))
    return await read_arms(look, queries_for("trimtab", "none"), trials)


async def seen(prometheus: FakePrometheus, **status: Any) -> Arms:
    found = await arms_of(prometheus, a_trial(status=MEASURING | status))
    assert found is not None
    return found


@pytest.mark.parametrize("phase", list(TrialPhase))
async def test_arms_are_read_while_a_trial_is_under_way_only(prometheus: FakePrometheus, phase: TrialPhase) -> None:
    found = await arms_of(prometheus, a_trial(status=MEASURING | {"phase": phase}))
    assert (found is not None) == (phase in UNDER_WAY)


async def test_only_the_newest_trial_is_looked_at(prometheus: FakePrometheus) -> None:
    assert await arms_of(prometheus) is None
    over = a_trial("chat-2", status={"phase": "Finished"})
    assert await arms_of(prometheus, a_trial(status=MEASURING), over) is None


async def test_arms_are_the_pods_of_the_trial_and_one_that_joined_later_is_in_neither(
    prometheus: FakePrometheus,
) -> None:
    found = await seen(prometheus)
    assert (found.canary, found.stable) == (("chat-0",), ("chat-1",))
    assert all(set(by_pod) <= {"chat-0", "chat-1"} for by_pod in found.slots.values())


@pytest.mark.parametrize(
    ("changed", "canary", "stable"),
    [
        pytest.param([], ("chat-0",), ("chat-1",), id="before the change: as they were chosen"),
        pytest.param(["uid-chat-0"], ("chat-0",), ("chat-1",), id="under test"),
        pytest.param(["uid-chat-0", "uid-chat-1"], ("chat-0", "chat-1"), (), id="rolled out"),
    ],
)
async def test_a_pod_that_has_the_change_is_of_the_canary_arm(
    prometheus: FakePrometheus, changed: list[str], canary: tuple[str, ...], stable: tuple[str, ...]
) -> None:
    found = await seen(prometheus, changed=changed)
    assert (found.canary, found.stable) == (canary, stable)


async def test_slots_hold_the_value_at_their_end_and_reach_back_over_the_run_in(prometheus: FakePrometheus) -> None:
    found = await seen(prometheus)
    assert found.slot_seconds == 30.0
    slots = found.slots[Signal.BUSY_RATIO]["chat-0"]
    assert {slot.at % 30.0 for slot in slots} == {0.0}
    # The longest run-in and measurement, the start and a margin; the newest slot may still be moving.
    assert (slots[0].at, slots[-1].at) == (NOW - 1290.0, NOW - 30.0)
    assert {slot.value for slot in slots if slot.at < NOW - 300.0} == {0.5}
    assert {slot.value for slot in slots if slot.at >= NOW - 300.0} == {0.3}


async def test_a_slot_without_data_is_left_out(prometheus: FakePrometheus) -> None:
    slots = (await seen(prometheus)).slots[Signal.BUSY_RATIO]["chat-1"]
    times = {slot.at for slot in slots}
    assert NOW - 90.0 not in times
    assert {NOW - 150.0, NOW - 60.0} <= times


async def test_a_signal_of_nobody_and_a_pod_that_is_silent_are_no_zeros(prometheus: FakePrometheus) -> None:
    prometheus.silent.add("chat-1")
    found = await seen(prometheus)
    assert set(found.slots[Signal.BUSY_RATIO]) == {"chat-0"}
    assert found.slots[Signal.BATCH_SIZE] == {}
    assert set(found.slots) <= SIGNALS


async def test_a_window_reaches_one_scrape_further_back_than_its_slot(prometheus: FakePrometheus) -> None:
    await seen(prometheus)
    queries = [query for query, *_ in prometheus.ranges]
    assert queries
    assert all("[35s]" in query for query in queries if "[" in query)


@pytest.mark.parametrize(
    ("from_", "window"),
    [
        pytest.param(-180.0, "[180s]", id="since the measurement began"),
        pytest.param(-183.0, "[180s]", id="in whole scrapes"),
        pytest.param(-9.0, None, id="not over less than two scrapes"),
        pytest.param(60.0, None, id="not before it begins"),
        pytest.param(None, None, id="not before it is known"),
    ],
)
async def test_requests_are_counted_since_the_measurement_began(
    prometheus: FakePrometheus, from_: float | None, window: str | None
) -> None:
    found = await seen(prometheus, measuredFrom=None if from_ is None else at(from_))
    counted = found.distributions.get(Signal.LATENCY_SECONDS)
    assert (counted is not None) == (window is not None)
    if counted is not None:
        assert window is not None
        assert window in counted.query
        assert set(counted.by_pod) >= {"chat-0", "chat-1"}
    assert found.since == (None if from_ is None else NOW + from_)


async def test_the_requests_of_the_run_in_are_those_of_the_window_before_the_change(
    prometheus: FakePrometheus,
) -> None:
    run_in = (await seen(prometheus)).run_in[Signal.LATENCY_SECONDS]
    assert "[120s]" in run_in.query
    assert (run_in.state, set(run_in.by_pod)) == (SignalState.OK, set(PODS))
    assert (await seen(prometheus, startedAt=None)).run_in == {}


SWITCHBACK: dict[str, Any] = {
    "design": "Switchback",
    "rules": {"window": "2m", "maxWindow": "20m"},
    "pods": [{"uid": "uid-chat-0", "name": "chat-0", "node": "node-a", "arm": "Canary"}],
}
PERIODS = [{"arm": "Canary", "from": at(-178.0)}, {"arm": "Stable", "from": at(-117.0)}]


async def by_turns(prometheus: FakePrometheus, **status: Any) -> Arms:
    trial = a_trial(status=MEASURING | {"changed": [], "periods": PERIODS, "periodSeconds": 60} | status, **SWITCHBACK)
    found = await arms_of(prometheus, trial)
    assert found is not None
    return found


async def test_a_switchback_is_read_in_short_slots_of_its_one_pod(prometheus: FakePrometheus) -> None:
    found = await by_turns(prometheus)
    assert (found.canary, found.stable, found.slot_seconds, found.since) == (("chat-0",), (), 10.0, NOW - 180.0)
    assert set(found.slots[Signal.BUSY_RATIO]) == {"chat-0"}
    assert (found.distributions, found.run_in) == ({}, {})


async def test_the_durations_of_requests_are_read_period_by_period_and_of_its_pod_alone(
    prometheus: FakePrometheus,
) -> None:
    found = await by_turns(prometheus)
    spans = [(each.number, each.changed, each.begin - NOW, each.end - NOW) for each in found.periods]
    assert spans == [
        (-2, False, -400.0, -360.0), (-1, False, -340.0, -300.0), (0, True, -160.0, -120.0), (1, False, -100.0, -60.0),
    ]  # fmt: skip
    for period in found.periods:
        assert set(period.distributions) == {Signal.LATENCY_SECONDS}
        assert set(period.distributions[Signal.LATENCY_SECONDS].by_pod) == {"chat-0"}
        assert "[40s]" in period.distributions[Signal.LATENCY_SECONDS].query


@pytest.mark.parametrize("phase", sorted(UNDER_WAY - {"Measuring"}))
async def test_before_and_after_its_measurement_the_pod_of_a_switchback_is_the_canary(
    prometheus: FakePrometheus, phase: str
) -> None:
    found = await by_turns(prometheus, phase=phase)
    assert (found.canary, found.stable, found.periods) == (("chat-0",), (), ())


async def test_a_switchback_whose_measurement_has_not_begun_has_no_periods(prometheus: FakePrometheus) -> None:
    found = await by_turns(prometheus, measuredFrom=None)
    assert (found.periods, found.since) == ((), None)


async def test_of_a_period_that_is_not_over_what_prometheus_has_stored_is_read(prometheus: FakePrometheus) -> None:
    found = await by_turns(prometheus, periods=[{"arm": "Stable", "from": at(-58.0)}])
    newest = found.periods[-1]
    assert (newest.number, newest.begin, newest.end, newest.over) == (2, NOW - 40.0, NOW - 10.0, False)


@pytest.mark.parametrize(
    ("phase", "in_force", "read"),
    [("Measuring", -10.0, True), ("Measuring", -9.0, False), ("Measuring", None, False), ("Starting", -60.0, False)],
)
async def test_the_last_two_scrapes_are_read_once_both_lie_after_the_change_came_in_force(
    prometheus: FakePrometheus, phase: str, in_force: float | None, read: bool
) -> None:
    changed_at = None if in_force is None else at(in_force)
    found = (await seen(prometheus, phase=phase, changedAt=changed_at)).recent
    assert (found is not None) == read
    if found is not None:
        assert (found.begin, found.end, found.in_force_at) == (NOW - 2.0 * SCRAPE, NOW, NOW - 10.0)
        assert found.rates[Signal.REQUESTS_PER_SECOND] == dict.fromkeys(PODS, 20.0)
        assert found.distributions[Signal.LATENCY_SECONDS].window_seconds == 2.0 * SCRAPE
        assert any("[10s]" in query for query in prometheus.queries)


@pytest.mark.parametrize("phase", ["RollingOut", "Validating"])
@pytest.mark.parametrize(("measured_from", "read"), [(at(-180.0), True), (None, False)])
async def test_in_a_rollout_the_last_two_scrapes_are_read_whenever_pods_got_the_change(
    prometheus: FakePrometheus, phase: str, measured_from: str | None, read: bool
) -> None:
    found = (await seen(prometheus, phase=phase, changedAt=at(-1.0), measuredFrom=measured_from)).recent
    assert (found is not None) == read
    if found is not None:
        assert found.in_force_at == NOW - 180.0


@pytest.mark.parametrize(
    ("changed", "since", "read"), [(True, -10.0, True), (True, -9.0, False), (False, -60.0, False)]
)
async def test_in_a_switchback_the_last_two_scrapes_are_read_once_both_lie_in_a_turn_of_the_change(
    prometheus: FakePrometheus, changed: bool, since: float, read: bool
) -> None:
    pods = ["uid-chat-0"] if changed else []
    periods = [*PERIODS, {"arm": "Canary" if changed else "Stable", "from": at(since)}]
    found = (await by_turns(prometheus, changed=pods, changedAt=at(since - 1.0), periods=periods)).recent
    assert (found is not None) == read
    if found is not None:
        assert (found.begin, found.end, found.in_force_at) == (NOW - 10.0, NOW, NOW - 10.0)
