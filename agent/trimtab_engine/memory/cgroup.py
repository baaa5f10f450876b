"""The memory of our own container: where its cgroup files are, v1 or v2, and what they say.

Used = usage less the file pages beyond CODE_BYTES: the kernel drops those before it kills. The kubelet's working set
counts all active ones, which is no measure here: whichever container was the first to read torch's libraries has 100 MB
of them on its account, and below its limit they stay there: an engine that counted them would be short for ever.
Limits may stand at any level above the container; the one that leaves least counts.
Meaning of the files: Linux kernel documentation, admin-guide/cgroup-v2 and cgroup-v1/memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trimtab_engine.memory.reading import MemoryReading, tightest

CODE_BYTES = 48 << 20
"""File pages that count as used: the code that runs. With 0 here, after a cold start, `bench.endurance` answers a third
less: MiniLM's engine has 36 MB left for its code and reads it again and again."""

_UNLIMITED_FROM_BYTES = 2**62  # v1 writes the largest page-aligned number where there is no limit
_MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class CgroupFiles:
    """Names of the files of one version, and the keys of the file pages in its statistics."""

    usage: str
    limit: str
    file_page_keys: tuple[str, str]

    @property
    def names(self) -> tuple[str, str, str]:
        """Every file that is read."""
        return (self.usage, self.limit, "memory.stat")


V1 = CgroupFiles("memory.usage_in_bytes", "memory.limit_in_bytes", ("total_inactive_file", "total_active_file"))
V2 = CgroupFiles("memory.current", "memory.max", ("inactive_file", "active_file"))


def memory_path(own_cgroups: str) -> tuple[CgroupFiles, PurePosixPath] | None:
    """Return the version and path of the memory controller in the text of /proc/self/cgroup."""
    unified: PurePosixPath | None = None
    for line in own_cgroups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            return V1, PurePosixPath(path)
        if number == "0" and not controllers:
            unified = PurePosixPath(path)
    return None if unified is None else (V2, unified)


def levels(root: Path, path: PurePosixPath) -> list[Path]:
    """Return the directories from `root` down to the cgroup.

    Inside a container the path may be the node's while the mount shows the container's cgroup as its root: the caller
    skips directories that are not there.
    """
    parts = [part for part in path.parts if part not in ("/", "..")]
    return [root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def reading_of(files: CgroupFiles, texts: Mapping[str, str]) -> MemoryReading | None:
    """Return what one level's files say; None where a file is missing or nothing is limited."""
    usage, limit = _number(texts.get(files.usage)), _number(texts.get(files.limit))
    statistics = dict(line.split(" ", 1) for line in texts.get("memory.stat", "").splitlines() if " " in line)
    pages = [found for key in files.file_page_keys if (found := _number(statistics.get(key))) is not None]
    if usage is None or limit is None or len(pages) < len(files.file_page_keys) or limit >= _UNLIMITED_FROM_BYTES:
        return None
    return MemoryReading(usage - max(sum(pages) - CODE_BYTES, 0), limit)


class ContainerMemory:
    """Reads the cgroup of this process. Nothing limited, or no cgroup at all, reads as None."""

    def __init__(self, proc: Path = Path("/proc/self"), mounts: Path = Path("/sys/fs/cgroup")) -> None:
        found = memory_path(_text(proc / "cgroup") or "")
        self._files = V2 if found is None else found[0]
        root = mounts / "memory" if self._files is V1 else mounts
        self._levels: Sequence[Path] = (
            []
            if found is None
            else [level for level in levels(root, found[1]) if (level / self._files.usage).is_file()]
        )

    def read(self) -> MemoryReading | None:
        """Read every level; the tightest counts."""
        readings = (reading_of(self._files, _texts(level, self._files.names)) for level in self._levels)
        return tightest([reading for reading in readings if reading is not None])


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:  # `max` where nothing is limited
        return None


def _texts(directory: Path, names: Sequence[str]) -> dict[str, str]:
    found = {name: _text(directory / name) for name in names}
    return {name: text for name, text in found.items() if text is not None}


def _text(path: Path) -> str | None:
    try:
        with path.open() as file:
            return file.read(_MAX_FILE_BYTES)
    except OSError:
        return None
