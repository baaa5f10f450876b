"""Pod names from log directories, and byte counters from net/dev."""

from __future__ import annotations

from pathlib import Path

import pytest

from trimtab_agent import pods
from trimtab_agent.network import parse_traffic
from trimtab_agent.pods import parse_log_directory, read_pod_names
from trimtab_agent.snapshot import PodName, Traffic

UID = "2459f636-eddf-4224-922d-76b82a8c3e41"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"prod_chat-0_{UID}", (UID, PodName("prod", "chat-0"))),
        (f"kube-system_etcd-node.example_{'0af1' * 8}", ("0af1" * 8, PodName("kube-system", "etcd-node.example"))),
        (f"prod_chat_0_{UID}", None),
        ("prod_chat-0_not-a-uid", None),
        (f"_chat_{UID}", None),
        ("lost+found", None),
    ],
)
def test_a_log_directory_names_its_pod(name: str, expected: tuple[str, PodName] | None) -> None:
    assert parse_log_directory(name) == expected


def test_only_directories_of_pods_are_taken_as_names(tmp_path: Path) -> None:
    for name in (f"prod_chat-0_{UID}", "lost+found"):
        (tmp_path / name).mkdir()
    assert read_pod_names(tmp_path) == {UID: PodName("prod", "chat-0")}


def test_the_number_of_pods_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "MAX_PODS", 3)
    for number in range(5):
        (tmp_path / f"prod_chat-{number}_{UID[:-1]}{number}").mkdir()
    assert len(read_pod_names(tmp_path)) == 3


HEADER = "Inter-| Receive | Transmit\n face |bytes packets|bytes packets\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(HEADER + "eth0: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n", Traffic(10, 20), id="one"),
        pytest.param(HEADER + "eth0:10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n", Traffic(10, 20), id="no-space-after-colon"),
        pytest.param(HEADER + "lo: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n", None, id="only-loopback"),
        pytest.param(HEADER, None, id="no-interface"),
        pytest.param("", None, id="process-gone"),
        pytest.param("eth0: 1 2 3\n", None, id="garbled"),
    ],
)
def test_traffic_is_summed_over_interfaces(text: str, expected: Traffic | None) -> None:
    assert parse_traffic(text) == expected
