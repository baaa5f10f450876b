"""The link's end in the event loop: what is put in force, for how long, and what is reported."""

from __future__ import annotations

import heapq
import io
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from fakes.engine_agent import POD_UID, a_document

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.wire import PendingSetting, SettingsReport, ShadowedSetting, settings_hash
from trimtab_engine.agent_link.document import Trial
from trimtab_engine.agent_link.expiry import TrialEnd
from trimtab_engine.agent_link.link import AgentLink
from trimtab_engine.agent_link.slow import SlowSettings
from trimtab_engine.agent_link.values import refused
from trimtab_engine.log import Log
from trimtab_engine.metrics import AgentState, EngineMetrics
from trimtab_engine.settings import LiveSettings

STARTED = LiveSettings(8, 0.005, 0)
FALLBACK = {"maxBatchSize": 4}


class Call:
    """A call that is due, until it is canceled."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Timers:
    """A clock whose timers ring when a test moves it, each `early` seconds too soon."""

    def __init__(self, early: float = 0.0) -> None:
        self.now = 100.0
        self.early = early
        self._due: list[tuple[float, int, Call]] = []
        self._numbers = itertools.count()

    def monotonic(self) -> float:
        return self.now

    def later(self, seconds: float, call: Callable[[], None]) -> Call:
        made = Call(call)
        early = min(self.early, seconds / 2)
        heapq.heappush(self._due, (self.now + seconds - early, next(self._numbers), made))
        return made

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, made = heapq.heappop(self._due)
            if made.call is not None:
                made.call()
        self.now = end


class Linked:
    """A link, what it applied, and how often it said that the first settings are known."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.applied: list[LiveSettings] = []
        self.settled: list[bool] = []
        self.metrics = EngineMetrics("m")
        self.link = AgentLink(
            started=STARTED,
            apply=self.applied.append,
            settled=lambda: self.settled.append(True),
            later=self.timers.later,
            metrics=self.metrics.link,
            log=Log(io.StringIO()),
            monotonic=self.timers.monotonic,
        )

    def deliver(self, document: dict[str, Any] | bytes) -> bool:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.link.deliver(body, POD_UID)

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.link.standing.report)
        return report

    def exposed(self, line: str) -> bool:
        return line in self.metrics.exposition().decode().splitlines()


def a_trial(seconds: float, generation: int = 1, **settings: Any) -> dict[str, Any]:
    return a_document(settings, generation=generation, trial="t-1", expiresInSeconds=seconds, fallback=FALLBACK)


def test_the_report_has_the_shape_of_the_wire_from_the_start() -> None:
    linked = Linked()
    assert linked.report.keys() == SettingsReport.__required_keys__
    assert (linked.report["version"], linked.report["appliedHash"]) == (None, None)
    assert linked.report["applied"] == {
        "maxBatchSize": 8,
        "maxQueueDelay": "5ms",
        "cacheMemory": "0",
        "maxBatchTokens": 0,
        "batching": "Manual",
        "latencyTarget": "100ms",
        "cacheEviction": "Auto",
        "quantization": "None",
        "variant": "base",
        "minAccuracy": "0.98",
    }
    assert [linked.report[field] for field in ("refused", "pending", "expired")] == [[], [], False]
    assert linked.report["knobs"] == [
        {"setting": "maxBatchSize", "low": "1", "high": "256", "cost": "hot"},
        {"setting": "maxQueueDelay", "low": "0ms", "high": "10000ms", "cost": "hot"},
        {"setting": "cacheMemory", "low": "0", "high": "1099511627776", "cost": "hot"},
        {"setting": "maxBatchTokens", "low": "0", "high": "1048576", "cost": "hot"},
        {"setting": "batching", "allowed": ["Manual", "Adaptive"], "cost": "hot"},
        {"setting": "latencyTarget", "low": "1ms", "high": "60000ms", "cost": "hot"},
        {"setting": "cacheEviction", "allowed": ["Auto", "LRU", "S3FIFO"], "cost": "hot"},
        {"setting": "quantization", "allowed": ["None", "Int8", "FP8"], "cost": "clone"},
        {"setting": "variant", "allowed": ["base"], "cost": "clone"},
        {"setting": "minAccuracy", "low": "0", "high": "1", "cost": "hot"},
    ]


