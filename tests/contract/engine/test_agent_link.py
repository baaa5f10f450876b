"""A real engine and the agent of its node: settings that arrive, that are refused, that end, and agents that fail."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from contract.engine.conftest import EngineFactory, listening_agent
from contract.engine.running_engine import EngineProcess, v2_body
from fakes.engine_agent import Authority, EngineAgent, a_document, a_token

STATE = "trimtab_engine_agent_state"
CHANGES = "trimtab_engine_settings_changes_total"


@dataclass
class Attached:
    """An engine beside its agent, and the generation of the last document."""

    agent: EngineAgent
    engine: EngineProcess
    generation: int = 1
    past: list[dict[str, Any]] = field(default_factory=list)

    def next_document(self, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.generation += 1
        self.past.append(a_document(settings, generation=self.generation, **more))
        return self.past[-1]

    def apply(self, settings: dict[str, Any], **more: Any) -> float:
        """Serve settings and wait for the report. Returns the seconds between."""
        document = self.next_document(settings, **more)
        seen = len(self.agent.reports)
        began = self.agent.serve(document)
        report = self.report_after(seen, lambda body: body["version"] == document["version"])
        assert report["refused"] == []
        return next(r.at for r in self.agent.reports[seen:] if r.body is report) - began

    def report_after(self, seen: int, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first wanted report after those that were seen."""

        def found() -> dict[str, Any] | None:
            return next((report.body for report in self.agent.reports[seen:] if wanted(report.body)), None)

        report = self.engine.wait_for(found, 30)
        assert report is not None
        return report

    def in_force(self) -> tuple[float, float, float]:
        names = ("max_batch_size", "max_queue_delay_seconds", "cache_limit_bytes")
        batch, delay, cache = (self.engine.metric("trimtab_engine_setting", name=name) for name in names)
        return batch, delay, cache

    def wait_for_state(self, state: str) -> None:
        self.engine.wait_for(lambda: self.engine.metric(STATE, state=state) == 1, 30)


def ready(engine: EngineProcess) -> bool:
    return engine.ask("GET", "/v2/health/ready").status == 200


@pytest.fixture(scope="module")
def pair(start_engine: EngineFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attached]:
    """An engine whose agent had settings for it from the start."""
    with listening_agent(tmp_path_factory.mktemp("agent"), {"maxBatchSize": 16}) as agent:
        yield Attached(agent, start_engine(**agent.environment))


def test_a_new_engine_is_ready_with_its_first_settings_in_force(pair: Attached) -> None:
    pair.engine.wait_for(lambda: ready(pair.engine), 30)
    assert pair.in_force() == (16, 0.005, 0)
    assert pair.engine.ask("GET", "/v2/models/all-MiniLM-L6-v2/ready").status == 200
    first, *_ = [report.body for report in pair.agent.reports]
    assert (first["version"], first["appliedHash"]) == (None, None)
    started = {"maxBatchSize": 8, "maxQueueDelay": "5ms", "cacheMemory": "0", "quantization": "None", "variant": "base"}
    assert first["applied"] == {**first["applied"], **started}
    pair.report_after(0, lambda body: body["applied"]["maxBatchSize"] == 16)


def test_settings_are_in_force_and_reported_within_half_a_second(pair: Attached) -> None:
    seconds = [pair.apply({"maxBatchSize": 20 + n, "maxQueueDelay": "3ms", "cacheMemory": "1Mi"}) for n in range(9)]
    assert pair.in_force() == (28, 0.003, 1 << 20)
    assert statistics.median(seconds) <= 0.5, seconds
    pair.apply({})
    assert pair.in_force() == (8, 0.005, 0)


