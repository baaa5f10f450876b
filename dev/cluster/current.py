"""CLUSTER=current: the cluster of the present kubectl context instead of the embedded one; nothing is installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.shell import run


def kubectl(cache_tools: Path) -> str:
    """Find kubectl on PATH, or the one that we built earlier; raises ClusterError when there is neither."""
    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(cache_tools))
    if found is None:
        raise ClusterError("CLUSTER=current needs `kubectl` on PATH")
    return found


def reachable(program: str) -> list[str]:
    """Describe the current context and the server's version; raises ClusterError when it does not answer."""
    context = run([program, "config", "current-context"]).strip()
    version = run([program, "get", "--raw", "/version", "--request-timeout=10s"], timeout_seconds=15)
    server = next((line.split('"')[3] for line in version.splitlines() if '"gitVersion"' in line), "of unknown version")
    return [f"running: context {context} of kubectl, server {server}", "up and down leave this cluster alone"]


def kubeconfig() -> str:
    """Name the kubeconfig that kubectl reads."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def target_registry() -> str:
    """Read where images go, from TRIMTAB_REGISTRY; raises ClusterError when it is not set."""
    registry = os.environ.get("TRIMTAB_REGISTRY", "").rstrip("/")
    if not registry:
        raise ClusterError(
            "CLUSTER=current needs TRIMTAB_REGISTRY, a registry that you may push to and that the cluster can pull "
            "from, for example TRIMTAB_REGISTRY=registry.example.com/team"
        )
    return registry
