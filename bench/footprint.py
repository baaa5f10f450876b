"""`python -m bench.footprint`: memory and idle CPU of operator and agent on the running cluster, against their limits.

Resident memory is the largest value of the time; CPU is that of the whole process over the time. Both come from the
programs' own /metrics (process_resident_memory_bytes, process_cpu_seconds_total), read through the API server. Run it
while nothing happens: policies steady, no traffic that changes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dev.cluster.paths import REPOSITORY
from dev.demo.errors import DemoError
from dev.demo.kube import Kube
from dev.demo.plan import SYSTEM_NAMESPACE

MEBIBYTE = 1024 * 1024
LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Limit:
    """What one program may use; None where no limit is promised."""

    component: str
    port: int
    resident_bytes: float
    idle_cpu_ratio: float | None


LIMITS = (
    Limit("operator", 9102, 150 * MEBIBYTE, 0.02),
    Limit("agent", 9101, 100 * MEBIBYTE, None),
)


@dataclass(frozen=True)
class Footprint:
    """What one pod used over the time."""

    pod: str
    component: str
    resident_bytes: float
    cpu_ratio: float
    seconds: float
    holds: bool


@dataclass(frozen=True)
class Reading:
    """One look at one process."""

    at_seconds: float
    resident_bytes: float
    cpu_seconds: float


def value_of(exposition: str, metric: str) -> float:
    """Return the value of a metric without labels; raises DemoError when it is not exposed."""
    found = re.search(rf"^{metric} (\S+)", exposition, re.MULTILINE)
    if found is None:
        raise DemoError(f"{metric} is not exposed")
    return float(found.group(1))


def footprint(pod: str, limit: Limit, readings: Sequence[Reading]) -> Footprint:
    """Reduce the looks at one process to what it used."""
    first, last = readings[0], readings[-1]
    seconds = last.at_seconds - first.at_seconds
    resident = max(reading.resident_bytes for reading in readings)
    cpu = (last.cpu_seconds - first.cpu_seconds) / seconds
    holds = resident <= limit.resident_bytes and (limit.idle_cpu_ratio is None or cpu <= limit.idle_cpu_ratio)
    return Footprint(pod, limit.component, resident, cpu, seconds, holds)


def pods_of(kube: Kube, component: str) -> list[str]:
    """Return the names of a component's running pods; raises DemoError when there is none."""
    found = kube.items(
        f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods", labelSelector=f"app.kubernetes.io/component={component}"
    )
    names = [pod["metadata"]["name"] for pod in found if pod["status"].get("phase") == "Running"]
    if not names:
        raise DemoError(
            f"no {component} runs in {SYSTEM_NAMESPACE}: install the chart first, for example by `make demo`"
        )
    return names


def read(kube: Kube, pod: str, port: int) -> Reading:
    """Look at one process; raises DemoError when it does not answer."""
    page = kube.text(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{pod}:{port}/proxy/metrics")
    if page is None:
        raise DemoError(f"pod {pod} went away while it was measured")
    return Reading(
        time.monotonic(),
        value_of(page, "process_resident_memory_bytes"),
        value_of(page, "process_cpu_seconds_total"),
    )


def measure(kube: Kube, seconds: float) -> list[Footprint]:
    """Look at every pod of both components for a while."""
    watched = [(pod, limit) for limit in LIMITS for pod in pods_of(kube, limit.component)]
    readings: dict[str, list[Reading]] = {pod: [] for pod, _ in watched}
    deadline = time.monotonic() + seconds
    while True:
        for pod, limit in watched:
            readings[pod].append(read(kube, pod, limit.port))
        if time.monotonic() >= deadline:
            return [footprint(pod, limit, readings[pod]) for pod, limit in watched]
        time.sleep(LOOK_SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the footprints: 0 when all hold, 1 when one does not, 2 when they cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.footprint", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to look")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    try:
        found = measure(Kube(_kubeconfig()), options.seconds)
    except DemoError as error:
        print(f"footprint: {error}", file=sys.stderr)
        return 2
    for each in found:
        print(
            f"{each.pod:40} {each.resident_bytes / MEBIBYTE:6.1f} MiB resident  {each.cpu_ratio:6.2%} of a core over "
            f"{each.seconds:.0f} s  {'holds' if each.holds else 'TOO MUCH'}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in found], indent=2))
    return 0 if all(each.holds for each in found) else 1


def _kubeconfig() -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "dev.cluster", "kubeconfig"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


if __name__ == "__main__":
    sys.exit(main())
