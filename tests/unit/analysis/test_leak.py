"""Memory that grows at a steady load is suspected to leak; anything that explains it otherwise is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import NOW, a_pod, a_policy, a_reading, a_series, a_snapshot, a_target
from fakes.ledger import an_entry

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.leak import CONSTRAINT, leak_constraints
from trimtab_operator.model.signals import Point, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

MEMORY, GPU_MEMORY, LOAD = Signal.MEMORY_USED_BYTES, Signal.GPU_MEMORY_USED_RATIO, Signal.REQUESTS_PER_SECOND
GIB = 1024.0**3
HALF_HOUR, STEP = 1800.0, 15.0


def course(signal: Signal, value: Callable[[float], float]) -> Series:
    """A series over the half hour; `value` of the share of it that has gone by."""
    times = [NOW - HALF_HOUR + STEP * number for number in range(int(HALF_HOUR / STEP) + 1)]
    points = tuple(Point(at, value((at - NOW + HALF_HOUR) / HALF_HOUR)) for at in times)
    return Series(signal, SignalState.OK, f"query({signal})", points)


def rising(start: float, end: float) -> Callable[[float], float]:
    return lambda share: start + (end - start) * share


GROWING = rising(1.0 * GIB, 1.5 * GIB)


def seen(memory: Callable[[float], float] | None = GROWING, **changed: Any) -> Snapshot:
    """Two pods whose memory takes such a course, together, at 40 requests/s; each may take 1 GiB."""
    history = {} if memory is None else {MEMORY: course(MEMORY, memory)}
    readings = (
        {} if memory is None else {MEMORY: a_reading(MEMORY, dict.fromkeys(("chat-0", "chat-1"), memory(1.0) / 2))}
    )
    more = {"history": history | changed.pop("history", {}), "readings": readings | changed.pop("readings", {})}
    return a_snapshot(**more, **changed)


def suspected(snapshot: Snapshot, **policy: Any) -> str:
    found = leak_constraints(snapshot, a_policy(**policy))
    assert all(each.name == CONSTRAINT for each in found)
    return found[0].reason if found else ""


def test_memory_that_grows_at_a_steady_load_is_named_with_its_growth_and_the_time_that_is_left() -> None:
    said = suspected(seen())
    assert "over 30 min trimtab_agent_container_memory_working_set_bytes grew by 35%" in said
    assert "is full in about 0.5 h at this pace" in said  # 2 - 1.5 GiB are left, at 1 GiB/h


def test_gpu_memory_is_looked_at_too_but_not_where_the_engine_takes_it_at_its_start() -> None:
    grows = {"history": {GPU_MEMORY: course(GPU_MEMORY, rising(0.5, 0.6))}}
    assert "grew by 15%" in suspected(seen(None, **grows))
    assert suspected(seen(None, target=a_target(runtime="vllm"), **grows)) == ""


def test_without_a_limit_no_time_is_told() -> None:
    pods = tuple(a_pod(name, memory_limit_bytes=None) for name in ("chat-0", "chat-1"))
    assert "full" not in suspected(seen(target=a_target(pods=pods)))
    assert suspected(seen(target=a_target(pods=pods)))


def test_both_memories_are_one_suspicion() -> None:
    found = leak_constraints(seen(history={GPU_MEMORY: course(GPU_MEMORY, rising(0.5, 0.6))}), a_policy())
    assert len(found) == 1
    assert " and " in found[0].reason


YOUNG = a_target(pods=(a_pod("chat-0"), a_pod("chat-1", created_at=NOW - 600.0, ready_at=NOW - 590.0)))
RESTARTED = a_target(pods=(a_pod("chat-0"), a_pod("chat-1", started_at=NOW - 600.0)))


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(seen(lambda _: GIB), id="still"),
        pytest.param(seen(rising(1.5 * GIB, GIB)), id="falls"),
        pytest.param(seen(rising(GIB, 1.04 * GIB)), id="grows-a-little"),
        pytest.param(seen(lambda share: GIB * (1.0 + 0.5 * (1.0 - (1.0 - share) ** 4))), id="a-cache-that-fills-up"),
        pytest.param(seen(lambda share: GIB * (1.8 if 0.25 <= share < 0.5 else 1.0 + share)), id="up-and-down"),
        pytest.param(seen(history={LOAD: course(LOAD, rising(20.0, 40.0))}), id="load-grows"),
        pytest.param(seen(history={LOAD: a_series(LOAD, 40.0, seconds=600.0)}), id="load-known-for-ten-minutes"),
        pytest.param(seen(history={LOAD: a_series(LOAD, 0.0, seconds=-15.0)}), id="load-not-known"),
        pytest.param(seen(None), id="memory-not-known"),
        pytest.param(seen(target=YOUNG), id="a-young-pod"),
        pytest.param(seen(target=RESTARTED), id="a-restarted-container"),
        pytest.param(seen(target=a_target(pods=())), id="no-pods"),
        pytest.param(replace(seen(), target=TargetProblem("NotFound", "gone")), id="no-target"),
    ],
)
def test_what_explains_growth_otherwise_is_no_suspicion(snapshot: Snapshot) -> None:
    assert suspected(snapshot) == ""


def test_a_quarter_of_the_time_without_data_is_no_suspicion() -> None:
    whole = course(MEMORY, rising(GIB, 1.5 * GIB))
    slow = replace(whole, points=tuple(point for point in whole.points[::60]))
    assert suspected(replace(seen(), history=seen().history | {MEMORY: slow})) == ""


def test_a_change_of_the_replicas_within_the_window_explains_it() -> None:
    entry = an_entry(what="Scaled", at=NOW - 600.0)
    assert suspected(seen(), status={"history": [entry]}) == ""
    assert suspected(seen(), status={"history": [an_entry(what="Scaled", at=NOW - 3600.0)]})


def test_a_memory_of_nothing_has_no_pace() -> None:
    zero = {MEMORY: a_reading(MEMORY, dict.fromkeys(("chat-0", "chat-1"), 0.0))}
    assert "full" not in suspected(seen(readings=zero))


def test_the_suspicion_is_among_the_constraints_of_a_trusted_snapshot_only() -> None:
    assert CONSTRAINT in {each.name for each in analyze(seen(), a_policy()).constraints}
    assert CONSTRAINT not in {each.name for each in analyze(seen(busy=9.0), a_policy()).constraints}
