"""The second act's tables as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dev.demo.changes import cut
from dev.demo.plan import DemoPlan
from dev.demo.results import money
from dev.demo.table import align, failures, milliseconds
from dev.demo.tuning.plan import TuningPlan
from dev.demo.tuning.results import ActResult, cost_per_thousand, gain
from dev.demo.tuning.trials import TrialSight
from dev.demo.tuning.windows import Measured

LONGEST_REASON = 110


def tuning_table(demo: DemoPlan, tuning: TuningPlan, results: Sequence[ActResult]) -> str:
    """Return two columns for each act, before and after, and one row for each figure."""
    windows = [window for result in results for window in (result.before, result.after)]
    title = [f"{name}{result.name}" for result in results for name in ("before ", "after ")]
    rows = [
        ("", [text.strip() for text in title]),
        ("p95 latency (from the schedule)", [milliseconds(each.load.p95_latency_seconds) for each in windows]),
        (
            f"goodput (answers within {demo.objective_seconds * 1000:.0f} ms, per second)",
            [f"{each.load.goodput_per_second:.1f}" for each in windows],
        ),
        ("requests offered / answered", [f"{each.load.offered} / {each.load.answered}" for each in windows]),
        ("  refused or failed", [failures(each.load) for each in windows]),
        ("CPU-seconds per answered request", [_seconds(each.cpu_seconds_per_answer) for each in windows]),
        ("cost per thousand requests", [money(cost_per_thousand(demo, tuning, each)) for each in windows]),
        ("accuracy (agreement with the unmodified model)", [_accuracy(each) for each in windows]),
        ("cache hits (share of look-ups)", [_hits(each) for each in windows]),
        ("repeated keys in what was sent", [_share(each.repeat_share) for each in windows]),
    ]
    return align(rows)


def gain_line(tuning: TuningPlan, result: ActResult) -> str:
    """Return what the act changed, in words."""
    words = f"after against before: goodput {gain(result.goodput_gain)}, p95 better {gain(result.p95_gain)}"
    if result.first_verdict_seconds is None:
        return words
    return (
        f"{words}; policy applied to first verdict: {result.first_verdict_seconds:.0f} s "
        f"(aim: at most {tuning.verdict_seconds:.0f} s)"
    )


def trial_table(trials: Sequence[TrialSight]) -> str:
    """Return one row for each trial, or that there was none."""
    if not trials:
        return "no trial was made"
    rows = [("trial", ["change", "predicted", "observed", "verdict"])]
    rows += [(each.name, [each.change, each.predicted, each.observed, _verdict(each)]) for each in trials]
    reasons = [f"{each.name}: {cut(each.reason, LONGEST_REASON)}" for each in trials if each.reason]
    return "\n".join([align(rows), *reasons])


def _verdict(trial: TrialSight) -> str:
    return f"{trial.verdict} ({trial.phase})" if trial.under_way else trial.verdict


def _seconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.4f}"


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _accuracy(window: Measured) -> str:
    return "unknown" if window.accuracy is None else str(window.accuracy)


def _hits(window: Measured) -> str:
    return "off" if window.hit_share is None else f"{window.hit_share:.0%}"
