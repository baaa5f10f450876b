"""The cgroup below which the kubelet puts every pod: created before it starts, emptied and removed at the end."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.processes import Record, parse_stat, stop
from dev.cluster.shell import wait_until

ROOT = Path("/sys/fs/cgroup")


def is_version_2(root: Path = ROOT) -> bool:
    """Whether the one hierarchy of version 2 is mounted, as opposed to one for each controller."""
    return (root / "cgroup.controllers").exists()


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Every mounted hierarchy; links such as `cpu` for `cpu,cpuacct` count once."""
    if is_version_2(root):
        return [root]
    folders = [folder for folder in root.iterdir() if folder.is_dir() and not folder.is_symlink()]
    return [folder for folder in folders if (folder / "cgroup.procs").exists()]


def ensure_cgroup(name: str, root: Path = ROOT) -> None:
    """Create our cgroup; raises ClusterError where cgroups are mounted read-only or not at all."""
    try:
        if is_version_2(root):
            _delegate_controllers(root)
        for hierarchy in hierarchies(root):
            group = hierarchy / name
            group.mkdir(exist_ok=True)
            _inherit_cpuset(group)
    except OSError as error:
        raise ClusterError(f"cgroups cannot be written ({error}): the embedded cluster needs real root") from error


def _delegate_controllers(root: Path) -> None:
    """In version 2 a controller works below a group only when the group hands it down."""
    enabled = (root / "cgroup.subtree_control").read_text().split()
    for name in ("cpuset", "cpu", "io", "memory", "hugetlb", "pids"):
        if name in (root / "cgroup.controllers").read_text().split() and name not in enabled:
            (root / "cgroup.subtree_control").write_text(f"+{name}")


def _inherit_cpuset(group: Path) -> None:
    """In version 1 a new cpuset is empty, and nothing can run in it until it has processors and memory."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        file = group / setting
        if file.exists() and not is_version_2(group.parent) and not file.read_text().strip():
            file.write_text((group.parent / setting).read_text())


def members(name: str, root: Path = ROOT) -> list[Record]:
    """Every live process in our cgroup, in whatever hierarchy."""
    pids: set[int] = set()
    for hierarchy in hierarchies(root):
        for group in groups_below(hierarchy / name):
            try:
                pids.update(int(line) for line in (group / "cgroup.procs").read_text().split())
            except OSError:
                continue
    found = []
    for pid in pids:
        try:
            number, _, start_ticks = parse_stat(Path(f"/proc/{pid}/stat").read_text())
        except (OSError, ValueError, IndexError):
            continue
        found.append(Record(number, start_ticks, "", ""))
    return found


def remove_cgroup(name: str, root: Path = ROOT) -> None:
    """End every process of every pod and remove the cgroups, deepest first."""
    stop(members(name, root), grace_seconds=0)
    for hierarchy in hierarchies(root):
        for group in groups_below(hierarchy / name):
            wait_until(partial(_removed, group), what=f"removal of cgroup {group}", timeout_seconds=10)


def groups_below(top: Path) -> list[Path]:
    """List a cgroup and those below it, deepest first; groups that vanish meanwhile do not matter."""
    return [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]


def _removed(folder: Path) -> bool:
    """Remove a cgroup; the kernel answers "busy" for a moment after its last process ended."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