def test_a_document_is_put_in_force_whole_and_reported_in_the_words_of_the_api() -> None:
    linked, document = Linked(), a_document({"maxQueueDelay": "0ms", "cacheMemory": "16Mi"}, generation=3)
    before = linked.link.standing.number
    assert linked.deliver(document)
    assert linked.applied == [LiveSettings(8, 0.0, 16 << 20)]
    assert linked.report["version"] == document["version"]
    assert linked.report["appliedHash"] == settings_hash(document["settings"])
    applied = linked.report["applied"]
    assert (applied["maxBatchSize"], applied["maxQueueDelay"], applied["cacheMemory"]) == (8, "0ms", "16777216")
    EngineSettings.model_validate(linked.report["applied"])
    assert linked.link.standing.known == document["entry"]
    assert linked.link.standing.number > before
    assert linked.settled
    assert linked.exposed('trimtab_engine_settings_changes_total{outcome="applied"} 1.0')
    assert linked.exposed("trimtab_engine_settings_generation 3.0")
    text = linked.metrics.exposition().decode()
    assert [line for line in text.splitlines() if line.startswith("trimtab_engine_settings_applied{")] == [
        f'trimtab_engine_settings_applied{{hash="{document["version"]["hash"]}"}} 1.0'
    ]


def test_a_refused_document_changes_nothing_and_is_reported_with_the_reason() -> None:
    linked, good = Linked(), a_document({"maxBatchSize": 16})
    linked.deliver(good)
    bad = a_document({"maxBatchSize": 1000, "maxQueueDelay": "1ms"}, generation=2)
    assert linked.deliver(bad)
    assert linked.applied == [LiveSettings(16, 0.005, 0)]
    (refused,) = linked.report["refused"]
    assert (refused["setting"], refused["value"]) == ("maxBatchSize", "1000")
    assert "from 1 to 256" in refused["reason"]
    assert (linked.report["version"], linked.report["appliedHash"]) == (bad["version"], good["version"]["hash"])
    assert linked.link.standing.known == bad["entry"]
    assert linked.exposed('trimtab_engine_settings_changes_total{outcome="refused"} 1.0')
    assert linked.exposed("trimtab_engine_settings_generation 1.0")
    assert not linked.deliver(b"{")
    assert linked.link.standing.known == bad["entry"]
    linked.deliver(a_document({"maxBatchSize": 2}, generation=3))
    assert linked.report["refused"] == []


def test_a_trial_ends_in_its_fallback_once_and_is_reported_expired() -> None:
    linked = Linked()
    linked.deliver(a_trial(60.0, maxBatchSize=32))
    assert linked.link.standing.ends_at == 160.0
    linked.timers.advance(59.9)
    assert linked.applied == [LiveSettings(32, 0.005, 0)]
    linked.timers.advance(1000.0)
    assert linked.applied[1:] == [LiveSettings(4, 0.005, 0)]
    assert linked.report["expired"]
    assert linked.report["appliedHash"] == settings_hash(FALLBACK)
    assert linked.link.standing.ends_at is None
    assert linked.exposed('trimtab_engine_settings_changes_total{outcome="expired"} 1.0')
    linked.deliver(b"{")
    assert linked.report["expired"]
    linked.deliver(a_document({}, generation=2))
    assert not linked.report["expired"]


def test_a_trial_whose_time_is_over_on_arrival_is_never_in_force() -> None:
    linked = Linked()
    linked.deliver(a_trial(0.0, maxBatchSize=32))
    assert linked.applied == [LiveSettings(4, 0.005, 0)]
    assert linked.report["expired"]


def test_a_newer_document_ends_a_trial_and_a_refused_one_does_not() -> None:
    linked = Linked()
    linked.deliver(a_trial(60.0, maxBatchSize=32))
    linked.deliver(a_document({"maxBatchSize": 64}, generation=2))
    linked.timers.advance(100.0)
    assert linked.applied[-1] == LiveSettings(64, 0.005, 0)
    linked.deliver(a_trial(60.0, generation=3, maxBatchSize=32))
    linked.deliver(a_document({"maxBatchSize": 0}, generation=4))
    linked.timers.advance(100.0)
    assert linked.applied[-1] == LiveSettings(4, 0.005, 0)


