"""Long-running programs: started detached, known again by pid, start time and a mark, and stopped for certain."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.paths import Paths
from dev.cluster.shell import say, wait_until

# Every process of ours carries the state directory in this variable; containerd's shims inherit it.
MARK = "TRIMTAB_CLUSTER_STATE"

# The child records itself before it becomes the program: when `up` is killed at any moment there is
# either no process or a process with a record. exec keeps pid and start time.
_RECORD_AND_EXEC = (
    'cd / && boot=$(cat /proc/sys/kernel/random/boot_id) && { cat /proc/$$/stat; echo "$boot"; echo "$2"; } > "$1.new" '
    '&& mv "$1.new" "$1" && shift 2 && exec "$@"'
)


@dataclass(frozen=True)
class Program:
    """One long-running program; `inputs` are files whose content, when changed, calls for a restart."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()

    def fingerprint(self) -> str:
        """Hash command, environment and input files."""
        digest = hashlib.sha256(repr((self.command, sorted(self.environment.items()))).encode())
        for path in self.inputs:
            digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Record:
    """What a pid file says: the process is the same one only if pid, start time and boot agree."""

    pid: int
    start_ticks: int
    boot: str
    fingerprint: str


def parse_stat(stat: str) -> tuple[int, str, int]:
    """Pid, state letter and start time (clock ticks since boot) of a /proc/<pid>/stat line.

    The second field is the program's name in parentheses and may hold spaces and parentheses itself.
    """
    head, _, tail = stat.rpartition(")")
    rest = tail.split()
    return int(head.split(" ", 1)[0]), rest[0], int(rest[19])


def parse_record(text: str) -> Record | None:
    """Read a pid file; None when it is not one of ours."""
    lines = text.strip().splitlines()
    if len(lines) != 3:
        return None
    try:
        pid, _, start_ticks = parse_stat(lines[0])
    except (ValueError, IndexError):
        return None
    return Record(pid, start_ticks, lines[1], lines[2])


def boot_id() -> str:
    """Read the kernel's identity of this boot: pids of an earlier one mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def is_alive(record: Record, proc: Path = Path("/proc")) -> bool:
    """Whether exactly the recorded process runs: not a later one with the same pid, not a zombie."""
    try:
        pid, state, start_ticks = parse_stat((proc / str(record.pid) / "stat").read_text())
    except (OSError, ValueError, IndexError):
        return False
    return pid == record.pid and start_ticks == record.start_ticks and state not in "ZX"


def read_record(paths: Paths, name: str) -> Record | None:
    """Read the record of a program in this boot, or None."""
    try:
        record = parse_record((paths.processes / name).read_text())
    except OSError:
        return None
    return record if record is not None and record.boot == boot_id() else None


def running(paths: Paths, name: str) -> Record | None:
    """Return the record of a program that is alive, or None."""
    record = read_record(paths, name)
    return record if record is not None and is_alive(record) else None


def ensure_running(paths: Paths, program: Program) -> bool:
    """Start the program unless it runs as described; one that runs otherwise is stopped first.

    Returns whether it was started now.
    """
    fingerprint = program.fingerprint()
    record = running(paths, program.name)
    if record is not None:
        if record.fingerprint == fingerprint:
            return False
        say(f"{program.name}: its configuration changed, restarting it")
        stop([record])
    paths.processes.mkdir(parents=True, exist_ok=True)
    paths.logs.mkdir(parents=True, exist_ok=True)
    record_file = paths.processes / program.name
    record_file.unlink(missing_ok=True)
    _spawn(
        ["sh", "-c", _RECORD_AND_EXEC, "sh", str(record_file), fingerprint, *program.command],
        paths.logs / f"{program.name}.log",
        {**os.environ, **program.environment, MARK: str(paths.state)},
    )
    wait_until(record_file.exists, what=f"start of {program.name}", timeout_seconds=10, interval_seconds=0.01)
    return True


def _spawn(command: list[str], log: Path, environment: dict[str, str]) -> None:
    """Start a program in a session of its own; nobody waits for it, so no object stands for it here."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    os.posix_spawnp(command[0], command, environment, file_actions=files, setsid=True)


def wait_ready(paths: Paths, name: str, ready: Callable[[], bool], timeout_seconds: float) -> None:
    """Wait until the program answers; raises ClusterError with the end of its log when it died or never does."""

    def ready_or_dead() -> bool:
        return running(paths, name) is None or ready()

    log = paths.logs / f"{name}.log"
    try:
        wait_until(ready_or_dead, what=f"{name} ready", timeout_seconds=timeout_seconds)
    except ClusterError as error:
        raise ClusterError(f"{error}; see {log}") from error
    if running(paths, name) is None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise ClusterError(f"{name} ended right after its start; see {log}\n{tail}")


def marked(paths: Paths, proc: Path = Path("/proc")) -> list[Record]:
    """Every live process that carries our mark for this state directory, found without any pid file."""
    wanted = f"{MARK}={paths.state}".encode()
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                pid, _, start_ticks = parse_stat((entry / "stat").read_text())
                found.append(Record(pid, start_ticks, "", ""))
        except (OSError, ValueError, IndexError):
            continue
    return [record for record in found if is_alive(record)]


def stop(records: Iterable[Record], *, grace_seconds: float = 5) -> None:
    """End processes: TERM, then KILL after the grace; raises ClusterError when one survives even that."""
    records = list(records)
    for number, limit in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 10.0)):
        for record in records:
            _signal(record, number)
        deadline = time.monotonic() + limit
        while any(is_alive(record) for record in records) and time.monotonic() < deadline:
            time.sleep(0.05)
        records = [record for record in records if is_alive(record)]
    if records:
        raise ClusterError(f"processes {[record.pid for record in records]} do not end, not even by KILL")


def _signal(record: Record, number: signal.Signals) -> None:
    """Signal exactly this process: the descriptor pins it, the check comes after, so a reused pid is never hit."""
    try:
        descriptor = os.pidfd_open(record.pid)
    except OSError:
        return
    try:
        if is_alive(record):
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
