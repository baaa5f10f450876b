"""The container's memory from cgroup files of both versions, and resident memory from /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimtab_engine.memory.cgroup import CODE_BYTES, V1, V2, ContainerMemory, memory_path, reading_of
from trimtab_engine.memory.reading import MemoryReading
from trimtab_engine.memory.resident import Resident, parse_status, read_resident, reset_peak, resident_bytes

V1_OWN = "9:name=systemd:/\n4:memory:/kubepods/pod1/c1\n1:cpu:/kubepods\n0::/\n"
V2_OWN = "0::/kubepods/pod1/c1\n"


def write(directory: Path, used: int, file_pages: int, limit: str, version: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    files = V1 if version == 1 else V2
    (directory / files.usage).write_text(f"{used}\n")
    (directory / files.limit).write_text(f"{limit}\n")
    inactive, active = files.file_page_keys
    (directory / "memory.stat").write_text(f"cache 5\n{inactive} {file_pages}\n{active} {CODE_BYTES}\n")


@pytest.mark.parametrize(("version", "own"), [(1, V1_OWN), (2, V2_OWN)])
def test_the_own_cgroup_is_found_in_both_versions_and_the_tightest_level_counts(
    tmp_path: Path, version: int, own: str
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cgroup").write_text(own)
    mounts = tmp_path / "mounts"
    root = mounts / "memory" if version == 1 else mounts
    write(root / "kubepods/pod1/c1", 700, 100, "1000", version)
    write(root / "kubepods/pod1", 900, 100, "1100", version)
    write(root, 5000, 0, "9223372036854771712" if version == 1 else "max", version)
    assert ContainerMemory(tmp_path / "proc", mounts).read() == MemoryReading(800, 1100)


def test_where_the_mount_shows_the_container_as_its_root_its_own_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cgroup").write_text(V1_OWN)
    write(tmp_path / "mounts/memory", 700, 100, "1000", 1)
    assert ContainerMemory(tmp_path / "proc", tmp_path / "mounts").read() == MemoryReading(600, 1000)


def test_no_limit_and_no_cgroup_read_as_absent(tmp_path: Path) -> None:
    assert ContainerMemory(tmp_path, tmp_path).read() is None
    assert memory_path("") is None
    whole = {V2.usage: "700", V2.limit: "max", "memory.stat": "inactive_file 1\nactive_file 1"}
    assert reading_of(V2, whole) is None
    no_pages = "total_inactive_file 0\ntotal_active_file 0"
    assert reading_of(V1, {V1.usage: "1", V1.limit: "9223372036854771712", "memory.stat": no_pages}) is None
    assert reading_of(V2, {V2.usage: "700", V2.limit: "1000"}) is None
    assert reading_of(V2, {V2.usage: "700", V2.limit: "1000", "memory.stat": "inactive_file 1\nanon"}) is None


def test_file_pages_are_used_memory_only_as_far_as_running_code_needs_them() -> None:
    """One that counts all is never without pressure; one that counts none reads its code again and again."""
    unit = CODE_BYTES // 4

    def used(usage: int, inactive: int, active: int) -> float:
        statistics = f"anon 5\ninactive_file {inactive * unit}\nactive_file {active * unit}\n"
        reading = reading_of(V2, {V2.usage: str(usage * unit), V2.limit: str(40 * unit), "memory.stat": statistics})
        assert reading is not None
        return reading.used_bytes / unit

    assert used(30, inactive=5, active=9) == used(30, inactive=9, active=5) == 30 - 10
    assert used(30, inactive=1, active=3) == used(30, inactive=0, active=1) == 30


def test_resident_memory_and_its_peak_are_read_in_bytes() -> None:
    assert parse_status("VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssFile:\t 4 kB\n") == Resident(
        1 << 20, 2 << 20, 4096
    )
    assert parse_status("Name:\tx\n") is None
    assert resident_bytes(os.getpid()) == pytest.approx(resident_bytes(), rel=0.2)
    assert resident_bytes(2**30) is None


def test_the_peak_holds_what_was_freed_until_it_is_reset() -> None:
    if not reset_peak():
        pytest.skip("this kernel does not let the high-water mark be reset")
    before = read_resident()
    block = bytearray(os.urandom(1) * (64 << 20))
    del block
    after = read_resident()
    assert before is not None
    assert after is not None
    assert after.peak_bytes - before.bytes > 48 << 20
    assert reset_peak()
    again = read_resident()
    assert again is not None
    assert again.peak_bytes - again.bytes < 16 << 20