def test_no_entry_changes_nothing_and_ends_the_wait_for_the_first_settings() -> None:
    linked = Linked()
    linked.deliver(a_document({"maxBatchSize": 16}))
    number = linked.link.standing.number
    linked.link.no_entry()
    assert (linked.applied, linked.link.standing.number) == ([LiveSettings(16, 0.005, 0)], number)
    assert len(linked.settled) == 2


@pytest.mark.parametrize("state", list(AgentState))
def test_exactly_one_state_is_exposed_as_the_present_one(state: AgentState) -> None:
    linked = Linked()
    assert linked.exposed('trimtab_engine_agent_state{state="off"} 1.0')
    linked.link.state_is(state, "Because")
    for other in AgentState:
        present = float(other is state)
        assert linked.exposed(f'trimtab_engine_agent_state{{state="{other.value}"}} {present}')


def test_a_timer_that_rings_early_is_set_again() -> None:
    timers, ended = Timers(early=0.001), []
    trial = Trial("t", 5.0, STARTED, "h")
    end = TrialEnd(timers.monotonic, timers.later, lambda trial: ended.append((timers.now, trial.name)))
    end.begin(trial)
    timers.advance(4.9995)
    assert not ended
    timers.advance(10.0)
    ((at, name),) = ended
    assert name == "t"
    assert at == pytest.approx(105.0)


def test_a_trial_in_place_of_another_has_its_own_time() -> None:
    timers, ended = Timers(), []
    end = TrialEnd(timers.monotonic, timers.later, lambda trial: ended.append(trial.name))
    end.begin(Trial("first", 5.0, STARTED, "h"))
    end.begin(Trial("second", 50.0, STARTED, "h"))
    timers.advance(49.0)
    assert (ended, end.due_at) == ([], 150.0)
    timers.advance(1.0)
    assert ended == ["second"]


def test_what_takes_time_is_reported_as_it_runs_until_it_is_in_force_or_refused() -> None:
    linked = Linked()
    linked.deliver(a_document({"quantization": "Int8"}))
    assert linked.applied[-1].quantization == "Int8"
    pending: PendingSetting = {"setting": "quantization", "value": "Int8", "phase": "Searching"}
    searching = SlowSettings({Knob.QUANTIZATION: "None"}, (pending,))
    linked.link.slow_is(searching)
    assert (linked.report["applied"]["quantization"], linked.report["pending"]) == ("None", [pending])
    number = linked.link.standing.number
    linked.link.slow_is(searching)
    assert linked.link.standing.number == number  # no news, no report
    refusal = refused("quantization", "Int8", "AccuracyTooLow: agrees by 0.91, below 0.98")
    linked.link.slow_is(SlowSettings({Knob.QUANTIZATION: "None"}, refused=(refusal,)))
    assert (linked.report["refused"], linked.report["pending"]) == ([refusal], [])
    assert linked.report["appliedHash"] == settings_hash({"quantization": "Int8"})
    linked.link.slow_is(SlowSettings())
    assert (linked.report["applied"]["quantization"], linked.report["refused"]) == ("Int8", [])


def test_what_was_found_in_shadow_is_reported_and_no_word_of_it_where_there_is_nothing() -> None:
    linked = Linked()
    row: ShadowedSetting = {
        "setting": "quantization", "value": "Int8", "accuracyLow": "0.9871", "minAccuracy": "0.98", "inputs": 512,
        "speedup": "1.312",
    }  # fmt: skip
    linked.link.slow_is(SlowSettings(shadowed=(row,)))
    assert linked.report["shadowed"] == [row]
    linked.link.slow_is(SlowSettings())
    assert "shadowed" not in linked.report, "agents of an older version refuse a report with a field too many"


def test_what_is_under_way_and_a_refused_document_are_reported_side_by_side() -> None:
    linked = Linked()
    linked.link.slow_is(SlowSettings(pending=({"setting": "variant", "value": "small", "phase": "Building"},)))
    linked.deliver(a_document({"maxBatchSize": 0}))
    assert [row["setting"] for row in linked.report["refused"]] == ["maxBatchSize"]
    assert [row["phase"] for row in linked.report["pending"]] == ["Building"]
