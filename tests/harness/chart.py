"""The chart as Helm renders it: parsed objects, and Helm's words where it refuses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "trimtab"
NAMESPACE = "trimtab-system"
PROMETHEUS_URL = "http://prometheus-operated.monitoring.svc:9090"
MONITORING = ("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule")
Object = dict[str, Any]


class Rendered:
    """The objects of one rendering."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = list(objects)

    def __getitem__(self, kind_and_name: str) -> Object:
        """The one object called `Kind/name`; KeyError lists what there is."""
        found = [entry for entry in self.objects if self.key(entry) == kind_and_name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} objects {kind_and_name}; there are {sorted(map(self.key, self.objects))}")
        return found[0]

    def __contains__(self, kind_and_name: str) -> bool:
        return any(self.key(entry) == kind_and_name for entry in self.objects)

    def of(self, *kinds: str) -> list[Object]:
        """All objects of these kinds."""
        return [entry for entry in self.objects if entry["kind"] in kinds]

    def pod(self, kind_and_name: str) -> Object:
        """Pod spec of a workload."""
        spec: Object = self[kind_and_name]["spec"]["template"]["spec"]
        return spec

    def container(self, kind_and_name: str) -> Object:
        """The only container of a workload."""
        (container,) = self.pod(kind_and_name)["containers"]
        return dict(container)

    def environment(self, kind_and_name: str) -> dict[str, str | None]:
        """Variables of that container; None where the value is not written but referred to."""
        return {entry["name"]: entry.get("value") for entry in self.container(kind_and_name)["env"]}

    @staticmethod
    def key(entry: Object) -> str:
        return f"{entry['kind']}/{entry['metadata']['name']}"


@dataclass(frozen=True)
class Chart:
    """The chart and the Helm that reads it."""

    helm: Path

    def render(
        self,
        values: Object | None = None,
        *,
        namespace: str = NAMESPACE,
        api_versions: Sequence[str] = (),
        kube_version: str = "1.36.3",
    ) -> Rendered:
        """Objects for these values; AssertionError with Helm's message when it refuses."""
        done = self.template(values, namespace=namespace, api_versions=api_versions, kube_version=kube_version)
        assert done.returncode == 0, done.stderr
        return Rendered([entry for entry in yaml.safe_load_all(done.stdout) if entry])

    def refusal(self, values: Object, *, api_versions: Sequence[str] = ()) -> str:
        """What Helm says to values that it must refuse."""
        done = self.template(values, api_versions=api_versions)
        assert done.returncode != 0, "rendered, though it should have been refused"
        return done.stderr

    def template(
        self,
        values: Object | None = None,
        *,
        namespace: str = NAMESPACE,
        api_versions: Sequence[str] = (),
        kube_version: str = "1.36.3",
    ) -> subprocess.CompletedProcess[str]:
        """Run `helm template`; prometheus.url is set unless the values say otherwise."""
        versions = [f"--api-versions={version}" for version in api_versions]
        command = ("template", "trimtab", str(CHART), "-n", namespace, "--kube-version", kube_version, *versions)
        return self.run(*command, values=values)

    def run(self, *arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
        """Run Helm with these values on its standard input."""
        given = {"prometheus": {"url": PROMETHEUS_URL}}
        merged = _merged(given, values or {})
        return subprocess.run(
            [str(self.helm), *arguments, "--values", "-"],
            input=json.dumps(merged), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


def _merged(base: Object, over: Object) -> Object:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
