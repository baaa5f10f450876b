"""One real Prometheus over exact samples for all PromQL tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence

import pytest
from contract.promql.samples import TABLES
from contract.promql.server import LAYER_KINDS, PODS, REASONS, VARIANTS, Prometheus, add_case, namespace_of, start, stop
from contract.promql.timeline import END, SCRAPES, STEP, OpenMetrics


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that holds the samples of every case, each in a namespace of its own."""
    folder = tmp_path_factory.mktemp("prometheus")
    text = OpenMetrics()
    for table, cases in TABLES.items():
        for signal, case in cases.items():
            for variant in VARIANTS:
                add_case(text, namespace_of(table, signal, variant), case, variant)
    times = [END - (SCRAPES - 1 - scrape) * STEP for scrape in range(SCRAPES)]
    spacings = {"present": times, "stale": [at - 60 for at in times], "young": times[-13:], "rare": times[::4]}
    for variant, scrapes in spacings.items():
        for pod in PODS:
            for name in ("trimtab_engine_ready", "vllm:num_requests_running"):
                text.add(name, {"namespace": f"freshness-{variant}", "pod": pod}, [(at, 1.0) for at in scrapes])
    for number, kind in enumerate(LAYER_KINDS, 1):
        for model, share in {"first": number / 100, "second": number / 50}.items():
            labels = {"namespace": "layers", "pod": "chat-0", "model": model, "layer_kind": kind}
            text.add("trimtab_engine_layer_time_ratio", labels, [(at, share) for at in times])
    _add_reasons(text, times)
    text.write(folder / "samples.txt")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", f"{folder}/samples.txt", f"{folder}/data"],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    server, process = start(folder, "global: {scrape_interval: 1h}\n")
    yield server
    stop(process)


def _add_reasons(text: OpenMetrics, times: Sequence[int]) -> None:
    for namespace, name, series in REASONS:
        for labels, growth in series:
            counts = [(at, 1000.0 + growth * scrape) for scrape, at in enumerate(times)]
            text.add(name, {"namespace": namespace, "pod": "chat-0", **labels}, counts)
