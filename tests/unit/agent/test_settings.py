"""Settings: defaults, overrides, and refusals that name what would be accepted."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from trimtab_agent.logs import JsonFormatter
from trimtab_agent.settings import SettingsError, read_settings


def test_the_defaults_are_those_of_the_daemonset() -> None:
    settings = read_settings({"NODE_NAME": "node-1"})
    assert (settings.node, settings.port, settings.interval_seconds) == ("node-1", 9101, 5)
    assert (settings.engine_port, settings.api_server) == (9443, "")
    assert settings.api_token_file == Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    assert settings.cgroup_root == Path("/host/sys/fs/cgroup")
    assert settings.pod_resources_socket == Path("/host/pod-resources/kubelet.sock")


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("TRIMTAB_PORT", "http", "a number from 0 to 65535"),
        ("TRIMTAB_PORT", "70000", "a number from 0 to 65535"),
        ("TRIMTAB_ENGINE_PORT", "65536", "a number from 0 to 65535"),
        ("TRIMTAB_INTERVAL_SECONDS", "0", "a number from 0.1 to 300"),
        ("TRIMTAB_INTERVAL_SECONDS", "5s", "a number from 0.1 to 300"),
        ("TRIMTAB_INTERVAL_SECONDS", "nan", "a number from 0.1 to 300"),
        ("TRIMTAB_LOG_LEVEL", "loud", "debug, info, warning or error"),
    ],
)
def test_a_bad_setting_is_refused_with_its_name_value_and_what_is_accepted(
    name: str, value: str, accepted: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        read_settings({name: value})
    assert name in str(refusal.value)
    assert value in str(refusal.value)
    assert accepted in str(refusal.value)


@pytest.mark.parametrize(
    ("environment", "server"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://10.96.0.1:6443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
        ({"KUBERNETES_SERVICE_HOST": "10.96.0.1", "TRIMTAB_API_SERVER": "https://other:1/"}, "https://other:1"),
    ],
)
def test_the_api_server_is_the_clusters_own_unless_another_is_named(environment: dict[str, str], server: str) -> None:
    assert read_settings(environment).api_server == server


def test_a_log_line_is_one_json_object_with_its_values() -> None:
    record = logging.makeLogRecord(
        {"name": "trimtab_agent.x", "levelname": "WARNING", "msg": "gpu lost", "values": {"gpu": 1}}
    )
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"], line["gpu"]) == ("warning", "gpu lost", 1)
