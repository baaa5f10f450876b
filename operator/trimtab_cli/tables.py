"""The tables and lines that pages are made of. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from trimtab_api.conditions import Condition
from trimtab_api.findings import Evidence
from trimtab_api.policy_status import PolicyStatus
from trimtab_api.quantities import parse_ratio
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.texts import UNKNOWN
from trimtab_api.trial import Observed


def table(*columns: str) -> Table:
    """Return an empty table in the style of kubectl."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        made.add_column(column.upper(), overflow="fold")
    return made


def add(to: Table, *cells: str) -> None:
    """Add a row of plain text: brackets in PromQL and messages are no markup."""
    to.add_row(*(Text(cell) for cell in cells))


def heading(text: str) -> Text:
    """Return the title of a part, with an empty line before it."""
    return Text(f"\n{text}", style="bold")


def or_unknown(value: object | None) -> str:
    """Return what is known, else Unknown: blank would look like an answer."""
    return UNKNOWN if value is None or value == "" else str(value)


def age(since: datetime | None, now: datetime) -> str:
    """Return the time since then as kubectl writes it: `5s`, `3m`, `2h`, `4d`."""
    if since is None:
        return UNKNOWN
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def clock_time(at: datetime | None) -> str:
    """Return a time with seconds and zone, which can be looked up in Prometheus."""
    return UNKNOWN if at is None else at.isoformat(timespec="seconds")


def condition_line(row: Condition) -> Text:
    """Return one condition as a line."""
    return Text(f"{row.type.value} is {row.status.value}, {row.reason}: {row.message or 'no message'}")


def conditions(rows: Iterable[Condition], now: datetime) -> Table:
    """Return every condition."""
    made = table("Type", "Status", "Reason", "Since", "Message")
    for row in rows:
        add(made, row.type.value, row.status.value, row.reason, age(row.last_transition_time, now), row.message)
    return made


def objectives(status: PolicyStatus, now: datetime) -> RenderableType:
    """Return the policy's own objectives."""
    if not status.objectives:
        return Text(UNKNOWN if status.objectives_summary == UNKNOWN else "none are asked for")
    made = table("Objective", "State", "Value", "Limit", "Samples", "Since", "Reason")
    for row in status.objectives:
        state, since = row.met.value, age(row.since, now)
        add(made, row.name.value, state, or_unknown(row.value), row.limit, str(row.samples), since, row.reason)
    return made


def scorecard(status: PolicyStatus, now: datetime) -> RenderableType:
    """Return the measures that are taken for every policy."""
    if not status.scorecard:
        return Text(UNKNOWN)
    made = table("Measure", "State", "Value", "Reference", "Samples", "Since", "Reason")
    for row in status.scorecard:
        state, since = row.state.value, age(row.since, now)
        add(made, row.measure.value, state, or_unknown(row.value), row.reference, str(row.samples), since, row.reason)
    return made


def outlook(status: PolicyStatus) -> Iterator[RenderableType]:
    """Yield how fast each objective is used up, where each measure goes, and what the errors are."""
    burns = [(row, row.burn_rate) for row in status.objectives if row.burn_rate is not None]
    trends = [(row.measure.value, trend) for row in status.scorecard for trend in row.trends]
    errors = [f"{each.reason} {parse_ratio(each.ratio):.2%}" for row in status.scorecard for each in row.errors]
    if not burns and not trends:
        yield Text(UNKNOWN)
    if burns:
        made = table("Objective", "Confidence", "Margin", "Burn 5m", "Burn 1h", "Will miss at")
        for row, burn in burns:
            known = map(or_unknown, (row.confidence, row.margin_ratio, burn.short, burn.long))
            add(made, row.name.value, *known, "-" if row.will_miss_at is None else clock_time(row.will_miss_at))
        yield made
    if trends:
        made = table("Measure", "Over", "Change an hour", "Low", "High")
        for measure, trend in trends:
            add(made, measure, trend.over.value, trend.per_hour, trend.low, trend.high)
        yield made
    if errors:
        yield Text(f"Errors of all requests: {', '.join(errors)}")


def observed(rows: Iterable[Observed]) -> Table:
    """Return what was measured in both arms of a trial."""
    made = table("Measure", "Canary", "Stable", "Unit", "Effect", "Canary requests", "Stable requests")
    for row in rows:
        values = map(or_unknown, (row.canary, row.stable, row.unit))
        samples = (str(row.canary_samples), str(row.stable_samples))
        add(made, row.measure.value, *values, "-" if row.effect is None else row.effect, *samples)
    return made


def in_shadow(seen: ShadowedSetting | None) -> str:
    """Return what an engine found in shadow; `-` where nothing was compared, or its engine tells nothing."""
    if seen is None:
        return "-"
    speed = "" if seen.speedup is None else f", {seen.speedup} times as fast"
    return f"accuracy {seen.accuracy_low} of {seen.min_accuracy} on {seen.inputs} inputs{speed}"


def evidence(rows: Iterable[Evidence]) -> Iterator[RenderableType]:
    """Yield the measurements, then each query unbroken on a line of its own, to be copied."""
    made, queries = table("Signal", "Value", "Unit", "Samples", "Time"), []
    for row in rows:
        add(made, row.signal, or_unknown(row.value), row.unit, str(row.samples), clock_time(row.at))
        if row.query:
            queries.append(Text(f"query of {row.signal}: {row.query}", no_wrap=True, overflow="ignore"))
    if not made.rows:
        yield Text("no measurements are given")
        return
    yield made
    yield from queries


def history(status: PolicyStatus, now: datetime) -> Iterator[RenderableType]:
    """Yield what was done, oldest first, and how much was done before that."""
    before = status.history_summary
    if before is not None:
        yield Text(f"{before.count} older entries since {clock_time(before.since)}: {before.scaled} scaled")
    if not status.history:
        yield Text("nothing was changed yet")
        return
    made = table("Time", "Age", "What", "Change", "Why")
    for row in status.history:
        change = f"{row.from_} → {row.to}"
        add(made, clock_time(row.at), age(row.at, now), row.what.value, change, row.why)
    yield made
