"""One mount namespace for containerd and the kubelet, so that no mount of theirs is seen outside and all end with it.

Both have a few system directories built in; in this namespace, and only there, private ones lie over them.
"""

from __future__ import annotations

import json
from pathlib import Path

from dev.cluster.paths import Paths
from dev.cluster.processes import Program, Record, ensure_running, marked, running, stop, wait_ready
from dev.cluster.shell import say

NAME = "mounts"
_READY = "mounts-ready"


def overlaid(paths: Paths) -> dict[Path, Path]:
    """System directories that programs of the node have built in, and what lies over each in the namespace."""
    return {
        Path("/run/containerd"): paths.containerd / "builtin-run",  # sockets of the shims
        Path("/var/lib/cni"): paths.state / "cni" / "cache",  # results kept by libcni
        Path("/var/lib/kubelet"): paths.kubelet,  # device plugins register in <this>/device-plugins
        Path("/var/log/containers"): paths.state / "container-links",  # links that the kubelet makes to logs
    }


def script(paths: Paths) -> str:
    """Write the shell commands that lay out the namespace and then hold it open."""
    lines = ["set -e", "mount --make-rshared /"]
    # Private: else each volume that the kubelet mounts would appear a second time below /var/lib/kubelet.
    for system, private in overlaid(paths).items():
        lines += [f"mount --bind '{private}' '{system}'", f"mount --make-private '{system}'"]
    lines += [f": > '{paths.state / _READY}'", "exec sleep infinity"]
    return "\n".join(lines)


def ensure_namespace(paths: Paths) -> None:
    """Hold the namespace open; when the holder was lost, what still lives in the old namespace is ended first."""
    program = Program(NAME, ("unshare", "--mount", "--propagation", "private", "sh", "-c", script(paths)))
    record = running(paths, NAME)
    if record is None or record.fingerprint != program.fingerprint():
        left = [other for name in ("kubelet", "containerd") if (other := running(paths, name))]
        left += shim_records(paths)
        if left:
            say("the node's mount namespace was lost or is out of date: its programs are started again")
            stop(left)
        (paths.state / _READY).unlink(missing_ok=True)
        _make_mount_points(paths)
    ensure_running(paths, program)
    wait_ready(paths, NAME, (paths.state / _READY).exists, timeout_seconds=10)


def shim_records(paths: Paths) -> list[Record]:
    """Live processes of ours that are containerd shims."""
    found = []
    for record in marked(paths):
        try:
            name = Path(f"/proc/{record.pid}/comm").read_text()
        except OSError:
            continue
        if name.startswith("containerd-shim"):
            found.append(record)
    return found


def inside(paths: Paths, *command: str | Path) -> tuple[str, ...]:
    """Return the same command, to be run in the namespace; it keeps the pid that it is started with."""
    record = running(paths, NAME)
    target = record.pid if record is not None else 0
    return ("nsenter", f"--mount=/proc/{target}/ns/mnt", "--", *(str(word) for word in command))


def _make_mount_points(paths: Paths) -> None:
    """Create, and remember first, the system directories that do not exist; private ones always."""
    missing = [str(system) for system in overlaid(paths) if not system.exists()]
    known = json.loads(paths.mount_points.read_text()) if paths.mount_points.exists() else []
    temporary = paths.mount_points.with_suffix(".new")
    temporary.write_text(json.dumps(sorted({*known, *missing})))
    temporary.replace(paths.mount_points)
    for system, private in overlaid(paths).items():
        system.mkdir(parents=True, exist_ok=True)
        private.mkdir(parents=True, exist_ok=True)


def remove_mount_points(paths: Paths) -> None:
    """Remove the directories that we created, unless somebody uses them meanwhile."""
    if not paths.mount_points.exists():
        return
    for name in json.loads(paths.mount_points.read_text()):
        try:
            Path(name).rmdir()
        except OSError:
            continue
    paths.mount_points.unlink()


def mounts_below(directory: Path, mountinfo: str) -> list[Path]:
    """Mount points at or below a directory in the text of /proc/self/mountinfo, deepest first."""
    points = [
        Path(line.split()[4].encode().decode("unicode_escape")) for line in mountinfo.splitlines() if line.strip()
    ]
    inner = [point for point in points if point == directory or directory in point.parents]
    return sorted(inner, key=lambda point: len(point.parts), reverse=True)
