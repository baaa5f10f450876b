"""`python -m dev.demo.readings`: keeps the readings of the simulated GPUs in step with what the engines measure.

SIMULATED: there is no GPU. Each simulated GPU shows the share of time in which the engine that holds it ran a batch
(on the CPU), as Prometheus measured it; power and memory follow from that share by the constants below.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakes.nvml.readings import GIBIBYTE, SimulatedGpu, write_readings

INTERVAL_SECONDS = 2.0
IDLE_WATTS = 75.0
BUSY_WATTS = 600.0
MODEL_BYTES = 2 * GIBIBYTE
IDLE_BYTES = GIBIBYTE // 2
TOTAL_BYTES = 24 * GIBIBYTE

# Busy time of the engine in each pod, by the GPU that the agent says this pod holds.
BUSY_BY_GPU = (
    "sum by (uuid) (sum by (namespace, pod) (rate(trimtab_engine_worker_busy_seconds_total[20s]))"
    " * on (namespace, pod) group_left (uuid) max by (namespace, pod, uuid) (trimtab_agent_gpu_assigned))"
)


def uuids(count: int) -> tuple[str, ...]:
    """Return the identities of the simulated GPUs; the name says what they are."""
    return tuple(f"GPU-simulated-{position}" for position in range(count))


def simulated(count: int, busy_ratios: Mapping[str, float]) -> tuple[SimulatedGpu, ...]:
    """Return the GPUs for measured busy ratios by uuid; a GPU without one is idle."""
    return tuple(_gpu(uuid, busy_ratios.get(uuid)) for uuid in uuids(count))


def _gpu(uuid: str, busy_ratio: float | None) -> SimulatedGpu:
    busy = 0.0 if busy_ratio is None else min(1.0, max(0.0, busy_ratio))
    return SimulatedGpu(
        uuid=uuid,
        name="Simulated GPU",
        utilization_ratio=busy,
        memory_used_bytes=IDLE_BYTES if busy_ratio is None else MODEL_BYTES,
        memory_total_bytes=TOTAL_BYTES,
        power_watts=IDLE_WATTS + (BUSY_WATTS - IDLE_WATTS) * busy,
    )


def measured(prometheus_url: str) -> dict[str, float]:
    """Ask Prometheus for the busy ratio by GPU; raises OSError or ValueError when it does not answer."""
    address = f"{prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': BUSY_BY_GPU})}"
    with urllib.request.urlopen(address, timeout=3) as answer:
        rows = json.load(answer)["data"]["result"]
    return {row["metric"]["uuid"]: float(row["value"][1]) for row in rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write readings until ended; what cannot be measured now is left as it was."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo.readings", description=__doc__)
    parser.add_argument("--prometheus", help="base URL; needed unless --once")
    parser.add_argument("--file", required=True, type=Path)
    parser.add_argument("--count", required=True, type=int)
    parser.add_argument("--once", action="store_true", help="write idle GPUs and end")
    options = parser.parse_args(arguments)
    if options.once:
        write_readings(options.file, simulated(options.count, {}))
        return 0
    if options.prometheus is None:
        parser.error("--prometheus is needed unless --once")
    while True:
        try:
            busy = measured(options.prometheus)
        except (OSError, ValueError, KeyError) as error:
            print(f"prometheus: {error}", file=sys.stderr, flush=True)
        else:
            write_readings(options.file, simulated(options.count, busy))
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
