"""Models -> what is printed. Pure: the time is an argument, and nothing is asked of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_api.conditions import Condition, ConditionStatus, ConditionType
from trimtab_api.findings import Evidence
from trimtab_api.policy_status import PolicyStatus

NONE = "-"
SHOWN_HISTORY = 10
GOOD_WHEN_FALSE = {ConditionType.CONFLICT, ConditionType.PROGRESSING}


def policies_page(policies: Iterable[OptimizationPolicy], now: datetime) -> Table:
    """One row for each policy; the columns of `kubectl get optpol`."""
    table = _table(
        "Namespace", "Name", "Phase", "Mode", "Objectives", "Bottleneck", "Replicas", "Saving", "Trusted", "Age"
    )
    for policy in policies:
        status = policy.status
        table.add_row(
            policy.metadata.namespace or NONE,
            policy.metadata.name,
            status.phase.value,
            policy.spec.mode.value,
            status.objectives_summary,
            status.bottleneck_summary,
            status.replicas_summary,
            status.saving_summary,
            status.trusted_summary,
            age(policy.metadata.creation_timestamp, now),
        )
    return table


def policy_page(policy: OptimizationPolicy, now: datetime) -> Group:
    """One policy: its state, objectives, scorecard and conditions."""
    status = policy.status
    return Group(
        policies_page([policy], now),
        _heading("Conditions"),
        _conditions(status.conditions, now),
        _heading("Objectives"),
        _objectives(status),
        _heading("Scorecard"),
        _scorecard(status),
    )


def explanation_page(policy: OptimizationPolicy, now: datetime) -> Group:
    """Why the operator does what it does: the decision, the bottleneck and the history, with their evidence."""
    return Group(*_explanation(policy, now))


def _explanation(policy: OptimizationPolicy, now: datetime) -> Iterator[RenderableType]:
    status = policy.status
    name = f"{policy.metadata.namespace}/{policy.metadata.name}"
    yield Text(f"{name}: {policy.spec.mode.value}, {status.phase.value} since {age(status.phase_since, now)}", "bold")
    yield _heading("Decision")
    yield from _decision(status, now)
    yield _heading("Bottleneck")
    if status.bottleneck is None:
        yield Text("not known yet")
    else:
        yield Text(f"{status.bottleneck.kind.value}, confidence {status.bottleneck.confidence}")
        yield _evidence(status.bottleneck.evidence)
    if status.constraints:
        yield _heading("Constraints")
        yield from (Text(f"{row.name}: {row.reason}") for row in status.constraints)
    yield _heading("Why not more")
    yield from _obstacles(status)
    yield _heading("History")
    yield _history(status, now)


def trials_page(trials: Iterable[OptimizationTrial], now: datetime) -> Table:
    """One row for each trial."""
    table = _table("Namespace", "Name", "Policy", "Change", "Predicted", "Observed", "Verdict", "Age")
    for trial in trials:
        table.add_row(
            trial.metadata.namespace or NONE,
            trial.metadata.name,
            trial.spec.policy,
            trial.spec.change_summary,
            trial.spec.predicted_summary,
            trial.status.observed_summary,
            trial.status.verdict.value,
            age(trial.metadata.creation_timestamp, now),
        )
    return table


def age(since: datetime | None, now: datetime) -> str:
    """Return the time since then as kubectl writes it: `5s`, `3m`, `2h`, `4d`."""
    if since is None:
        return NONE
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _decision(status: PolicyStatus, now: datetime) -> Iterator[RenderableType]:
    replicas = status.replicas
    if replicas is None:
        yield Text("no replicas are known")
        return
    wanted = NONE if replicas.desired is None else str(replicas.desired)
    uncapped = NONE if replicas.uncapped is None else str(replicas.uncapped)
    yield Text(f"{replicas.current} replicas run, {wanted} are wanted ({uncapped} before the guardrails)")
    yield Text(replicas.reason or "no reason is given")
    if status.intent is not None:
        intent = status.intent
        yield Text(f"about to {intent.kind.value} from {intent.from_} to {intent.to} since {age(intent.at, now)}")
        yield _evidence(intent.evidence)


def _obstacles(status: PolicyStatus) -> Iterator[RenderableType]:
    found = [row for row in status.conditions if _is_bad(row)]
    if not found:
        yield Text("nothing holds it back")
    for row in found:
        yield Text(f"{row.type.value} is {row.status.value}, {row.reason}: {row.message}")


def _is_bad(row: Condition) -> bool:
    if row.type in GOOD_WHEN_FALSE:
        return row.status is ConditionStatus.TRUE
    return row.status is not ConditionStatus.TRUE


def _conditions(rows: Iterable[Condition], now: datetime) -> Table:
    table = _table("Type", "Status", "Reason", "Since", "Message")
    for row in rows:
        table.add_row(row.type.value, row.status.value, row.reason, age(row.last_transition_time, now), row.message)
    return table


def _objectives(status: PolicyStatus) -> Table:
    table = _table("Objective", "State", "Value", "Limit", "Samples", "Reason")
    for row in status.objectives:
        table.add_row(row.name.value, row.met.value, row.value or NONE, row.limit, str(row.samples), row.reason)
    return table


def _scorecard(status: PolicyStatus) -> Table:
    table = _table("Measure", "State", "Value", "Reference", "Samples", "Reason")
    for row in status.scorecard:
        table.add_row(
            row.measure.value, row.state.value, row.value or NONE, row.reference, str(row.samples), row.reason
        )
    return table


def _evidence(rows: Iterable[Evidence]) -> Table:
    table = _table("Signal", "Value", "Unit", "At", "Samples", "Query")
    for row in rows:
        at = row.at.isoformat(timespec="seconds")
        table.add_row(row.signal, row.value or NONE, row.unit, at, str(row.samples), row.query or NONE)
    return table


def _history(status: PolicyStatus, now: datetime) -> Table:
    table = _table("Age", "What", "From", "To", "Why")
    for row in status.history[-SHOWN_HISTORY:]:
        table.add_row(age(row.at, now), row.what.value, row.from_, row.to, row.why)
    return table


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.upper(), overflow="fold")
    return table
