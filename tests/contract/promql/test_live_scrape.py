"""Prometheus scrapes a real HTTP endpoint: what the queries answer while it lives, and after it went away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from contract.promql.server import Prometheus, start, stop

from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.table import render
from trimtab_operator.runtimes.trimtab import TRIMTAB

REQUESTS_PER_SECOND = 20.0


class Endpoint:
    """Serves the engine's metrics, with requests growing by the clock."""

    def __init__(self) -> None:
        began = time.monotonic()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served = 1000.0 + REQUESTS_PER_SECOND * (time.monotonic() - began)
                lines = (
                    "trimtab_engine_ready 1",
                    'trimtab_engine_queue_requests{model="m"} 3',
                    f'trimtab_engine_requests_total{{model="m",outcome="ok"}} {served}',
                )
                body = "".join(f"{line}\n" for line in lines).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()
    yield served
    if served.thread.is_alive():
        served.close()


@pytest.fixture
def live(endpoint: Endpoint, tmp_path: Path) -> Iterator[Prometheus]:
    server, process = start(
        tmp_path,
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: engine
    static_configs:
      - targets: ["{endpoint.address}"]
        labels: {{namespace: prod, pod: chat-0}}
""",
    )
    yield server
    stop(process)


def until(answer: Callable[[], float | None], holds: Callable[[float | None], bool]) -> float | None:
    """Ask until the answer holds; at most 20 s."""
    deadline = time.monotonic() + 20
    found = answer()
    while not holds(found):
        assert time.monotonic() < deadline, f"last answer: {found}"
        time.sleep(0.2)
        found = answer()
    return found


def ask(live: Prometheus, template: str) -> float | None:
    promql = render(template, window="4s", selector='namespace="prod"', namespace_label="namespace", pod_label="pod")
    rows = live.query(promql)
    assert [row["metric"] for row in rows] in ([], [{"namespace": "prod", "pod": "chat-0"}])
    return float(rows[0]["value"][1]) if rows else None


def test_a_scraped_engine_is_read_and_a_dead_one_leaves_no_gauge_behind(live: Prometheus, endpoint: Endpoint) -> None:
    rate = TRIMTAB.queries[Signal.REQUESTS_PER_SECOND].promql
    queue = TRIMTAB.queries[Signal.QUEUE_REQUESTS].promql
    seen = until(lambda: ask(live, rate), lambda value: value is not None and 18.0 < value < 22.0)
    assert seen == pytest.approx(REQUESTS_PER_SECOND, rel=0.1)
    assert ask(live, queue) == 3.0
    newest = ask(live, TRIMTAB.freshness)
    assert newest is not None
    assert time.time() - newest < 3.0
    endpoint.close()
    until(lambda: ask(live, queue), lambda value: value is None)  # the failed scrape marks its series stale
    assert ask(live, TRIMTAB.freshness) is None
