"""A run as JSON and back: what the command writes and what the demo and the e2e tests read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from dev.load.figures import figures
from dev.load.outcomes import Outcome, Record, Run


def write_report(path: Path, run: Run, objective_seconds: float) -> None:
    """Write the figures and every record, as columns, to a file; the file appears whole or not at all."""
    document = {
        "figures": asdict(figures(run, objective_seconds)),
        "started_at_epoch_seconds": run.started_at_epoch_seconds,
        "duration_seconds": run.duration_seconds,
        "retried": run.retried,
        "records": {
            "scheduled_seconds": [record.scheduled_seconds for record in run.records],
            "sent_seconds": [record.sent_seconds for record in run.records],
            "answered_seconds": [record.answered_seconds for record in run.records],
            "outcome": [record.outcome.value for record in run.records],
            "status": [record.status for record in run.records],
        },
    }
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document))
    partial.replace(path)


def read_report(path: Path) -> Run:
    """Read a run back; raises OSError, ValueError or KeyError for a file that is not a report."""
    document = json.loads(path.read_text())
    columns = document["records"]
    rows = zip(
        columns["scheduled_seconds"],
        columns["sent_seconds"],
        columns["answered_seconds"],
        columns["outcome"],
        columns["status"],
        strict=True,
    )
    records = tuple(
        Record(at, sent, answered, Outcome(outcome), status) for at, sent, answered, outcome, status in rows
    )
    return Run(document["started_at_epoch_seconds"], document["duration_seconds"], records, document["retried"])
