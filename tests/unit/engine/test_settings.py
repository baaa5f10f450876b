"""Process settings: what is accepted, what is refused, and what the refusal says."""

from __future__ import annotations

import pytest

from trimtab_engine.errors import SettingError
from trimtab_engine.model_sources import ModelSource
from trimtab_engine.settings import AgentSettings, Fault, LiveSettings, ProcessSettings, read_settings

MODEL = {"TRIMTAB_MODEL": "package:m"}


def test_what_is_not_set_has_the_default_of_its_field() -> None:
    assert read_settings(MODEL) == ProcessSettings(
        models=(ModelSource("package:m"),),
        port=8080,
        device="auto",
        torch_threads=1,
        queue_limit_items=256,
        max_body_bytes=1 << 20,
        drain_seconds=25.0,
        live=LiveSettings(max_batch_size=8, max_queue_delay_seconds=0.005, cache_limit_bytes=0),
    )


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("TRIMTAB_MODEL_NAME", "all-MiniLM-L6-v2", "models", (ModelSource("package:m", "all-MiniLM-L6-v2"),)),
        ("TRIMTAB_PORT", "0", "port", 0),
        ("TRIMTAB_DEVICE", "cuda:3", "device", "cuda:3"),
        ("TRIMTAB_QUEUE_LIMIT", "64", "queue_limit_items", 64),
        ("TRIMTAB_MAX_BODY_BYTES", "2Mi", "max_body_bytes", 2 << 20),
        ("TRIMTAB_MAX_BODY_BYTES", "3k", "max_body_bytes", 3000),
        ("TRIMTAB_DRAIN_SECONDS", "12.5", "drain_seconds", 12.5),
        ("TRIMTAB_DRAIN_GRACE", "0s", "drain_grace_seconds", 0.0),
        ("TRIMTAB_READ_TIMEOUT", "1m30s", "read_timeout_seconds", 90.0),
        ("TRIMTAB_FAULT", "exit_on_token:7", "fault", Fault("exit", 7)),
        ("TRIMTAB_LATENCY_OBJECTIVES", "50ms, 200ms,1s", "latency_objectives_seconds", (0.05, 0.2, 1.0)),
        ("TRIMTAB_PORT", "", "port", 8080),
    ],
)
def test_a_setting_is_read_in_its_unit(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read_settings({**MODEL, name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("TRIMTAB_MAX_BATCH_SIZE", "256", "max_batch_size", 256),
        ("TRIMTAB_MAX_QUEUE_DELAY", "20ms", "max_queue_delay_seconds", 0.02),
        ("TRIMTAB_MAX_QUEUE_DELAY", "0ms", "max_queue_delay_seconds", 0.0),
        ("TRIMTAB_CACHE_BYTES", "64Mi", "cache_limit_bytes", 64 << 20),
        ("TRIMTAB_MAX_BATCH_TOKENS", "4096", "max_batch_tokens", 4096),
        ("TRIMTAB_LATENCY_TARGET", "250ms", "latency_target_seconds", 0.25),
    ],
)
def test_a_live_setting_is_read_in_its_unit(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read_settings({**MODEL, name: text}).live, field) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "text", "accepted"),
    [
        ("TRIMTAB_MAX_BATCH_SIZE", "0", "from 1 to 256"),
        ("TRIMTAB_MAX_BATCH_SIZE", "257", "from 1 to 256"),
        ("TRIMTAB_MAX_BATCH_SIZE", "8.5", "whole number"),
        ("TRIMTAB_MAX_BATCH_SIZE", "-1", "whole number"),
        ("TRIMTAB_MAX_QUEUE_DELAY", "5", "5ms, 2s or 1m30s"),
        ("TRIMTAB_MAX_QUEUE_DELAY", "-5ms", "a duration"),
        ("TRIMTAB_MAX_QUEUE_DELAY", "1h", "from 0s to 10s"),
        ("TRIMTAB_MAX_QUEUE_DELAY", "5ms x", "a duration"),
        ("TRIMTAB_CACHE_BYTES", "64MB", "64Ki or 64Mi"),
        ("TRIMTAB_CACHE_BYTES", "nan", "a number of bytes"),
        ("TRIMTAB_CACHE_BYTES", "9999999Gi", "a number of bytes"),
        ("TRIMTAB_PORT", "65536", "from 0 to 65535"),
        ("TRIMTAB_DEVICE", "gpu", "auto, cpu or cuda:N"),
        ("TRIMTAB_MODEL_NAME", "a/b", "letters, digits"),
        ("TRIMTAB_DRAIN_SECONDS", "inf", "seconds as a number"),
        ("TRIMTAB_TORCH_THREADS", "0", "from 1 to 256"),
        ("TRIMTAB_FAULT", "sleep:1", "for tests only"),
        ("TRIMTAB_AGENT_URL", "http://agent:9443", "https://HOST:PORT"),
        ("TRIMTAB_AGENT_URL", "https://agent", "https://HOST:PORT"),
        ("TRIMTAB_AGENT_URL", "https://agent:0", "https://HOST:PORT"),
        ("TRIMTAB_AGENT_URL", "https://agent:70000", "https://HOST:PORT"),
        ("TRIMTAB_AGENT_URL", "https://user@agent:9443", "https://HOST:PORT"),
        ("TRIMTAB_AGENT_URL", "https://agent:9443/path", "https://HOST:PORT"),
        ("TRIMTAB_FIRST_SETTINGS_WAIT", "2m", "from 0s to 60s"),
        ("TRIMTAB_LATENCY_OBJECTIVES", "50ms,0ms", "from 0.001s to 3600s"),
        ("TRIMTAB_LATENCY_OBJECTIVES", "50ms,", "a duration"),
        ("TRIMTAB_LATENCY_OBJECTIVES", ",".join(f"{n}ms" for n in range(1, 10)), "up to 8 durations"),
    ],
)
def test_a_refusal_names_the_setting_its_value_and_what_is_accepted(name: str, text: str, accepted: str) -> None:
    with pytest.raises(SettingError) as refusal:
        read_settings({**MODEL, name: text})
    message = str(refusal.value)
    assert message.startswith(f"{name} is {text!r}")
    assert accepted in message


