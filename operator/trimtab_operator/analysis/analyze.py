"""Front door: what a snapshot means."""

from __future__ import annotations

from dataclasses import replace

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.attainment import attain
from trimtab_operator.analysis.baseline import baseline, coverage_seconds
from trimtab_operator.analysis.bottleneck import bottleneck
from trimtab_operator.analysis.burn import burn_rates
from trimtab_operator.analysis.capacity import capacity
from trimtab_operator.analysis.constraints import constraints
from trimtab_operator.analysis.drift import drift
from trimtab_operator.analysis.leak import leak_constraints
from trimtab_operator.analysis.remedies import remedy_constraints
from trimtab_operator.analysis.scorecard import scorecard
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.analysis.siblings import sibling_constraints, worse_replicas
from trimtab_operator.analysis.trends import miss
from trimtab_operator.analysis.trust import trust
from trimtab_operator.analysis.use import use_of
from trimtab_operator.model.analysis import Analysis, ObjectiveResult
from trimtab_operator.model.snapshot import Snapshot


def analyze(snapshot: Snapshot, policy: OptimizationPolicy) -> Analysis:
    """Turn what was seen into what it means, with evidence. Pure: equal inputs give equal results."""
    use = use_of(snapshot)
    carried = capacity(snapshot, policy, use)
    seen = Seen(snapshot=snapshot, policy=policy, distributions=snapshot.distributions, capacity=carried)
    verdict = trust(seen)
    worse = worse_replicas(snapshot, policy) if verdict.trusted else ()
    limiting = bottleneck(seen, use) if verdict.trusted else None
    return Analysis(
        trust=verdict,
        objectives=_with_outlook(seen),
        scorecard=scorecard(seen),
        bottleneck=limiting,
        constraints=(
            *constraints(snapshot, policy, verdict, carried),
            *remedy_constraints(limiting, snapshot, policy),
            *sibling_constraints(worse),
            *(leak_constraints(snapshot, policy) if verdict.trusted else ()),
        ),
        capacity=carried,
        baseline=baseline(seen) if verdict.trusted and policy.status.baseline is None else None,
        drift=drift(snapshot, policy) if verdict.trusted else None,
        coverage_seconds=coverage_seconds(seen),
        worse_replicas=worse,
    )


def _with_outlook(seen: Seen) -> tuple[ObjectiveResult, ...]:
    """Measure the objectives, with what they burn and where their trends lead."""
    burns = burn_rates(seen)
    return tuple(replace(result, burn=burns.get(result.name), miss=miss(seen, result)) for result in attain(seen))
