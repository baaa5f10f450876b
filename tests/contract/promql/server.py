"""A real Prometheus of its own port and storage, and the samples that are put into it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.promql.timeline import END, SCRAPES, STEP, Case, OpenMetrics

PODS = {"chat-0": 1.0, "chat-1": 2.0}
VARIANTS = ("present", "reset", "absent", "stale", "gone")
LAYER_KINDS = ("embeddings", "query", "key", "value", "dense", "norm", "pooler")
_CHAT = {"method": "POST", "handler": "/v1/chat/completions"}
REASONS: tuple[tuple[str, str, tuple[tuple[dict[str, str], float], ...]], ...] = (
    (
        "reasons-trimtab",
        "trimtab_engine_requests_total",
        tuple(({"outcome": name}, growth) for name, growth in (("ok", 50.0), ("rejected", 5.0), ("bad_request", 10.0))),
    ),
    (
        "reasons-http",
        "http_requests_total",
        tuple(({**_CHAT, "status": name}, growth) for name, growth in (("200", 50.0), ("503", 5.0), ("400", 10.0))),
    ),
    ("reasons-http", "vllm:request_success_total", (({"finished_reason": "error"}, 15.0),)),
    (
        "reasons-engine",
        "vllm:request_success_total",
        tuple(({"finished_reason": name}, growth) for name, growth in (("stop", 50.0), ("error", 5.0))),
    ),
)
"""(namespace, counter, its series with what they grow by at each scrape)"""
SHIFT = {"stale": 60, "gone": 600}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Prometheus:
    url: str

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def query(self, promql: str, at: float | None = None) -> list[dict[str, Any]]:
        form = {"query": promql} | ({} if at is None else {"time": str(at)})
        body = urllib.parse.urlencode(form).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query", data=body, timeout=10) as answer:
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.read().decode()}\n{promql}") from error


def start(folder: Path, config: str) -> tuple[Prometheus, subprocess.Popen[bytes]]:
    binary = shutil.which("prometheus")
    assert binary, "prometheus is not installed (Debian package: prometheus)"
    port = free_port()
    (folder / "prometheus.yml").write_text(config)
    arguments = [
        binary,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Prometheus(f"http://127.0.0.1:{port}")
    deadline = time.monotonic() + 30
    while not server.ready():
        assert process.poll() is None, "prometheus ended"
        assert time.monotonic() < deadline, "prometheus did not become ready"
        time.sleep(0.05)
    return server, process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=20)


def namespace_of(table: str, signal: str, variant: str) -> str:
    return f"{table}-{signal}-{variant}".replace("_", "-")


def add_case(text: OpenMetrics, namespace: str, case: Case, variant: str) -> None:
    last = END - SHIFT.get(variant, 0)
    for pod, factor in PODS.items():
        for feed in case.feeds:
            if variant == "absent" and feed.optional:
                continue
            labels = dict(feed.labels)
            if feed.own_pod:
                labels |= {"namespace": namespace, "pod": pod}
            if feed.name.startswith("trimtab_agent_gpu"):
                labels["uuid"] = f"{namespace}-{pod}-{labels['gpu']}"
            samples = [
                (last - (SCRAPES - 1 - scrape) * STEP, feed.at(scrape, factor, reset=variant == "reset"))
                for scrape in range(SCRAPES)
            ]
            text.add(feed.name, labels, samples)
