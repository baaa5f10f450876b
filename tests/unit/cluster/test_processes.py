"""Processes are known again for certain: no other process is ever taken for one of ours, none of ours is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.cluster import processes
from dev.cluster.errors import ClusterError
from dev.cluster.paths import Paths
from dev.cluster.processes import MARK, Program, Record, ensure_running, is_alive, parse_record, parse_stat

STAT = "{pid} ({name}) {state} 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0 18446744073709551615"


def stat(pid: int = 7, name: str = "etcd", state: str = "S", start: int = 4242) -> str:
    return STAT.format(pid=pid, name=name, state=state, start=start)


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    own = Paths(cache=tmp_path / "cache", state=tmp_path / "state", cgroup="trimtab-test")
    yield own
    processes.stop(processes.marked(own))


@pytest.mark.parametrize("name", ["etcd", "a b", "a) S 1 (b", "((", ""])
def test_a_program_may_have_any_name(name: str) -> None:
    assert parse_stat(stat(name=name)) == (7, "S", 4242)


def proc_with(folder: Path, line: str) -> Path:
    (folder / "7").mkdir()
    (folder / "7" / "stat").write_text(line)
    return folder


@pytest.mark.parametrize(
    ("line", "alive"),
    [
        pytest.param(stat(), True, id="the-same-process"),
        pytest.param(stat(start=4243), False, id="a-later-process-with-the-same-pid"),
        pytest.param(stat(state="Z"), False, id="a-zombie"),
        pytest.param("", False, id="gone-while-reading"),
    ],
)
def test_a_process_is_known_by_pid_and_start_time(tmp_path: Path, line: str, alive: bool) -> None:
    assert is_alive(Record(7, 4242, "boot", "print"), proc_with(tmp_path, line)) is alive


@pytest.mark.parametrize("text", ["", "7", "7 (sh) S\nboot\nprint", "x\ny\nz", stat() + "\nboot"])
def test_a_damaged_record_means_that_nothing_is_known(text: str) -> None:
    assert parse_record(text) is None


def test_a_record_of_an_earlier_boot_means_nothing(paths: Paths) -> None:
    paths.processes.mkdir(parents=True)
    own = Path("/proc/self/stat").read_text()
    (paths.processes / "x").write_text(f"{own}another-boot\nprint\n")
    assert processes.running(paths, "x") is None


def test_a_program_is_started_once_and_left_alone_after_that(paths: Paths) -> None:
    program = Program("sleeper", ("sleep", "60"))
    assert ensure_running(paths, program)
    first = processes.running(paths, "sleeper")
    assert not ensure_running(paths, program)
    assert processes.running(paths, "sleeper") == first


def test_a_changed_input_file_restarts_the_program(paths: Paths, tmp_path: Path) -> None:
    file = tmp_path / "configuration"
    file.write_text("one")
    program = Program("sleeper", ("sleep", "60"), inputs=(file,))
    ensure_running(paths, program)
    before = processes.running(paths, "sleeper")
    file.write_text("two")
    assert ensure_running(paths, program)
    after = processes.running(paths, "sleeper")
    assert before is not None
    assert after is not None
    assert before.pid != after.pid
    assert not is_alive(before)


def test_a_process_without_record_is_found_by_its_mark(paths: Paths) -> None:
    ensure_running(paths, Program("sleeper", ("sleep", "60")))
    record = processes.running(paths, "sleeper")
    (paths.processes / "sleeper").unlink()
    assert record is not None
    assert record.pid in [found.pid for found in processes.marked(paths)]


def test_a_process_of_another_state_directory_is_not_ours(paths: Paths, tmp_path: Path) -> None:
    other = Paths(cache=paths.cache, state=tmp_path / "state-2", cgroup="x")
    ensure_running(other, Program("sleeper", ("sleep", "60")))
    try:
        assert processes.marked(paths) == []
    finally:
        processes.stop(processes.marked(other))


def test_stop_ends_a_process_that_ignores_the_term_signal(paths: Paths) -> None:
    ensure_running(paths, Program("stubborn", ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")))
    record = processes.running(paths, "stubborn")
    assert record is not None
    eventually(lambda: _ignores_term(record.pid))
    processes.stop([record], grace_seconds=0.2)
    assert not is_alive(record)


def _ignores_term(pid: int) -> bool:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn"))
    return bool(int(line.split()[1], 16) & (1 << (signal.SIGTERM - 1)))


def test_a_stale_record_never_stops_the_process_that_has_its_pid_now() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        pid, _, start_ticks = parse_stat(Path(f"/proc/{other.pid}/stat").read_text())
        processes.stop([Record(pid, start_ticks - 1, "", "")])
        assert other.poll() is None
        other.kill()


def test_a_program_that_ends_at_once_is_reported_with_its_last_words(paths: Paths) -> None:
    ensure_running(paths, Program("short", ("sh", "-c", "echo no such flag >&2; exit 3")))
    with pytest.raises(ClusterError, match="no such flag"):
        processes.wait_ready(paths, "short", lambda: False, timeout_seconds=10)


def test_our_processes_carry_the_mark_of_their_state(paths: Paths) -> None:
    ensure_running(paths, Program("sleeper", ("sleep", "60"), environment={"EXTRA": "1"}))
    record = processes.running(paths, "sleeper")
    assert record is not None
    environment = Path(f"/proc/{record.pid}/environ").read_bytes().split(b"\0")
    assert f"{MARK}={paths.state}".encode() in environment
    assert b"EXTRA=1" in environment
    assert os.getsid(record.pid) == record.pid


def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
