"""Percentiles, goodput and counts, with numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.load.figures import figures, percentile, stretch
from dev.load.outcomes import Outcome, Record, Run, between, outcome_of
from dev.load.report import read_report, write_report


def ok(scheduled: float, sent: float, answered: float) -> Record:
    return Record(scheduled, sent, answered, Outcome.OK, 200)


RUN = Run(
    started_at_epoch_seconds=1000.0,
    duration_seconds=10.0,
    records=(
        ok(0.0, 0.0, 0.1),
        ok(1.0, 1.5, 1.7),  # due at 1.0, sent late: the user waited 0.7 s, the exchange took 0.2 s
        ok(2.0, 2.0, 2.3),
        Record(3.0, 3.0, 3.01, Outcome.REJECTED, 429),
        Record(4.0, 4.0, None, Outcome.UNANSWERED),
    ),
    retried=1,
)


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.5, 10), (0.95, 19), (0.951, 20), (1.0, 20), (0.0, 1)],
)
def test_a_percentile_is_the_smallest_value_that_covers_the_fraction(fraction: float, expected: int) -> None:
    assert percentile(list(range(1, 21)), fraction) == expected


def test_no_value_has_no_percentile() -> None:
    assert percentile([], 0.95) is None


def test_latency_counts_from_the_schedule_and_the_exchange_from_sending() -> None:
    result = figures(RUN, objective_seconds=0.5)
    assert result.p95_latency_seconds == pytest.approx(0.7)
    assert result.p95_exchange_seconds == pytest.approx(0.3)


def test_goodput_counts_only_ok_answers_within_the_objective() -> None:
    result = figures(RUN, objective_seconds=0.5)
    assert result.goodput_per_second == pytest.approx(0.2)
    assert result.exchange_goodput_per_second == pytest.approx(0.3)
    assert result.offered_per_second == pytest.approx(0.5)


def test_every_outcome_is_counted_also_those_that_never_happened() -> None:
    result = figures(RUN, objective_seconds=0.5)
    assert result.outcomes["ok"] == 3
    assert result.outcomes["rejected"] == 1
    assert result.outcomes["unanswered"] == 1
    assert result.outcomes["wrong"] == 0
    assert sum(result.outcomes.values()) == result.offered == 5


def test_a_stretch_summarizes_the_requests_that_just_ended() -> None:
    seen = stretch(5.0, RUN.records[:4], 2, 0.5)
    assert (seen.ended, seen.answered, seen.within_objective, seen.open) == (4, 3, 2, 2)
    assert seen.p95_latency_seconds == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.OK),
        (400, Outcome.BAD_REQUEST),
        (408, Outcome.EXPIRED),
        (413, Outcome.BAD_REQUEST),
        (429, Outcome.REJECTED),
        (500, Outcome.ERROR),
        (503, Outcome.DRAINING),
        (504, Outcome.EXPIRED),
    ],
)
def test_each_status_has_one_outcome(status: int, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(path, RUN, 0.5)
    assert read_report(path) == RUN
    assert list(tmp_path.iterdir()) == [path]


def test_a_part_of_a_run_is_a_run_of_what_was_due_in_it() -> None:
    part = between(RUN, 1.0, 3.0)
    assert part.started_at_epoch_seconds == 1001.0
    assert part.duration_seconds == 2.0
    assert [record.scheduled_seconds for record in part.records] == [0.0, 1.0]
    assert [record.latency_seconds for record in part.records] == [
        pytest.approx(record.latency_seconds) for record in RUN.records[1:3]
    ]
    assert figures(part, 0.5).goodput_per_second == pytest.approx(0.5)


def test_what_was_never_sent_or_answered_stays_so_in_a_part() -> None:
    (unanswered,) = between(RUN, 4.0, 10.0).records
    assert (unanswered.sent_seconds, unanswered.answered_seconds) == (0.0, None)


@pytest.mark.parametrize(("begin", "end"), [(-1.0, 5.0), (5.0, 11.0), (5.0, 5.0)])
def test_a_part_that_the_run_does_not_cover_is_refused(begin: float, end: float) -> None:
    with pytest.raises(ValueError, match="not inside"):
        between(RUN, begin, end)