def test_an_agent_is_asked_where_its_address_is_given() -> None:
    address = {"TRIMTAB_AGENT_URL": "https://trimtab-agent.trimtab-system.svc:9443"}
    assert read_settings({**MODEL, **address}).agent == AgentSettings(
        "trimtab-agent.trimtab-system.svc", 9443, "/var/run/trimtab/token", "/var/run/trimtab/ca.crt", 5.0
    )
    more = {
        "TRIMTAB_AGENT_TOKEN_FILE": "/t/token",
        "TRIMTAB_AGENT_CA_FILE": "/t/ca",
        "TRIMTAB_FIRST_SETTINGS_WAIT": "250ms",
    }
    assert read_settings({**MODEL, **address, **more}).agent == AgentSettings(
        "trimtab-agent.trimtab-system.svc", 9443, "/t/token", "/t/ca", 0.25
    )
    assert read_settings({**MODEL, **more}).agent is None


def test_a_missing_model_is_refused() -> None:
    with pytest.raises(SettingError, match="TRIMTAB_MODEL is not set"):
        read_settings({})


def test_a_grace_longer_than_the_drain_is_refused() -> None:
    with pytest.raises(SettingError, match="longer than TRIMTAB_DRAIN_SECONDS"):
        read_settings({**MODEL, "TRIMTAB_DRAIN_SECONDS": "2", "TRIMTAB_DRAIN_GRACE": "3s"})


def test_a_word_is_taken_as_it_is_written_and_no_other() -> None:
    live = read_settings({**MODEL, "TRIMTAB_BATCHING": "Adaptive", "TRIMTAB_CACHE_EVICTION": "S3FIFO"}).live
    assert (live.batching, live.cache_eviction) == ("Adaptive", "S3FIFO")
    with pytest.raises(SettingError, match="TRIMTAB_BATCHING is 'adaptive'; it accepts Manual or Adaptive"):
        read_settings({**MODEL, "TRIMTAB_BATCHING": "adaptive"})
