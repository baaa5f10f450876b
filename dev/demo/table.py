"""The closing table as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dev.demo.plan import DemoPlan
from dev.demo.results import ArmResult, cost_per_thousand, money
from dev.load.figures import Figures


def result_table(plan: DemoPlan, results: Sequence[ArmResult]) -> str:
    """Return one column for each arm and one row for each figure."""
    rows = [
        ("", [result.arm.name for result in results]),
        ("p95 latency (from the schedule)", [milliseconds(result.load.p95_latency_seconds) for result in results]),
        (
            f"goodput (answers within {plan.objective_seconds * 1000:.0f} ms, per second)",
            [f"{result.load.goodput_per_second:.1f}" for result in results],
        ),
        ("  as a share of what was offered", [_share_in_time(result) for result in results]),
        ("requests offered / answered", [f"{result.load.offered} / {result.load.answered}" for result in results]),
        ("  refused or failed", [failures(result.load) for result in results]),
        ("replicas x time (replica-seconds paid)", [f"{result.replicas.paid_seconds:.0f}" for result in results]),
        ("  of these ready", [f"{result.replicas.ready_seconds:.0f}" for result in results]),
        ("replicas, fewest to most", [_range(result) for result in results]),
        ("cost per thousand requests", [money(cost_per_thousand(plan, result)) for result in results]),
    ]
    return align(rows)


def difference_lines(plan: DemoPlan, single: ArmResult, maximum: ArmResult, policy: ArmResult) -> list[str]:
    """Return what the policy changed against each fixed size, in words."""
    goodput = policy.load.goodput_per_second
    lines = []
    for other in (single, maximum):
        words = []
        if other.load.goodput_per_second > 0:
            words.append(f"goodput x {goodput / other.load.goodput_per_second:.2f}")
        ours, theirs = cost_per_thousand(plan, policy), cost_per_thousand(plan, other)
        if ours is not None and theirs:
            words.append(f"cost per thousand requests {(ours / theirs - 1):+.0%}")
        words.append(f"replica-seconds {policy.replicas.paid_seconds / other.replicas.paid_seconds - 1:+.0%}")
        lines.append(f"with policy against {other.arm.name}: {', '.join(words)}")
    return lines


def agreement_table(results: Sequence[ArmResult]) -> str:
    """Return one row for each compared figure of each arm."""
    rows = [("", ["load generator", "Prometheus", "difference", "at most", ""])]
    for result in results:
        for each in result.agreement:
            verdict = "agrees" if each.holds else "DIFFERS"
            values = [each.load, each.prometheus, each.difference, each.limit, verdict]
            rows.append((f"{result.arm.name}: {each.figure}", values))
    return align(rows)


def align(rows: Sequence[tuple[str, list[str]]]) -> str:
    """Lay out rows with a left-aligned title and right-aligned values."""
    title_width = max(len(title) for title, _ in rows)
    widths = [max(len(values[column]) for _, values in rows) for column in range(len(rows[0][1]))]
    lines = []
    for title, values in rows:
        cells = [value.rjust(width) for value, width in zip(values, widths, strict=True)]
        lines.append("  ".join([title.ljust(title_width), *cells]).rstrip())
    return "\n".join(lines)


def milliseconds(seconds: float | None) -> str:
    """Write a latency; there is none where nothing was answered."""
    return "no answer" if seconds is None else f"{seconds * 1000:.0f} ms"


def _share_in_time(result: ArmResult) -> str:
    return (
        f"{result.load.goodput_per_second / result.load.offered_per_second:.0%}" if result.load.offered else "unknown"
    )


def failures(load: Figures) -> str:
    """Write how many requests were not answered, and why."""
    named = [f"{number} {name}" for name, number in load.outcomes.items() if number and name != "ok"]
    return ", ".join(named) or "none"


def _range(result: ArmResult) -> str:
    few, many = result.replicas.smallest, result.replicas.largest
    return str(few) if few == many else f"{few} … {many}"
