"""Models -> what is printed. Pure: the time is an argument, and nothing is asked of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_api.conditions import ConditionType
from trimtab_api.policy_status import PolicyStatus
from trimtab_api.quantities import parse_ratio
from trimtab_api.texts import UNKNOWN
from trimtab_cli.concerns import concerns
from trimtab_cli.tables import (
    add,
    age,
    condition_line,
    conditions,
    evidence,
    heading,
    history,
    in_shadow,
    objectives,
    observed,
    or_unknown,
    outlook,
    scorecard,
    table,
)


def policies_page(policies: Sequence[OptimizationPolicy], now: datetime) -> Group:
    """One row for each policy (the columns of `kubectl get optpol`), then the conditions that need a look."""
    return Group(_policies(policies, now), *_attention(policies))


def policy_page(policy: OptimizationPolicy, now: datetime) -> Group:
    """One policy: its state, conditions, objectives and scorecard."""
    status = policy.status
    return Group(
        policies_page([policy], now),
        heading("Conditions"),
        conditions(status.conditions, now) if status.conditions else Text(UNKNOWN),
        heading("Objectives"),
        objectives(status, now),
        heading("Scorecard"),
        scorecard(status, now),
    )


def explanation_page(policy: OptimizationPolicy, trial: OptimizationTrial | None, now: datetime) -> Group:
    """Why the operator does what it does, from status alone; `trial` is the policy's current one."""
    return Group(*_explanation(policy, trial, now))


def trials_page(trials: Iterable[OptimizationTrial], now: datetime) -> Table:
    """One row for each trial: the columns of `kubectl get opttrial`, and what was found in shadow."""
    made = table("Namespace", "Name", "Policy", "Change", "Design", "Predicted", "Shadow", "Observed", "Verdict", "Age")
    for trial in trials:
        add(
            made,
            or_unknown(trial.metadata.namespace),
            trial.metadata.name,
            trial.spec.policy,
            trial.spec.change_summary,
            trial.spec.design.value,
            trial.spec.predicted_summary,
            in_shadow(trial.status.shadow),
            trial.status.observed_summary,
            trial.status.verdict.value,
            age(trial.metadata.creation_timestamp, now),
        )
    return made


def _policies(policies: Iterable[OptimizationPolicy], now: datetime) -> Table:
    made = table(
        "Namespace", "Name", "Phase", "Mode", "Objectives", "Bottleneck", "Replicas", "Saving", "Trusted", "Age"
    )
    for policy in policies:
        status = policy.status
        add(
            made,
            or_unknown(policy.metadata.namespace),
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
    return made


def _attention(policies: Iterable[OptimizationPolicy]) -> Iterator[RenderableType]:
    found = [(policy, row) for policy in policies for row in concerns(policy.status)]
    if not found:
        return
    yield heading("Needs a look")
    for policy, row in found:
        name = f"{policy.metadata.namespace}/{policy.metadata.name}"
        yield Text.assemble(f"{name}: ", condition_line(row))


def _explanation(
    policy: OptimizationPolicy, trial: OptimizationTrial | None, now: datetime
) -> Iterator[RenderableType]:
    status = policy.status
    yield _title(policy, now)
    yield heading("Replicas")
    yield from _replicas(status, now)
    yield heading("Trial")
    yield from _trial(trial)
    yield heading("Bottleneck")
    yield from _bottleneck(status, now)
    yield heading("Why not more")
    yield from _obstacles(status)
    yield heading("Constraints")
    yield from (Text(f"{row.name}: {row.reason}") for row in status.constraints)
    if not status.constraints:
        yield Text("none are reported")
    yield heading("Objectives")
    yield objectives(status, now)
    yield heading("Scorecard")
    yield scorecard(status, now)
    yield heading("Burn rates and trends")
    yield from outlook(status)
    yield heading("History")
    yield from history(status, now)


def _title(policy: OptimizationPolicy, now: datetime) -> Text:
    status = policy.status
    name = f"{policy.metadata.namespace}/{policy.metadata.name}"
    since = "" if status.phase_since is None else f" for {age(status.phase_since, now)}"
    line = Text(f"{name}: mode {policy.spec.mode.value}, phase {status.phase.value}{since}", "bold")
    seen, asked = status.observed_generation, policy.metadata.generation
    if seen is None:
        line.append("\nThe operator has not reported on it yet: is it running, and does it watch this namespace?")
    elif seen < asked:
        line.append(f"\nThis speaks about generation {seen} of spec; generation {asked} is not looked at yet.")
    return line


def _replicas(status: PolicyStatus, now: datetime) -> Iterator[RenderableType]:
    replicas = status.replicas
    if replicas is None:
        yield Text(UNKNOWN)
    else:
        made = table("Current", "Desired", "Uncapped", "Reckoned")
        reckoned = UNKNOWN if replicas.at is None else f"{age(replicas.at, now)} ago"
        numbers = (replicas.current, replicas.desired, replicas.uncapped)
        add(made, *(or_unknown(number) for number in numbers), reckoned)
        yield made
        yield Text(f"Reason: {or_unknown(replicas.reason)}")
    if status.intent is not None:
        intent = status.intent
        yield Text(f"About to {intent.kind.value} from {intent.from_} to {intent.to}: {intent.reason}")
        yield from evidence(intent.evidence)


def _trial(trial: OptimizationTrial | None) -> Iterator[RenderableType]:
    if trial is None:
        yield Text("none is under way")
        return
    spec, status = trial.spec, trial.status
    yield Text(f"{trial.metadata.name}: {spec.change_summary} by {spec.design.value}, phase {status.phase.value}")
    if status.reason:
        yield Text(f"Reason: {status.reason}")
    if status.shadow is not None:
        yield Text(f"In shadow: {in_shadow(status.shadow)}")
    if status.observed:
        yield observed(status.observed)


def _bottleneck(status: PolicyStatus, now: datetime) -> Iterator[RenderableType]:
    found = status.bottleneck
    if found is None:
        yield Text(UNKNOWN)
        return
    next_one = "" if found.runner_up is None else f"; next most likely {found.runner_up.value}"
    yield Text(f"{found.kind.value} for {age(found.since, now)}, confidence {found.confidence}{next_one}")
    if found.stage is not None:
        active, others = (parse_ratio(each) for each in (found.stage.active_ratio, found.stage.others_ratio))
        yield Text(f"Stage of each replica: {found.stage.name}, {active:.0%} active; the others at most {others:.0%}")
    if found.parts:
        shares = ", ".join(f"{each.kind} {parse_ratio(each.time_ratio):.0%}" for each in found.parts)
        yield Text(f"Of a pass through the model: {shares}")
    yield from evidence(found.evidence)


def _obstacles(status: PolicyStatus) -> Iterator[RenderableType]:
    if not status.conditions:
        yield Text(UNKNOWN)
        return
    found = concerns(status)
    # Progress is told even when it is as it should be: a pause that somebody asked for explains a lot.
    told = [row for row in status.conditions if row.type is ConditionType.PROGRESSING and row not in found]
    for row in (*found, *told):
        yield condition_line(row)
    if not found:
        yield Text("every condition is as it should be")
