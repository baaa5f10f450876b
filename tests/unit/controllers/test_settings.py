"""Process settings: what is read, and how a wrong value is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab_operator.errors import InvalidSettings
from trimtab_operator.settings import RecordingSettings, Settings

URL = {"TRIMTAB_PROMETHEUS_URL": "http://prometheus:9090/"}


def test_the_address_of_prometheus_is_all_that_must_be_set() -> None:
    settings = Settings.from_environ(URL)
    assert settings.prometheus.url == "http://prometheus:9090"
    assert settings.port == 9102
    assert settings.watch_namespaces == ()
    assert settings.scrape_interval_seconds is None
    assert settings.label_namespace is None
    assert settings.mode_configmap is None
    assert settings.recording is None
    assert (settings.trust.settle_seconds, settings.trust.grace_seconds) == (180, 25 * 3600)
    assert settings.lease.enabled
    assert (
        settings.lease.write_timeout_seconds < settings.lease.duration_seconds - settings.lease.renew_deadline_seconds
    )


def test_everything_that_can_be_set_is_read() -> None:
    settings = Settings.from_environ(
        URL
        | {
            "POD_NAME": "op-1",
            "POD_NAMESPACE": "sys",
            "TRIMTAB_PROMETHEUS_BEARER_TOKEN_FILE": "/t",
            "TRIMTAB_PROMETHEUS_CA_FILE": "/ca",
            "TRIMTAB_PROMETHEUS_TENANT_HEADER": "X-Scope-OrgID=team=a",
            "TRIMTAB_LABEL_NAMESPACE": "kubernetes_namespace",
            "TRIMTAB_LABEL_POD": "auto",
            "TRIMTAB_WATCH_NAMESPACES": "a, b,",
            "TRIMTAB_MODE_CONFIGMAP": "trimtab-mode",
            "TRIMTAB_PORT": "8000",
            "TRIMTAB_LEADER_ELECTION": "false",
            "TRIMTAB_LOG_LEVEL": "DEBUG",
            "TRIMTAB_SCRAPE_INTERVAL_SECONDS": "30",
            "TRIMTAB_LEASE_DURATION_SECONDS": "4",
            "TRIMTAB_LEASE_RENEW_DEADLINE_SECONDS": "3",
            "TRIMTAB_LEASE_RETRY_SECONDS": "0.5",
            "TRIMTAB_CA_SETTLE_SECONDS": "2",
            "TRIMTAB_CA_GRACE_SECONDS": "5",
            "TRIMTAB_RECORDING_DIRECTORY": "/recording",
            "TRIMTAB_RECORDING_SIZE": "8Mi",
        }
    )
    assert settings.prometheus.tenant_header == ("X-Scope-OrgID", "team=a")
    assert settings.watch_namespaces == ("a", "b")
    assert settings.label_namespace == "kubernetes_namespace"
    assert settings.label_pod is None
    assert settings.log_level == "debug"
    assert settings.scrape_interval_seconds == 30
    assert (settings.lease.enabled, settings.lease.duration_seconds) == (False, 4)
    assert settings.trust.rotation_seconds == 2 + 5
    assert settings.recording == RecordingSettings(Path("/recording"), 8 * 2**20)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TRIMTAB_PROMETHEUS_URL", "", "is not set"),
        ("TRIMTAB_PROMETHEUS_URL", "prometheus:9090", "http://"),
        ("TRIMTAB_PROMETHEUS_URL", "http://user:secret@prometheus", "holds credentials"),
        ("TRIMTAB_PROMETHEUS_TENANT_HEADER", "X-Scope-OrgID", "Name=value"),
        ("TRIMTAB_PROMETHEUS_USERNAME", "me", "set both or none"),
        ("TRIMTAB_PORT", "http", "a number from 0 to 65535"),
        ("TRIMTAB_PORT", "70000", "a number from 0 to 65535"),
        ("TRIMTAB_LEADER_ELECTION", "maybe", "one of true, false"),
        ("TRIMTAB_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("TRIMTAB_LABEL_POD", "pod-name", "a Prometheus label name"),
        ("TRIMTAB_SCRAPE_INTERVAL_SECONDS", "soon", "a number from 1 to 3600"),
        ("TRIMTAB_LEASE_DURATION_SECONDS", "9", "must be greater than"),
        ("TRIMTAB_CA_SETTLE_SECONDS", "-1", "a number from 0 to 86400"),
        ("TRIMTAB_CA_GRACE_SECONDS", "25h", "a number from 0 to 864000"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_accepted(name: str, value: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environ(URL | {name: value})
    assert name in str(refused.value)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TRIMTAB_RECORDING_DIRECTORY", "recording", "an absolute path"),
        ("TRIMTAB_RECORDING_SIZE", "much", "a size of at least 8Mi"),
        ("TRIMTAB_RECORDING_SIZE", "7Mi", "a size of at least 8Mi"),
    ],
)
def test_a_recording_without_a_place_or_room_is_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{name}='{value}': must be {said}"):
        Settings.from_environ(URL | {"TRIMTAB_RECORDING_DIRECTORY": "/recording"} | {name: value})
