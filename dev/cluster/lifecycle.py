"""Up, down and status of the whole cluster: the order of the steps, and the lock that lets one run at a time."""

from __future__ import annotations

import os
import platform
import shutil
import time
from pathlib import Path

from dev.cluster import binaries, catalog, cgroups, control_plane, dns, namespace, network, node, packages, registry
from dev.cluster.certificates import ensure_certificates
from dev.cluster.errors import ClusterError
from dev.cluster.paths import NODE_NAME, REGISTRY, Paths
from dev.cluster.processes import marked, running, stop
from dev.cluster.shell import locked, run, say

COMPONENTS = (registry.NAME, *control_plane.NAMES, *node.NAMES)
# The order in which they end: nobody starts again what was just ended.
_ENDING = ("kubelet", "proxy", "controllers", "scheduler", "apiserver", "etcd", registry.NAME)


def require_host() -> None:
    """Raise ClusterError where the embedded cluster cannot run at all."""
    advice = "; use the cluster of your kubectl context instead: CLUSTER=current"
    if platform.system() != "Linux":
        raise ClusterError(f"the embedded cluster needs Linux, this is {platform.system()}{advice}")
    if os.geteuid() != 0:
        raise ClusterError(f"the embedded cluster needs root (bridge, cgroups, containers){advice}")


def up(paths: Paths) -> None:
    """Bring up whatever does not run; everything that runs as it should is left alone."""
    require_host()
    started = time.monotonic()
    with locked(paths.lock):
        packages.install_missing(paths)
        programs = binaries.build_all(paths)
        paths.state.mkdir(parents=True, exist_ok=True, mode=0o755)
        ensure_certificates(paths)
        network.ensure_network(paths)
        registry.start(paths)
        pause = catalog.pause(paths)
        coredns = catalog.coredns(paths, programs)
        control_plane.start(paths, programs)
        node.start(paths, programs, pause)
        dns.start(paths, coredns)
    say(f"cluster is up after {time.monotonic() - started:.0f} s: export KUBECONFIG={paths.kubeconfig}")


def down(paths: Paths) -> None:
    """End every process of ours and undo every change to the host; the caches of builds and images stay."""
    require_host()
    with locked(paths.lock):
        _unmount_builds(paths)
        if not paths.state.exists() and not marked(paths):
            say("cluster: nothing to remove")
            return
        # Nothing of what they would write on a long goodbye is kept.
        stop((record for name in _ENDING if (record := running(paths, name))), grace_seconds=1)
        # containerd and its shims go before the pods: they would tidy up the same cgroups meanwhile.
        stop(marked(paths), grace_seconds=1)
        cgroups.remove_cgroup(paths.cgroup)
        network.remove_network(paths)
        namespace.remove_mount_points(paths)
        _remove_state(paths)
    say("cluster is down")


def _unmount_builds(paths: Paths) -> None:
    """Undo the mount that buildah leaves on its own storage; it makes it again when it needs it."""
    for mount in namespace.mounts_below(paths.buildah, Path("/proc/self/mountinfo").read_text()):
        run(["umount", mount])


def _remove_state(paths: Paths) -> None:
    """Remove the state; never through a mount, which could lead anywhere."""
    mounts = namespace.mounts_below(paths.state, Path("/proc/self/mountinfo").read_text())
    if mounts:
        raise ClusterError(f"mounts that are not ours lie below {paths.state}: {', '.join(map(str, mounts))}")
    shutil.rmtree(paths.state, ignore_errors=False)


def images(paths: Paths) -> dict[str, str]:
    """Build and push what changed; returns name and reference of every image, kept in the state as well."""
    require_host()
    if not registry.answers():
        raise ClusterError("the cluster's image registry does not answer: bring the cluster up first")
    references = catalog.everything(paths, binaries.build_all(paths))
    control_plane.write_configuration(paths.images, references)
    return references


def is_absent(paths: Paths) -> bool:
    """Whether nothing of the cluster exists."""
    return not paths.state.exists() and not marked(paths)


def status(paths: Paths) -> tuple[bool, list[str]]:
    """Whether all is well, and a line for each component."""
    if is_absent(paths):
        return True, ["absent"]
    checks: dict[str, tuple[bool, str]] = {}
    for name in COMPONENTS:
        record = running(paths, name)
        checks[name] = (
            record is not None,
            f"pid {record.pid}" if record else f"not running, see {paths.logs}/{name}.log",
        )
    checks["network"] = (network.is_there(), "bridge and packet filter")
    checks["images"] = (registry.answers(), f"registry at {REGISTRY}")
    api = control_plane.api_ready(paths)
    checks["api"] = (api, control_plane.api_words(api))
    checks["node"] = (api and node.is_ready(paths), f"{NODE_NAME} {node.versions(paths)}")
    healthy = all(good for good, _ in checks.values())
    width = max(map(len, checks))
    lines = [
        f"{name.ljust(width)}  {'ok    ' if good else 'BROKEN'}  {words}" for name, (good, words) in checks.items()
    ]
    return healthy, ["running" if healthy else "broken (`up` repairs it)", *lines]
