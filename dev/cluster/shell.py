"""Running programs, waiting with a deadline, and saying what happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dev.cluster.errors import ClusterError

Command = Sequence[object]


def say(text: str) -> None:
    """Print one line of progress to standard error: standard output is for what a program may read."""
    print(text, file=sys.stderr, flush=True)


def run(
    command: Command,
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout_seconds: float = 120,
) -> str:
    """Run a program to its end and return its standard output.

    Raises ClusterError with the last lines of its output when it fails, is missing or takes longer than the timeout.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(words)}` did not end within {timeout_seconds:g} s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise ClusterError(f"`{' '.join(words)}` failed with status {done.returncode}:\n{tail}")
    return done.stdout


def succeeds(command: Command, *, timeout_seconds: float = 30) -> bool:
    """Whether the program exists and ends with status 0 in time."""
    try:
        run(command, timeout_seconds=timeout_seconds)
    except ClusterError:
        return False
    return True


def run_with_progress(
    command: Command,
    *,
    what: str,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout_seconds: float = 3600,
) -> None:
    """Run a long program with its output in a log file, and say every ten seconds that it still runs.

    The program ends with us, even when we are killed.

    Raises ClusterError with the end of the log when it fails or takes longer than the timeout.
    """
    words = [str(word) for word in command]
    started = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            status = _wait(process, what, started, timeout_seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise ClusterError(f"{what} failed with status {status}; whole log: {log}\n{tail}")
    say(f"{what}: done in {time.monotonic() - started:.0f} s")


def _wait(process: subprocess.Popen[bytes], what: str, started: float, timeout_seconds: float) -> int:
    while True:
        try:
            return process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - started
            say(f"{what}: {elapsed:.0f} s …")
            if elapsed > timeout_seconds:
                raise ClusterError(f"{what} did not end within {timeout_seconds:g} s") from None


def wait_until(
    condition: Callable[[], bool], *, what: str, timeout_seconds: float, interval_seconds: float = 0.2
) -> None:
    """Poll until the condition holds; raises ClusterError naming what was waited for when it never does."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {timeout_seconds:g} s")
        time.sleep(interval_seconds)


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold an exclusive lock file; a process that is killed gives it up by itself."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {lock}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