@pytest.mark.parametrize(
    ("hostile", "setting"),
    [
        ({"maxBatchSize": 1000}, "maxBatchSize"),
        ({"maxBatchSize": -1}, "maxBatchSize"),
        ({"maxBatchSize": 12.5}, "maxBatchSize"),
        ({"maxQueueDelay": "1h"}, "maxQueueDelay"),
        ({"maxQueueDelay": "NaN"}, "maxQueueDelay"),
        ({"cacheMemory": "9999Gi"}, "cacheMemory"),
        ({"modelPath": "/etc/passwd"}, "modelPath"),
    ],
    ids=str,
)
def test_hostile_settings_are_refused_with_the_reason_and_nothing_changes(
    pair: Attached, hostile: dict[str, Any], setting: str
) -> None:
    before, seen = pair.in_force(), len(pair.agent.reports)
    refusals = pair.engine.metric(CHANGES, outcome="refused")
    document = pair.next_document({"maxQueueDelay": "7ms", "cacheMemory": "2Mi", **hostile})
    pair.agent.serve(document)
    report = pair.report_after(seen, lambda body: bool(body["refused"]))
    assert [value["setting"] for value in report["refused"]] == [setting]
    assert report["refused"][0]["value"] in str(hostile)
    assert report["refused"][0]["reason"]
    assert report["version"] == document["version"]
    assert pair.in_force() == before
    assert pair.engine.metric(CHANGES, outcome="refused") - refusals == 1  # not asked for again and again


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 60_000, b"x" * 70_000, b'{"settings": {"maxBatchSize": 1e999}}'],
    ids=lambda b: str(len(b)),
)
def test_bytes_that_are_no_document_are_refused_and_nothing_changes(pair: Attached, body: bytes) -> None:
    before, seen = pair.in_force(), len(pair.agent.reports)
    pair.agent.serve(body)
    report = pair.report_after(seen, lambda body: bool(body["refused"]))
    assert report["refused"][0]["reason"]
    assert pair.in_force() == before
    assert ready(pair.engine)
    pair.apply({})


def test_documents_of_another_pod_of_an_older_or_a_superseded_state_are_refused(pair: Attached) -> None:
    def refusal(document: dict[str, Any]) -> tuple[str, str]:
        seen = len(pair.agent.reports)
        pair.agent.serve(document)
        value = pair.report_after(seen, lambda body: bool(body["refused"]))["refused"][0]
        return value["setting"], value["reason"]

    pair.apply({"maxBatchSize": 9})
    assert refusal(pair.next_document({"maxBatchSize": 2}, pod_uid="another")) == ("podUid", "is not this pod")
    setting, reason = refusal(a_document({"maxBatchSize": 3}, generation=1))
    assert (setting, reason.partition(":")[0]) == ("version", "OutOfOrder")
    pair.apply({"maxBatchSize": 10}, uid="tuning-2")
    setting, reason = refusal(pair.next_document({"maxBatchSize": 4}, uid="tuning-1"))
    assert (setting, reason.partition(":")[0]) == ("version", "Replayed")
    assert pair.in_force()[0] == 10
    pair.generation += 1
    pair.agent.serve(a_document({}, uid="tuning-3"))
    pair.engine.wait_for(lambda: pair.in_force()[0] == 8, 30)


def test_a_pod_without_an_entry_runs_on_as_it_is(pair: Attached) -> None:
    pair.apply({"maxBatchSize": 11}, uid="tuning-3")
    pair.agent.serve(None)
    seen = pair.agent.questions
    pair.agent.serve(None)
    pair.engine.wait_for(lambda: pair.agent.questions > seen, 60)
    assert pair.in_force()[0] == 11
    assert pair.engine.metric(STATE, state="attached") == 1
    pair.apply({"maxBatchSize": 12}, uid="tuning-3")


def test_a_trial_ends_in_its_fallback_while_the_agent_is_down_and_this_is_reported_later(pair: Attached) -> None:
    trial = {"trial": "embeddings-1", "expiresInSeconds": 2.0, "fallback": {"maxBatchSize": 5}}
    pair.apply({"maxBatchSize": 64, "cacheMemory": "1Mi"}, uid="tuning-3", **trial)
    assert pair.in_force() == (64, 0.005, 1 << 20)
    pair.agent.stop()
    seen = len(pair.agent.reports)
    pair.engine.wait_for(lambda: pair.in_force() == (5, 0.005, 0), 30)
    pair.wait_for_state("lost")
    assert pair.engine.metric(CHANGES, outcome="expired") == 1
    assert ready(pair.engine)
    pair.agent.start()
    report = pair.report_after(seen, lambda body: bool(body["expired"]))
    assert report["applied"]["maxBatchSize"] == 5
    pair.wait_for_state("attached")


