"""Finds the containers of this node in the cgroup tree, v1 (hybrid) or v2, and reads their usage."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trimtab_agent.cgroup_paths import CgroupPlace, place_of
from trimtab_agent.cgroup_stats import (
    V1_CPU_FILES,
    V1_CPUACCT_FILES,
    V1_MEMORY_FILES,
    V2_FILES,
    usage_v1,
    usage_v2,
)
from trimtab_agent.snapshot import ContainerUsage

MAX_CONTAINERS = 1000
MAX_DIRECTORIES = 20_000
MAX_DEPTH = 12
MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class CgroupTree:
    """Where the controllers are mounted. In v2 all three are the root itself."""

    version: int
    cpu: Path
    cpuacct: Path
    memory: Path


@dataclass(frozen=True)
class ContainerCgroup:
    """One container's cgroup, by its path below each controller."""

    place: CgroupPlace
    path: str


def find_tree(root: Path) -> CgroupTree | None:
    """Return the cgroup tree mounted at `root`; None where there is none. A hybrid machine's controllers are v1."""
    if (root / "cgroup.controllers").is_file():
        return CgroupTree(2, root, root, root)
    cpu = _first_directory(root, ("cpu", "cpu,cpuacct", "cpuacct,cpu"))
    cpuacct = _first_directory(root, ("cpuacct", "cpu,cpuacct", "cpuacct,cpu"))
    if cpu is None or cpuacct is None:
        return None
    return CgroupTree(1, cpu, cpuacct, root / "memory")


def find_containers(tree: CgroupTree) -> list[ContainerCgroup]:
    """Find every container's cgroup, at most MAX_CONTAINERS. Raises OSError when the root cannot be read."""
    found = []
    for path in _directories(tree.cpuacct):
        place = place_of(path)
        if place is not None and _is_own_directory(path, place):
            found.append(ContainerCgroup(place, path))
            if len(found) >= MAX_CONTAINERS:
                break
    return found


def read_usage(tree: CgroupTree, path: str) -> ContainerUsage:
    """Return the usage of one container; a file that is missing or gone leaves its fields absent."""
    if tree.version == 2:
        return usage_v2(_texts(tree.cpu / path, V2_FILES))
    return usage_v1(
        _texts(tree.cpu / path, V1_CPU_FILES)
        | _texts(tree.cpuacct / path, V1_CPUACCT_FILES)
        | _texts(tree.memory / path, V1_MEMORY_FILES)
    )


def _first_directory(root: Path, names: Iterable[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _is_own_directory(path: str, place: CgroupPlace) -> bool:
    """Whether the path is the container's cgroup itself, not one that it made below."""
    return place.container_id in path.rpartition("/")[2]


def _directories(root: Path) -> Iterator[str]:
    """Walk all cgroups below `root`, breadth first, as relative paths; not below a container of a known pod."""
    waiting = [("", 0)]
    for seen in range(MAX_DIRECTORIES):
        if seen >= len(waiting):
            return
        path, depth = waiting[seen]
        if path:
            yield path
        place = place_of(path)
        if depth >= MAX_DEPTH or (place is not None and place.pod_uid is not None):
            continue
        waiting.extend((name, depth + 1) for name in _children(root, path))


def _children(root: Path, path: str) -> list[str]:
    """Cgroups directly below; a directory with two links has no subdirectory, which saves listing its files."""
    directory = root / path
    try:
        if directory.stat().st_nlink == 2:
            return []
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        if not path:
            raise
        return []  # the cgroup ended while we walked
    return [f"{path}/{name}" if path else name for name in sorted(names)]


def _texts(directory: Path, names: Iterable[str]) -> dict[str, str]:
    texts = {}
    for name in names:
        try:
            with (directory / name).open() as file:
                texts[name] = file.read(MAX_FILE_BYTES)
        except OSError:
            continue
    return texts
