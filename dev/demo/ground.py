"""Where the demo runs: the embedded cluster, or the one of the current kubectl context."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.cluster.claim import claim
from dev.cluster.errors import ClusterError
from dev.cluster.paths import REPOSITORY, Paths, default_paths
from dev.demo.errors import DemoError
from dev.demo.kube import Programs

# The first run builds Kubernetes and the images; later runs find everything in the cache.
CLUSTER_TIMEOUT_SECONDS = 3600
NEEDED_IMAGES = ("control", "engine", "prometheus")


@dataclass(frozen=True)
class Ground:
    """A running cluster; `paths` is None where it is not the embedded one."""

    programs: Programs
    paths: Paths | None

    def agent_values(self) -> dict[str, Any]:
        """Return the chart's agent values for directories that are not where a kubelet usually has them."""
        if self.paths is None:
            return {}
        return {
            "podLogsDir": str(self.paths.pod_logs),
            "podResourcesDir": str(self.paths.kubelet / "pod-resources"),
        }


def cluster_up() -> Ground:
    """Bring the cluster up and return it, the embedded one for this process alone.

    Raises DemoError when that fails (the reason is printed above it), or when another process uses it.
    """
    paths = default_paths()
    if os.environ.get("CLUSTER") != "current":
        try:
            claim(paths)
        except ClusterError as error:
            raise DemoError(str(error)) from error
    _dev_cluster("up")
    kubeconfig = Path(_dev_cluster("kubeconfig").strip().splitlines()[-1])
    if os.environ.get("CLUSTER") == "current":
        return Ground(Programs("kubectl", "helm", kubeconfig), None)
    tools = paths.cache / "tools"
    return Ground(Programs(str(tools / "kubectl"), str(tools / "helm"), kubeconfig), paths)


def images() -> dict[str, str]:
    """Build what changed and return the reference of each image by name; raises DemoError when one is missing."""
    output = _dev_cluster("images")
    try:
        found: dict[str, str] = json.loads(output)
    except ValueError as error:
        raise DemoError(f"`python -m dev.cluster images` did not print JSON: {output[:200]!r}") from error
    missing = [name for name in NEEDED_IMAGES if name not in found]
    if missing:
        raise DemoError(f"`python -m dev.cluster images` did not build {', '.join(missing)}")
    return found


def _dev_cluster(command: str) -> str:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dev.cluster", command],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            timeout=CLUSTER_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DemoError(
            f"`python -m dev.cluster {command}` did not end within an hour; see its output above"
        ) from error
    if done.returncode != 0:
        raise DemoError(f"`python -m dev.cluster {command}` failed; its reason is above")
    return done.stdout
