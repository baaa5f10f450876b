"""Rules of every run: nothing is skipped unsaid, and the closing lines count each folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import hypothesis
import pytest

# An example's wall time on a shared machine says nothing about the code.
hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")

COUNTS: defaultdict[str, Counter[str]] = defaultdict(Counter)
DESELECTED: list[str] = []
MAY_SKIP = "tests/gpu"
PERSONS_CHOICE = {"-k", "-m", "--deselect", "--lf", "--sw"}


def _folder(nodeid: str) -> str:
    return "/".join(Path(nodeid.split("::", maxsplit=1)[0]).parts[:2])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    counts = COUNTS[_folder(report.nodeid)]
    if report.when == "call":
        counts["run"] += report.outcome != "skipped"
    if report.failed:
        counts["failed"] += 1
    if report.skipped:
        counts["skipped"] += 1


def pytest_deselected(items: list[pytest.Item]) -> None:
    DESELECTED.extend(item.nodeid for item in items)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and _unsaid(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for folder in sorted(COUNTS):
        counts = COUNTS[folder]
        terminalreporter.write_line(
            f"{folder}: {counts['run']} run, {counts['failed']} failed, {counts['skipped']} skipped"
        )
    for problem in _unsaid(config):
        terminalreporter.write_line(f"not allowed: {problem}", red=True)


def _unsaid(config: pytest.Config) -> list[str]:
    """Skips outside the GPU folder, and tests that a configuration (not a person at the prompt) left out."""
    problems = [
        f"{counts['skipped']} skipped in {folder}"
        for folder, counts in COUNTS.items()
        if counts["skipped"] and folder != MAY_SKIP
    ]
    asked_for = PERSONS_CHOICE & {str(argument) for argument in config.invocation_params.args}
    if DESELECTED and not asked_for:
        problems.append(f"{len(DESELECTED)} deselected, first {DESELECTED[0]}")
    return problems
