"""What came of each arm, what it cost, and whether the demo shows what it claims. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dev.demo.agreement import Comparison
from dev.demo.plan import Arm, DemoPlan
from dev.demo.sightings import ReplicaTime
from dev.load.figures import Figures


@dataclass(frozen=True)
class ArmResult:
    """One arm, measured."""

    arm: Arm
    load: Figures
    replicas: ReplicaTime
    agreement: tuple[Comparison, ...]
    scalings: tuple[str, ...] = ()


def cost(plan: DemoPlan, result: ArmResult) -> float:
    """Return what the arm's pods cost in USD, from their binding to a node to their end."""
    return result.replicas.paid_seconds / 3600 * plan.replica_hour()


def cost_per_thousand(plan: DemoPlan, result: ArmResult) -> float | None:
    """Return USD for a thousand ok answers; None when there was none."""
    if result.load.answered == 0:
        return None
    return cost(plan, result) / result.load.answered * 1000


def problems(plan: DemoPlan, single: ArmResult, maximum: ArmResult, policy: ArmResult) -> tuple[str, ...]:
    """Return why the demo failed, one sentence each; empty when it shows what it claims."""
    found = []
    if not policy.scalings:
        found.append("the policy did not act: replicas were never changed by it")
    if policy.load.goodput_per_second <= single.load.goodput_per_second:
        found.append(
            f"goodput with policy ({policy.load.goodput_per_second:.2f}/s) is not above that of a single replica "
            f"({single.load.goodput_per_second:.2f}/s)"
        )
    policy_cost, maximum_cost = cost_per_thousand(plan, policy), cost_per_thousand(plan, maximum)
    if policy_cost is None or maximum_cost is None or policy_cost >= maximum_cost:
        found.append(
            f"cost per thousand requests with policy ({money(policy_cost)}) is not below that of the fixed maximum "
            f"({money(maximum_cost)})"
        )
    found += [disagreement for result in (single, maximum, policy) for disagreement in disagreements(result)]
    return tuple(found)


def disagreements(result: ArmResult) -> Sequence[str]:
    """Return where the load generator and Prometheus differ by more than they may, one sentence each."""
    return [
        f"{result.arm.name}: {each.figure} is {each.load} by the load generator and {each.prometheus} by Prometheus "
        f"({each.difference}, at most {each.limit})"
        for each in result.agreement
        if not each.holds
    ]


def money(amount: float | None) -> str:
    """Write an amount in USD with three significant places, or that it is not known."""
    return "unknown" if amount is None else f"${amount:.4f}"
