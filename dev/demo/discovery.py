"""Finds the pods that want to be scraped and writes them as target files for Prometheus; runs beside it, in its pod.

Debian's Prometheus is built without the discovery of Kubernetes pods; its discovery by files is what this feeds. The
standard library only: the file is mounted as it is into a container with nothing but Python.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PODS_URL = "https://kubernetes.default.svc/api/v1/pods?resourceVersion=0"
INTERVAL_SECONDS = 2.0
# Its metrics speak about other pods, so Prometheus must keep their labels: a file, and a job, of its own.
AGENT = {"app.kubernetes.io/name": "trimtab", "app.kubernetes.io/component": "agent"}

Json = dict[str, Any]


def target_files(pods: list[Json]) -> dict[str, list[Json]]:
    """Return the target groups by file name: every living pod annotated with prometheus.io/scrape and a port."""
    files: dict[str, list[Json]] = {"pods.json": [], "agent.json": []}
    for pod in sorted(pods, key=lambda each: (each["metadata"]["namespace"], each["metadata"]["name"])):
        group = _group(pod)
        if group is not None:
            labels = pod["metadata"].get("labels", {})
            is_agent = all(labels.get(name) == value for name, value in AGENT.items())
            files["agent.json" if is_agent else "pods.json"].append(group)
    return files


def _group(pod: Json) -> Json | None:
    annotations = pod["metadata"].get("annotations", {})
    address, port = pod["status"].get("podIP"), annotations.get("prometheus.io/port")
    living = pod["status"].get("phase") in {"Pending", "Running"}
    if not (living and address and port and annotations.get("prometheus.io/scrape") == "true"):
        return None
    return {
        "targets": [f"{address}:{port}"],
        "labels": {
            "namespace": pod["metadata"]["namespace"],
            "pod": pod["metadata"]["name"],
            "node": pod["spec"].get("nodeName", ""),
        },
    }


def list_pods() -> list[Json]:
    """Ask the API server with the pod's own account; raises OSError or ValueError when it does not answer."""
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(PODS_URL, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        items: list[Json] = json.load(answer)["items"]
    return items


def write(folder: Path, files: dict[str, list[Json]]) -> None:
    """Replace each file whose content changed, in one step."""
    for name, groups in files.items():
        text = json.dumps(groups, indent=1)
        path = folder / name
        if not path.exists() or path.read_text() != text:
            partial = folder / f".{name}"
            partial.write_text(text)
            partial.replace(path)


def main(folder: Path) -> None:
    """Keep the files true until ended; while the API server does not answer they stay as they are."""
    while True:
        try:
            write(folder, target_files(list_pods()))
        except (OSError, ValueError) as error:
            print(f"pods cannot be listed: {error}", file=sys.stderr, flush=True)
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
