"""The load generator as a process of its own, so that its clock is not slowed by the program that watches it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from dev.load.calibrate import Capacity
from dev.load.errors import LoadError
from dev.load.figures import Stretch
from dev.load.outcomes import Run
from dev.load.plan import LoadPlan
from dev.load.report import read_report

REPOSITORY = Path(__file__).resolve().parents[2]

# After the schedule has ended the process waits for the last answers, writes its report and ends.
SLACK_SECONDS = 60.0


def arguments(plan: LoadPlan) -> list[str]:
    """Return the command-line arguments that define the same plan."""
    pairs: dict[str, object] = {
        "url": plan.url,
        "model": plan.model,
        "mode": plan.mode.value,
        "rate": plan.rate,
        "duration": plan.duration_seconds,
        "keys": plan.keys.value,
        "key-offset": plan.key_offset,
        "sentences": plan.sentences,
        "protocol": plan.protocol.value,
        "objective": plan.objective_seconds,
        "timeout": plan.timeout_seconds,
        "connections": plan.connections,
        "connection-lifetime": plan.connection_lifetime_seconds,
        "seed": plan.seed,
    }
    if plan.steps:
        pairs["steps"] = ",".join(f"{step.duration_seconds:g}:{step.factor:g}" for step in plan.steps)
    flags = ["--verify"] if plan.verify else []
    return [word for name, value in pairs.items() for word in (f"--{name}", str(value))] + flags


def measure(plan: LoadPlan, *, seconds: float, callers: int) -> Capacity:
    """Calibrate in a process of its own; raises LoadError with its words when it fails."""
    command = [sys.executable, "-m", "dev.load", *arguments(plan), "--calibrate", str(seconds)]
    command += ["--callers", str(callers)]
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds + SLACK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"the calibration did not end within {seconds + SLACK_SECONDS:g} s") from error
    if done.returncode != 0:
        raise LoadError(done.stderr.strip() or f"the calibration ended with status {done.returncode}")
    return Capacity(**json.loads(done.stdout))


class LoadProcess:
    """A run under way; leaving the `with` block ends it."""

    def __init__(self, plan: LoadPlan, *, progress_seconds: float = 1.0) -> None:
        self._plan = plan
        self._folder = tempfile.TemporaryDirectory(prefix="trimtab-load-")
        self._report = Path(self._folder.name) / "report.json"
        self._errors = Path(self._folder.name) / "errors.txt"
        command = [sys.executable, "-m", "dev.load", *arguments(plan)]
        command += ["--report", str(self._report), "--progress", str(progress_seconds)]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=errors, text=True)

    def __enter__(self) -> LoadProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask for the end of the schedule now; `wait` then returns the shorter run."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self, watch: Callable[[Stretch], None] | None = None) -> Run:
        """Follow the run to its end, handing each progress line to `watch`; returns the whole run.

        Raises LoadError with the process's own words when it failed.
        """
        if self._process.stdout is None:
            raise LoadError("the load process has no output to follow")
        for line in self._process.stdout:
            if watch is not None:
                watch(Stretch(**json.loads(line)))
        try:
            status = self._process.wait(timeout=SLACK_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise LoadError("the load process closed its output but did not end") from error
        if status != 0:
            words = self._errors.read_text().strip().splitlines()[-5:]
            raise LoadError(f"the load process ended with status {status}: {' '.join(words) or 'no words'}")
        return read_report(self._report)
