"""Orders about one engine whose settings change meanwhile: learn its answers, load it, judge what came back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.engine.corpus import corpus, texts
from bench.engine.load.pipelined import CONNECTIONS, PipelinedSlice, Requests, Sent
from bench.engine.load.verdict import judge, read_answer
from dev.load.arrivals import constant
from dev.load.figures import percentile
from dev.load.sentences import sentences

NOISE_FACTOR = 5.0
SMALLEST_TOLERANCE = 1e-7
"""An answer may lie so many times further from its reference than batches were seen to move one; at least this far."""
_LONGEST_SECONDS = 600.0
_UNBOUNDED = 1 << 31


class LiveLoad:
    """Holds the references of one engine between orders; an order is a dict with `kind`, see `run`."""

    def __init__(self, workload: str, port: int, count: int) -> None:
        """Take the first `count` inputs of the workload; of `capture` all, none of which has a reference."""
        self._port = port
        if workload == "capture":
            rows = list(sentences())
        else:
            rows = (texts(workload) if workload == "minilm" else corpus(workload).rows)[:count]
        self._requests = Requests(rows, port)
        self._references: dict[str, NDArray[np.float32]] = {}
        self._tolerances: dict[str, float] = {}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what the order asks for. Raises OSError.

        `learn`: each row alone, then all in batches: what the version in force answers, and how far batches move that.
        `fill`: so many requests, as fast as they go. `swaps`: a closed loop; when each answer came and of which
        version: one request on each connection, for on a shared one an answer waits for those asked for before it, and
        the engine may form batches in another order. `hot`: an open loop, judged, with the latency of each request by
        when it was due.
        """
        if order["kind"] == "learn":
            return self._learn(order["depth"], order["answers"])
        if order["kind"] == "swaps":
            wide = PipelinedSlice(self._requests, self._port, CONNECTIONS * order["depth"])
            return _arrivals(wide.closed(1, order["seconds"], _UNBOUNDED))
        slice_ = PipelinedSlice(self._requests, self._port)
        if order["kind"] == "hot":
            arrivals = constant(order["rate"], order["seconds"], seed=order["seed"]).arrivals_seconds
            log = slice_.open(arrivals)
            verdict = asdict(judge(log, self._references, self._tolerances))
            return verdict | _latencies(log, percentile(slice_.lags, 0.99))
        return {"sent": len(slice_.closed(order["depth"], _LONGEST_SECONDS, order["requests"]))}

    def _learn(self, depth: int, answers: int) -> dict[str, Any]:
        alone = PipelinedSlice(self._requests, self._port, connections=1).closed(
            1, _LONGEST_SECONDS, len(self._requests)
        )
        rows = {sent.row: answer[1] for sent in alone if (answer := read_answer(sent)) is not None}
        versions = {sent.version for sent in alone}
        if len(rows) < len(self._requests) or len(versions) != 1:
            return {"failed": f"{len(rows)} of {len(self._requests)} rows were answered, by versions {versions}"}
        (version,) = versions
        self._references[version] = np.stack([rows[row] for row in range(len(self._requests))])
        batched = PipelinedSlice(self._requests, self._port).closed(depth, _LONGEST_SECONDS, answers)
        verdict = judge(batched, self._references, {})
        noise = verdict.largest_difference.get(version, 0.0)
        self._tolerances[version] = max(SMALLEST_TOLERANCE, NOISE_FACTOR * noise)
        return {"version": version, "noise": noise, **asdict(verdict)}


def _arrivals(log: Sequence[Sent]) -> dict[str, Any]:
    ended = [(sent.received, sent.version) for sent in log if sent.received is not None and sent.status == 200]
    ended.sort(key=lambda each: each[0])
    return {"received": [at for at, _ in ended], "versions": [version for _, version in ended]}


def _latencies(log: Sequence[Sent], lag_p99_seconds: float | None) -> dict[str, Any]:
    ended = [(sent.scheduled, sent.received) for sent in log if sent.received is not None]
    return {
        "scheduled": [scheduled for scheduled, _ in ended],
        "received": [received for _, received in ended],
        "lag_p99_seconds": lag_p99_seconds,
    }
