"""Debian packages that the cluster needs: installed when missing, never at the price of removing one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.paths import Paths
from dev.cluster.shell import run, run_with_progress, say

# The program or file that shows a package to be there, and the package.
NEEDED = {
    "/usr/bin/containerd": "containerd",
    "/usr/sbin/runc": "runc",
    "/usr/bin/buildah": "buildah",
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/bin/prometheus": "prometheus",
    "/usr/bin/promtool": "prometheus",
    "/usr/bin/docker-registry": "docker-registry",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/sbin/iptables": "iptables",
    "/usr/sbin/conntrack": "conntrack",
    "/usr/bin/openssl": "openssl",
    "/usr/bin/ip": "iproute2",
    "/usr/bin/nsenter": "util-linux",
}

DOCKER_ADVICE = (
    "Docker's own package `containerd.io` is installed, and Debian's `containerd` would replace it: nothing changed. "
    "Use the cluster of your kubectl context instead (CLUSTER=current), or a machine without `containerd.io`."
)


def missing_packages() -> list[str]:
    """Names of needed packages whose files are not there, sorted, each once."""
    return sorted({package for path, package in NEEDED.items() if not Path(path).exists()})


def is_installed(package: str) -> bool:
    """Whether dpkg has the package installed; False where there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return False
    try:
        return run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package]).strip() == "installed"
    except ClusterError:
        return False


def install_missing(paths: Paths) -> None:
    """Install what is missing with apt, and start none of the daemons that come with it.

    Raises ClusterError where apt is absent, where Docker's own containerd is installed, or when apt fails.
    """
    if is_installed("containerd.io"):
        raise ClusterError(DOCKER_ADVICE)
    missing = missing_packages()
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(f"install these Debian packages or their equivalents first: {' '.join(missing)}")
    say(f"installing Debian packages: {' '.join(missing)}")
    log = paths.cache / "logs" / "packages.log"
    with tempfile.TemporaryDirectory(prefix="trimtab-apt-") as directory:
        environment = _quiet_daemons(Path(directory))
        for what, words in (
            ("apt-get update", ["update", "-q"]),
            ("apt-get install", ["install", "-q", "-y", "--no-remove", "--no-install-recommends", *missing]),
        ):
            run_with_progress(["apt-get", *words], what=what, log=log, environment=environment, timeout_seconds=900)
    left = missing_packages()
    if left:
        raise ClusterError(f"apt-get ended well, but files of these packages are missing: {' '.join(left)}; see {log}")


def _quiet_daemons(directory: Path) -> dict[str, str]:
    """Shadow, for this one apt run, the programs by which packages start their daemons.

    A policy-rc.d would do the same but is a file of the system's configuration.
    """
    for name in ("invoke-rc.d", "deb-systemd-invoke", "systemctl"):
        stub = directory / name
        stub.write_text("#!/bin/sh\nexit 0\n")
        stub.chmod(0o755)
    return {
        "PATH": f"{directory}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "DEBIAN_FRONTEND": "noninteractive",
        "RUNLEVEL": "1",
    }
