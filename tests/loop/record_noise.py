"""Records what the pods of a target count at each scrape, for test_verdicts.py: how real engines differ and vary.

    python tests/loop/record_noise.py http://127.0.0.1:9090 <namespace> <seconds> tests/loop/data/engine_noise.csv.gz

The pods must run with equal settings, near saturation, for all of the seconds up to now. Counters are read as they
were scraped; a row holds the increase since the pod's last scrape.
"""

from __future__ import annotations

import csv
import gzip
import sys
from pathlib import Path
from typing import Any

import requests

Samples = dict[str, list[tuple[float, float]]]

FAILED = "rejected|expired|error|draining"
COUNTED = 'sum by (pod) (trimtab_engine_requests_total{{outcome=~"OUTCOMES",namespace="{0}"}})'
QUERIES = {
    "requests": COUNTED.replace("OUTCOMES", f"ok|{FAILED}"),
    "errors": COUNTED.replace("OUTCOMES", FAILED),
    "busy_seconds": 'avg by (pod) (trimtab_engine_worker_busy_seconds_total{{namespace="{0}"}})',
}
SCRAPES = 'trimtab_engine_worker_busy_seconds_total{{namespace="{0}"}}[{1}s]'
COLUMNS = ("at_seconds", "pod", "requests", "errors", "busy_seconds")


def ask(url: str, path: str, **parameters: str | float) -> list[dict[str, Any]]:
    answer = requests.get(f"{url}/api/v1/{path}", params=parameters, timeout=30)
    answer.raise_for_status()
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


def scrape_times(url: str, namespace: str, seconds: int) -> dict[str, list[float]]:
    """Return when each pod was scraped."""
    rows = ask(url, "query", query=SCRAPES.format(namespace, seconds))
    return {row["metric"]["pod"]: [float(at) for at, _ in row["values"]] for row in rows}


def counter_at(url: str, query: str, at: float) -> dict[str, float]:
    """Return a counter of each pod as it stood at a time; a pod that never counted has none."""
    return {row["metric"]["pod"]: float(row["value"][1]) for row in ask(url, "query", query=query, time=at)}


def record(url: str, namespace: str, seconds: int) -> list[tuple[float, str, float, float, float]]:
    """Return the rows, oldest first."""
    rows = []
    for pod, times in sorted(scrape_times(url, namespace, seconds).items()):
        before: dict[str, float] | None = None
        for at in times:
            now = {name: counter_at(url, query.format(namespace), at).get(pod, 0.0) for name, query in QUERIES.items()}
            if before is not None:
                rise = {name: round(now[name] - before[name], 6) for name in now}
                rows.append((round(at, 3), pod, rise["requests"], rise["errors"], rise["busy_seconds"]))
            before = now
    return sorted(rows)


def main() -> None:
    url, namespace, seconds, path = sys.argv[1:]
    rows = record(url, namespace, int(seconds))
    with gzip.open(Path(path), "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    print(f"{len(rows)} rows of {len({row[1] for row in rows})} pods")


if __name__ == "__main__":
    main()
