"""NodeTuning.status: what it says of each engine, and when it is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_api import AgentApi
from fakes.agent_wire import REPORT, WireWorld, entry, until, wire_world

from trimtab_agent.engines import status_writer
from trimtab_agent.engines.attached import MAX_ENGINES, Engine, Engines
from trimtab_agent.engines.known_tuning import KnownTuning
from trimtab_agent.engines.kube import ApiAccess, KubeApi
from trimtab_agent.engines.status import MAX_SENTENCE, compose_status, is_same
from trimtab_agent.engines.status_writer import StatusWriter
from trimtab_api.node_tuning import NodeTuningStatus
from trimtab_api.wire import entry_hash, settings_hash

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EIGHT, SIXTEEN, INT8 = {"maxBatchSize": 8}, {"maxBatchSize": 16}, {"quantization": "Int8"}
TRIAL = {"trial": "t", "expiresAt": "2026-01-01T12:00:00Z", "fallback": EIGHT}
Json = dict[str, Any]


def report(applied: Json | None, **other: Any) -> Any:
    return {
        **REPORT,
        "applied": applied or {},
        "appliedHash": None if applied is None else settings_hash(applied),
    } | other


def engine(told: Any = None, asked: float = 0.0) -> Engine:
    """An engine that asked so many seconds before NOW."""
    at = NOW - timedelta(seconds=asked)
    return Engine(at, told, None if told is None else at)


def status(entries: list[Json], engines: dict[str, Engine], before: Json | None = None, **times: datetime) -> Json:
    tuning = {"metadata": {"name": "n", "generation": 4}, "spec": {"engines": entries}, "status": before or {}}
    found = compose_status(tuning, engines, times.get("started_at", NOW), times.get("now", NOW))
    NodeTuningStatus.model_validate(found)  # the API server takes it
    return found


def states(found: Json, uid: str = "a") -> list[tuple[str, str]]:
    conditions = next(each for each in found["engines"] if each["podUid"] == uid)["conditions"]
    assert [each["type"] for each in conditions] == ["Attached", "Applied"]
    return [(each["status"], each["reason"]) for each in conditions]


ABOUT_EIGHT = {"uid": "u", "generation": 4, "hash": settings_hash(EIGHT)}
NO = [{"setting": "maxBatchSize", "value": "8", "reason": "too many"}]


ABOUT_INT8 = {"uid": "u", "generation": 4, "hash": settings_hash(INT8)}
SEARCHING = [{"setting": "quantization", "value": "Int8", "phase": "Searching"}]
GATE = [{"setting": "quantization", "value": "Int8", "reason": "AccuracyTooLow: agrees by 0.91, below 0.98"}]


@pytest.mark.parametrize(
    ("asked", "told", "expected"),
    [
        (entry("a", EIGHT), report(EIGHT), ("True", "AsAsked")),
        (entry("a", {}), report({}), ("True", "AsAsked")),
        (entry("a", {}), report(None), ("False", "Pending")),
        (entry("a", EIGHT), report(SIXTEEN), ("False", "Pending")),
        (entry("a", EIGHT), None, ("Unknown", "NotReported")),
        (entry("a", EIGHT), report(SIXTEEN, refused=NO, version=ABOUT_EIGHT), ("False", "Refused")),
        (entry("a", SIXTEEN), report(None, refused=NO, version=ABOUT_EIGHT), ("False", "Pending")),
        (entry("a", INT8), report(INT8, pending=SEARCHING, version=ABOUT_INT8), ("False", "Pending")),
        (entry("a", INT8), report(INT8, refused=GATE, version=ABOUT_INT8), ("False", "Refused")),
        (entry("a", INT8), report(INT8, refused=GATE, version=ABOUT_EIGHT), ("True", "AsAsked")),
        (entry("a", INT8), report(INT8, refused=NO, version=ABOUT_INT8), ("True", "AsAsked")),
        (entry("a", SIXTEEN, **TRIAL), report(EIGHT, expired=True), ("True", "Expired")),
        (entry("a", SIXTEEN, **TRIAL), report(SIXTEEN), ("False", "Pending")),
        (entry("a", SIXTEEN, **{**TRIAL, "expiresAt": "2026-01-01T12:00:01Z"}), report(SIXTEEN), ("True", "AsAsked")),
        (entry("a", SIXTEEN, **{**TRIAL, "expiresAt": "2026-01-01T12:00:01Z"}), report(EIGHT), ("False", "Pending")),
    ],
)
def test_applied_says_whether_the_engine_runs_with_what_its_entry_asks_now(
    asked: Json, told: Any, expected: tuple[str, str]
) -> None:
    found = status([asked], {"a": engine(told)})
    assert states(found) == [("True", "Asking"), expected]
    assert found["summary"] == ("1/1" if expected[0] == "True" else "0/1")
    assert found["observedGeneration"] == 4


def test_what_was_refused_is_told_and_a_field_that_is_no_setting_only_in_the_message() -> None:
    rows = [*NO, {"setting": "fallback", "value": "x", "reason": "no object"}]
    found = status([entry("a", EIGHT)], {"a": engine(report(None, refused=rows, version=ABOUT_EIGHT))})
    assert found["engines"][0]["refused"] == NO
    assert found["engines"][0]["conditions"][1]["message"] == "maxBatchSize 8: too many; fallback x: no object"
    assert found["engines"][0]["knobs"] == REPORT["knobs"]


def test_what_was_found_in_shadow_is_told_and_stands_for_the_next_agent_and_nothing_is_made_up() -> None:
    row = {"setting": "quantization", "value": "Int8", "accuracyLow": "0.9871", "minAccuracy": "0.98", "inputs": 512}
    found = status([entry("a", INT8)], {"a": engine(report(INT8, shadowed=[row], version=ABOUT_INT8))})
    assert found["engines"][0]["shadowed"] == [row]
    assert is_same(found, status([entry("a", INT8)], {"a": Engine(NOW)}, found))
    older = status([entry("a", INT8)], {"a": engine(report(INT8, version=ABOUT_INT8))})
    assert "shadowed" not in older["engines"][0]


def test_the_longest_report_is_still_a_status_that_the_api_server_takes() -> None:
    rows = [{"setting": f"s{n}", "value": "v" * 64, "reason": "r" * 1024} for n in range(8)]
    found = status([entry("a", EIGHT)], {"a": engine(report(None, refused=rows, version=ABOUT_EIGHT))})
    assert len(found["engines"][0]["conditions"][1]["message"]) == MAX_SENTENCE


@pytest.mark.parametrize(("seconds", "expected"), [(90, ("True", "Asking")), (91, ("False", "Lost"))])
def test_an_engine_that_asks_no_more_is_lost_after_90_seconds(seconds: float, expected: tuple[str, str]) -> None:
    found = status([entry("a", EIGHT)], {"a": engine(report(EIGHT), seconds)})
    assert states(found) == [expected, ("True", "AsAsked")]
    assert found["summary"] == ("1/1" if seconds == 90 else "0/1")


def test_only_pods_with_an_entry_are_reported_and_those_that_never_asked_are_not() -> None:
    found = status([entry("a", EIGHT), entry("c")], {"a": engine(report(EIGHT)), "b": engine(report(EIGHT))})
    assert [each["podUid"] for each in found["engines"]] == ["a"]
    assert found["summary"] == "1/2"


def test_what_a_former_agent_wrote_stands_until_the_engine_had_its_time_to_ask_again() -> None:
    before = status([entry("a", EIGHT)], {"a": engine(report(EIGHT))})
    later = NOW + timedelta(hours=1)
    same = status([entry("a", EIGHT)], {}, before, started_at=later, now=later + timedelta(seconds=90))
    assert is_same(before, same)
    lost = status([entry("a", EIGHT)], {}, before, started_at=later, now=later + timedelta(seconds=91))
    assert states(lost) == [("False", "Lost"), ("True", "AsAsked")]
    asked = status([entry("a", EIGHT)], {"a": Engine(later)}, before, started_at=later, now=later)
    assert is_same(before, asked)


def test_a_transition_keeps_its_time_until_the_status_flips() -> None:
    before = status([entry("a", EIGHT)], {"a": engine(report(EIGHT))})
    later = NOW + timedelta(minutes=1)
    after = status([entry("a", SIXTEEN)], {"a": engine(report(EIGHT))}, before, now=later)
    times = [each["lastTransitionTime"] for each in after["engines"][0]["conditions"]]
    assert times == ["2026-01-01T12:00:00Z", "2026-01-01T12:01:00Z"]


def test_the_time_of_an_answer_alone_is_no_change() -> None:
    one = status([entry("a", EIGHT)], {"a": engine(report(EIGHT), 0)})
    other = status([entry("a", EIGHT)], {"a": engine(report(EIGHT), 30)}, one)
    assert one != other
    assert is_same(one, other)
    assert not is_same(one, status([entry("a", EIGHT)], {"a": engine(report(SIXTEEN))}, one))


def test_engines_are_remembered_up_to_a_bound() -> None:
    engines = Engines(lambda: NOW, lambda: None)
    for number in range(MAX_ENGINES + 10):
        engines.asked(f"uid-{number}")
    assert len(engines.seen()) == MAX_ENGINES
    assert "uid-0" not in engines.seen()


@dataclass
class Desk:
    """A status writer with a clock of its own, against the fake API server."""

    api: AgentApi
    known: KnownTuning
    writer: StatusWriter
    engines: Engines
    clock: list[datetime]
    outcomes: list[str] = field(default_factory=list)

    async def take_over(self) -> None:
        """Have the writer know the object as it is now."""
        self.known.replace(self.api.tuning)

    async def settle(self) -> None:
        """Have the loop look, and wait until it waits again."""
        self.writer.news()
        await until(lambda: not self.writer._news.is_set(), "it looked")
        await asyncio.sleep(0)


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    async with wire_world(folder) as world:
        settings = world.environment()
        access = ApiAccess(settings["TRIMTAB_API_SERVER"], folder / "token", folder / "ca.crt")
        kube, known, clock = KubeApi(access), KnownTuning(), [NOW]
        outcomes: list[str] = []
        writer = StatusWriter(kube, "node-1", known, lambda: clock[0], outcomes.append)
        engines = Engines(lambda: clock[0], writer.news)
        known.on_change(lambda _: writer.news())
        running = asyncio.create_task(writer.run(engines))
        try:
            yield Desk(world.api, known, writer, engines, clock, outcomes)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await kube.close()


async def test_equal_reports_are_written_once_and_a_steady_node_writes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.api.write(entry("a", EIGHT))
        await found.take_over()
        found.engines.reported("a", report(EIGHT))
        await until(lambda: found.api.statuses and found.api.statuses[-1]["summary"] == "1/1", "it is written")
        written = len(found.api.statuses)
        for _ in range(20):
            found.clock[0] += timedelta(seconds=30)
            found.engines.asked("a")
            found.engines.reported("a", report(EIGHT))
            await found.settle()
        assert len(found.api.statuses) == written
        found.engines.reported("a", report(SIXTEEN))
        await until(lambda: len(found.api.statuses) == written + 1, "a change is written")


async def test_a_burst_of_reports_costs_two_writes_a_second(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.api.write(*(entry(f"uid-{number}", EIGHT) for number in range(50)))
        await found.take_over()
        await until(lambda: found.api.statuses, "the first write")
        for number in range(50):
            found.engines.reported(f"uid-{number}", report(EIGHT))
            await asyncio.sleep(0)
        await until(lambda: found.api.statuses[-1]["summary"] == "50/50", "all are written")
        assert len(found.api.statuses) <= 3


async def test_a_conflict_is_read_anew_and_tried_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.api.write(entry("a", EIGHT))
        await found.take_over()
        found.api.foreign_writes = 2
        found.engines.reported("a", report(EIGHT))
        await until(lambda: found.api.statuses, "it is written")
        assert found.outcomes == ["conflict", "conflict", "written"]
        assert found.api.statuses == [found.api.tuning["status"]]  # type: ignore[index]


async def test_a_status_is_composed_from_the_entries_that_the_conflict_brought(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.api.write(entry("a", EIGHT))
        await found.take_over()
        await found.api.write(entry("a", SIXTEEN))
        found.engines.reported("a", report(EIGHT))
        await until(lambda: found.api.statuses, "it is written")
        assert found.api.statuses[0]["observedGeneration"] == 2
        assert states(found.api.statuses[0])[1] == ("False", "Pending")


async def test_what_the_watch_told_meanwhile_is_not_undone_by_the_answer_to_a_write(tmp_path: Path) -> None:
    async with desk(tmp_path) as found:
        await found.api.write(entry("a", EIGHT))
        found.api.patch_answers.clear()
        await found.take_over()
        await until(lambda: found.api.statuses, "the write is stored and not answered")
        await found.api.write(entry("a", SIXTEEN))
        await found.take_over()
        found.api.patch_answers.set()
        await until(lambda: found.outcomes, "the write is answered")
        assert found.known.entry_hash("a") == entry_hash(entry("a", SIXTEEN))


async def test_the_end_of_a_trial_and_a_lost_engine_are_written_though_nobody_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_writer, "LOOK_SECONDS", 0.05)
    async with desk(tmp_path) as found:
        await found.api.write(entry("a", SIXTEEN, **{**TRIAL, "expiresAt": "2026-01-01T12:00:30Z"}))
        await found.take_over()
        found.engines.reported("a", report(SIXTEEN))
        await until(lambda: found.api.statuses and found.api.statuses[-1]["summary"] == "1/1", "it runs as asked")
        found.clock[0] += timedelta(seconds=30)
        await until(lambda: states(found.api.statuses[-1])[1] == ("False", "Pending"), "the trial is over")
        found.clock[0] += timedelta(seconds=61)
        await until(lambda: states(found.api.statuses[-1])[0] == ("False", "Lost"), "it is lost")
        assert states(found.api.statuses[-1]) == [("False", "Lost"), ("False", "Pending")]


async def test_while_the_api_server_is_away_writes_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_writer, "FIRST_RETRY_SECONDS", 0.05)
    async with desk(tmp_path) as found:
        await found.api.write(entry("a", EIGHT))
        found.api.away = True
        await found.take_over()
        await until(lambda: "failed" in found.outcomes, "it failed")
        found.api.away = False
        await until(lambda: found.api.statuses, "it is written")
        assert found.api.statuses[0]["summary"] == "0/1"


async def test_the_whole_wire_writes_what_engines_report_and_then_nothing(tmp_path: Path) -> None:
    async with wire_world(tmp_path) as world:
        await world.api.write(entry("a", EIGHT), entry("b", EIGHT))
        async with world.agent() as wire:
            await world.ask(world.pod("a"))
            assert (await world.report(world.pod("a"), report(EIGHT))).status == 204
            await until(lambda: world.api.statuses and world.api.statuses[-1]["summary"] == "1/2", "it is written")
            written = _stored(world)
            assert (await world.report(world.pod("a"), report(EIGHT))).status == 204
            await world.ask(world.pod("a"))
            await until(lambda: not wire._writer._news.is_set(), "it looked")
            await world.ask(world.pod("a"))  # longer than a write would take
            assert _stored(world) == written
            assert (wire.reading().attached, wire.reading().lost) == (1, 0)
            assert world.writes("written") == len(world.api.statuses)
        paths = {path for method, path in world.api.calls if method == "PATCH"}
        assert paths == {"/apis/trimtab.dev/v1alpha1/nodetunings/node-1/status"}


async def test_a_restarted_agent_leaves_the_status_as_it_is_until_engines_tell_something_new(tmp_path: Path) -> None:
    async with wire_world(tmp_path) as world:
        await world.api.write(entry("a", EIGHT))
        async with world.agent():
            await world.report(world.pod("a"), report(EIGHT))
            await until(lambda: world.api.statuses and world.api.statuses[-1]["summary"] == "1/1", "it is written")
        stored = _stored(world)
        async with world.agent() as wire:
            await world.ask(world.pod("a"))
            await until(lambda: not wire._writer._news.is_set(), "it looked")
            await world.ask(world.pod("a"))  # longer than a write would take
            assert _stored(world) == stored


def _stored(world: WireWorld) -> tuple[int, Json]:
    assert world.api.tuning is not None
    return len(world.api.statuses), world.api.tuning["status"]
