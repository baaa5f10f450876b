"""What a status that is written tells beyond states and values: evidence, intervals, burn rates, trends, errors.

None of it is a reason to write: it moves with every tick, and is made only for a status that is written.
"""

from __future__ import annotations

from trimtab_api import findings
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.model.analysis import Analysis, Bottleneck, BurnRate, ObjectiveResult, ScorecardRow
from trimtab_operator.model.past import Trends
from trimtab_operator.model.slope import NoSlope, Slope
from trimtab_operator.trial import texts
from trimtab_operator.trial.render import evidence

MOST_KINDS = 8


def with_details(status: PolicyStatus, analysis: Analysis, policy: OptimizationPolicy) -> PolicyStatus:
    """Fill in the bottleneck, objectives and scorecard of a status that was composed from this analysis."""
    currency = policy.spec.cost.currency if policy.spec.cost else ""
    objectives = zip(status.objectives, analysis.objectives, strict=True)
    scorecard = zip(status.scorecard, analysis.scorecard, strict=True)
    return status.model_copy(
        update={
            "bottleneck": _bottleneck(status.bottleneck, analysis.bottleneck),
            "objectives": tuple(_objective(shown, result, currency) for shown, result in objectives),
            "scorecard": tuple(_row(shown, row) for shown, row in scorecard),
        }
    )


def _bottleneck(shown: findings.Bottleneck | None, found: Bottleneck | None) -> findings.Bottleneck | None:
    if shown is None or found is None:
        return None
    return shown.model_copy(update={"evidence": evidence(found.evidence)})


def _objective(shown: findings.ObjectiveResult, result: ObjectiveResult, currency: str) -> findings.ObjectiveResult:
    unit = texts.unit_of(result.name)
    low, high = (None if each is None else texts.with_unit(each, unit, currency) for each in (result.low, result.high))
    return shown.model_copy(
        update={
            "low": low,
            "high": high,
            "margin_ratio": _decimal(result.margin_ratio),
            "confidence": None if result.confidence is None else texts.share(result.confidence),
            "burn_rate": None if result.burn is None else _burn_rate(result.burn),
            "will_miss_at": None if result.miss is None else texts.when(result.miss.at),
        }
    )


def _burn_rate(burn: BurnRate) -> findings.BurnRate:
    return findings.BurnRate(short=_decimal(burn.short), long=_decimal(burn.long), lasting=burn.lasting)


def _decimal(value: float | None) -> str | None:
    return None if value is None else texts.decimal(value)


def _row(shown: findings.ScorecardRow, row: ScorecardRow) -> findings.ScorecardRow:
    errors = [findings.ErrorShare(reason=reason, ratio=texts.share(share)) for reason, share in row.errors[:MOST_KINDS]]
    return shown.model_copy(
        update={"trends": _trends(row.trends), "trend_reason": _absent(row.trends), "errors": tuple(errors)}
    )


def _trends(trends: Trends) -> tuple[findings.Trend, ...]:
    return tuple(
        findings.Trend(
            over=span,
            per_hour=texts.decimal(slope.per_hour),
            low=texts.decimal(slope.low),
            high=texts.decimal(slope.high),
        )
        for span, slope in trends.items()
        if isinstance(slope, Slope)
    )


def _absent(trends: Trends) -> str:
    reasons = [f"{span}: {found.reason}" for span, found in trends.items() if isinstance(found, NoSlope)]
    return "; ".join(reasons)[: texts.SENTENCE]
