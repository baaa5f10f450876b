"""What a status that is written tells beyond states and values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fakes.builders import NOW, a_policy, a_snapshot

from trimtab_api import findings
from trimtab_api.findings import TrendSpan
from trimtab_api.objectives import ObjectiveName
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.analysis import Attainment, BurnRate, Miss, ObjectiveResult
from trimtab_operator.model.slope import Slope
from trimtab_operator.trial import render
from trimtab_operator.trial.details import with_details
from trimtab_operator.trial.texts import when

PRICE = ObjectiveName.COST_PER_THOUSAND_REQUESTS
MONEY: dict[str, Any] = {"currency": "EUR", "perGpuHour": "2.50"}
BARE = ObjectiveResult(PRICE, False, Attainment.MET, 1.0, value=0.5)


def detailed(result: ObjectiveResult, policy: OptimizationPolicy) -> findings.ObjectiveResult:
    analysis = replace(analyze(a_snapshot(), policy), objectives=(result,), scorecard=())
    shown = render.objectives((result,), policy, when(NOW))
    (found,) = with_details(PolicyStatus(objectives=shown), analysis, policy).objectives
    return found


def test_an_objective_tells_its_interval_margin_confidence_burn_rate_and_when_it_will_be_missed() -> None:
    miss = Miss(NOW + 600.0, TrendSpan.HOUR, Slope(0.1, 0.05, 0.15, 0.5))
    burn = BurnRate(short=1.5, long=None, lasting=True)
    known = replace(BARE, low=0.4, high=0.6, margin_ratio=-0.25, confidence=0.98765, burn=burn, miss=miss)
    found = detailed(known, a_policy(cost=MONEY))
    assert (found.low, found.high) == ("0.4 EUR", "0.6 EUR")
    assert (found.margin_ratio, found.confidence) == ("-0.25", "0.9877")
    body = {"short": "1.5", "lasting": True}
    assert found.burn_rate == findings.BurnRate.model_validate(body)
    assert found.will_miss_at == when(NOW + 600.0)


def test_an_objective_leaves_out_what_is_not_known() -> None:
    policy = a_policy(cost=MONEY)
    assert detailed(BARE, policy) == render.objectives((BARE,), policy, when(NOW))[0]