def test_a_trial_that_ends_beside_its_agent_is_reported_at_once(pair: Attached) -> None:
    trial = {"trial": "embeddings-2", "expiresInSeconds": 1.0, "fallback": {}}
    pair.apply({"maxBatchSize": 64}, uid="tuning-3", **trial)
    seen, began = len(pair.agent.reports), time.monotonic()
    pair.report_after(seen, lambda body: bool(body["expired"]))
    assert time.monotonic() - began < 15  # not only when the long question has run out


def test_another_ca_is_picked_up_while_the_engine_serves(pair: Attached) -> None:
    pair.agent.stop()
    pair.agent.authority = Authority()
    pair.agent.start()
    pair.wait_for_state("untrusted")
    assert ready(pair.engine)
    assert pair.engine.infer(v2_body(["hello"])).status == 200
    old = pair.agent.ca_file.read_bytes()
    pair.agent.ca_file.write_bytes(old + pair.agent.authority.pem)
    pair.wait_for_state("attached")
    pair.apply({"maxBatchSize": 13}, uid="tuning-3")
    pair.agent.ca_file.write_bytes(pair.agent.authority.pem)
    pair.apply({"maxBatchSize": 14}, uid="tuning-3")


def test_a_token_that_the_agent_refuses_changes_nothing_and_the_next_one_is_used(pair: Attached) -> None:
    before = pair.in_force()
    pair.agent.token = a_token() + "2"
    pair.agent.serve(pair.next_document({"maxBatchSize": 30}, uid="tuning-3"))
    pair.wait_for_state("refused")
    assert pair.in_force() == before
    assert ready(pair.engine)
    pair.agent.token_file.write_text(pair.agent.token)
    pair.engine.wait_for(lambda: pair.in_force()[0] == 30, 30)
    pair.wait_for_state("attached")
    assert pair.agent.token not in pair.engine.log_path.read_text()


def test_without_agent_token_and_ca_an_engine_is_ready_after_the_wait_serves_and_attaches_later(
    start_engine: EngineFactory, tmp_path: Path
) -> None:
    agent = EngineAgent(tmp_path)
    agent.ca_file.unlink()
    agent.token_file.unlink()
    engine = start_engine(**agent.environment)
    began = time.monotonic()
    assert not ready(engine)
    assert engine.ask("GET", "/v2/models/all-MiniLM-L6-v2/ready").status == 503
    assert engine.infer(v2_body(["hello"])).status == 200
    engine.wait_for(lambda: ready(engine), 30)
    assert 4.0 <= time.monotonic() - began <= 15.0
    attached = Attached(agent, engine)
    attached.wait_for_state("untrusted")
    agent.token_file.write_text(agent.token)
    agent.ca_file.write_bytes(agent.authority.pem)
    attached.wait_for_state("connecting")
    assert ready(engine)
    agent.start()
    try:
        attached.apply({"maxBatchSize": 17})
        assert attached.in_force()[0] == 17
    finally:
        agent.stop()
    attached.wait_for_state("lost")
    assert ready(engine)


def test_an_engine_whose_pod_has_no_entry_is_ready_as_soon_as_that_is_said_and_ends_when_told(
    start_engine: EngineFactory, tmp_path: Path
) -> None:
    agent = EngineAgent(tmp_path)
    agent.start()
    try:
        engine = start_engine(**agent.environment, TRIMTAB_FIRST_SETTINGS_WAIT="60s", TRIMTAB_DRAIN_GRACE="0s")
        engine.wait_for(lambda: ready(engine), 45)
        assert engine.metric("trimtab_engine_settings_applied", hash="as-started") == 1
        engine.process.terminate()
        assert engine.process.wait(30) == 0  # a question under way holds nothing up
        assert "Traceback" not in engine.log_path.read_text()
    finally:
        agent.stop()


def test_an_engine_without_an_agents_address_asks_nobody(engine: EngineProcess) -> None:
    assert engine.metric(STATE, state="off") == 1
    assert engine.metric(STATE) == 1
    assert engine.events("agent_state") == []
