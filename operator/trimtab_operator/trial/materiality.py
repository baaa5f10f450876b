"""Whether a status is worth a write.

What a person or a program would act on is written at once; a number that moved, at most once a minute, and only by
more than 5 % and more than its own noise. Ten steady minutes write nothing.
"""

from __future__ import annotations

from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.trial.texts import leading_number

MIN_CHANGE = 0.05
MOST_NOISE = 0.45  # a number that has doubled is news, however noisy
NUMBERS_SECONDS = 60.0
UNCAPPED_SHARE = 0.2


def due(before: PolicyStatus, after: PolicyStatus, analysis: Analysis, now: float) -> bool:
    """Say whether the status must be written."""
    if _standing(before) != _standing(after) or _outlook(before) != _expected(analysis):
        return True
    written = before.replicas.at if before.replicas else None
    if written is None or now - written.timestamp() < NUMBERS_SECONDS:
        return False
    return _moved(before, after, analysis)


def _standing(status: PolicyStatus) -> tuple[object, ...]:
    """Return all that is written at once when it changes: states and decisions, no measured number."""
    replicas = status.replicas
    return (
        status.phase,
        status.observed_generation,
        tuple((each.type, each.status, each.reason) for each in status.conditions),
        status.intent.id if status.intent else None,
        tuple(entry.id for entry in status.history),
        status.baseline is None,
        _limiting(status),
        tuple((result.name, result.met) for result in status.objectives),
        tuple(each.name for each in status.constraints),
        (replicas.current, replicas.desired) if replicas else None,
        status.tuning,
        status.current_trial,
        status.last_known_good.trial if status.last_known_good else None,
    )


def _limiting(status: PolicyStatus) -> tuple[str, str] | None:
    found = status.bottleneck
    return None if found is None else (found.kind, found.stage.name if found.stage else "")


def _outlook(status: PolicyStatus) -> set[tuple[str, bool, bool]]:
    """Return which objectives burn what they may, and which will be missed, as status says."""
    rows = (
        (row.name, bool(row.burn_rate and row.burn_rate.lasting), bool(row.will_miss_at)) for row in status.objectives
    )
    return {row for row in rows if row[1] or row[2]}


def _expected(analysis: Analysis) -> set[tuple[str, bool, bool]]:
    rows = ((row.name, bool(row.burn and row.burn.lasting), row.miss is not None) for row in analysis.objectives)
    return {row for row in rows if row[1] or row[2]}


def _moved(before: PolicyStatus, after: PolicyStatus, analysis: Analysis) -> bool:
    noise: dict[str, float] = {row.measure: row.uncertainty_ratio for row in analysis.scorecard}
    noise |= {result.name: result.uncertainty_ratio for result in analysis.objectives}
    numbers = _numbers(before)
    for name, value in _numbers(after).items():
        if changed(numbers.get(name), value, max(MIN_CHANGE, min(MOST_NOISE, noise.get(name, 0.0)))):
            return True
    wished_before = before.replicas.uncapped if before.replicas else None
    wished = after.replicas.uncapped if after.replicas else None
    if wished is None or wished_before is None:
        return wished is not wished_before
    return abs(wished - wished_before) > max(1.0, UNCAPPED_SHARE * wished_before)


def changed(before: float | None, after: float | None, share: float) -> bool:
    """Say whether a number moved by more than a share of what it was."""
    if before is None or after is None:
        return before is not after
    return abs(after - before) > share * max(abs(before), abs(after))


def _numbers(status: PolicyStatus) -> dict[str, float | None]:
    rows: dict[str, float | None] = {row.measure: leading_number(row.value) for row in status.scorecard}
    return rows | {result.name: leading_number(result.value) for result in status.objectives}
