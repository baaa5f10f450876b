"""When the demo may say that the policy did its work, and when it must not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest

from dev.demo.agreement import Comparison, ServedSide, compare
from dev.demo.exposition import Histogram
from dev.demo.plan import DemoPlan, Prices
from dev.demo.results import ArmResult, cost, cost_per_thousand, problems
from dev.demo.table import agreement_table, difference_lines, result_table

Build = Callable[..., ArmResult]
PLAN = DemoPlan(cpu_millicores=500, gpus=1, prices=Prices(per_cpu_hour=0.10, per_gpu_hour=2.0))
DIFFERS = Comparison("p95 from sending", "300 ms", "100…125 ms", "4 buckets", "1 bucket", holds=False)


def three(an_arm: Build) -> tuple[ArmResult, ArmResult, ArmResult]:
    single = an_arm("fixed single", goodput=5.0, answered=600, paid=100.0)
    maximum = an_arm("fixed maximum", goodput=12.0, answered=1200, paid=300.0)
    policy = an_arm("with policy", goodput=11.0, answered=1150, paid=180.0, scalings=("replicas 1 → 2",))
    return single, maximum, policy


def test_a_replica_costs_its_cpu_limit_and_its_gpus(an_arm: Build) -> None:
    assert PLAN.replica_hour() == pytest.approx(0.5 * 0.10 + 1 * 2.0)
    assert cost(PLAN, an_arm(paid=360.0)) == pytest.approx(2.05 * 0.1)


def test_cost_is_shared_by_the_requests_that_were_answered(an_arm: Build) -> None:
    assert cost_per_thousand(PLAN, an_arm(paid=360.0, answered=500)) == pytest.approx(0.205 * 2)
    assert cost_per_thousand(PLAN, an_arm(answered=0)) is None


def test_a_policy_that_beats_both_fixed_sizes_has_no_problem(an_arm: Build) -> None:
    assert problems(PLAN, *three(an_arm)) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"scalings": ()}, "did not act", id="no scaling"),
        pytest.param({"goodput": 5.0}, "not above that of a single replica", id="goodput no better"),
        pytest.param({"paid": 290.0}, "not below that of the fixed maximum", id="no cheaper"),
        pytest.param({"answered": 0}, "not below that of the fixed maximum", id="nothing answered"),
        pytest.param({"agreement": (DIFFERS,)}, "p95 from sending is 300 ms", id="no agreement"),
    ],
)
def test_each_missing_proof_is_named(an_arm: Build, change: dict[str, object], words: str) -> None:
    single, maximum, _ = three(an_arm)
    good: dict[str, object] = {"goodput": 11.0, "answered": 1150, "paid": 180.0, "scalings": ("1 → 2",)}
    found = problems(PLAN, single, maximum, an_arm("with policy", **{**good, **change}))
    assert len(found) == 1
    assert words in found[0]


def test_the_table_shows_every_arm_and_every_figure(an_arm: Build) -> None:
    text = result_table(PLAN, three(an_arm))
    header, *rows = text.splitlines()
    assert header.split("  ")[-1].strip() == "with policy"
    assert len(rows) == 9
    assert any(line.startswith("p95 latency") and line.count("123 ms") == 3 for line in rows)
    assert any("600 rejected" in line for line in rows)


def test_an_arm_without_answers_has_no_latency_and_no_price(an_arm: Build) -> None:
    text = result_table(PLAN, [an_arm(answered=0)])
    assert "no answer" in text
    assert "unknown" in text


def test_differences_are_told_against_each_fixed_size(an_arm: Build) -> None:
    against_single, against_maximum = difference_lines(PLAN, *three(an_arm))
    assert "goodput x 2.20" in against_single
    assert "replica-seconds -40%" in against_maximum


def test_a_disagreement_stands_out_in_its_table(an_arm: Build) -> None:
    assert "DIFFERS" in agreement_table([an_arm(agreement=(DIFFERS,))])
    assert "DIFFERS" not in agreement_table([an_arm()])


SERVED = ServedSide(answered=1000.0, requests=Histogram((0.1, 0.125, 0.5, math.inf), (900.0, 980.0, 1000.0, 1000.0)))


@pytest.mark.parametrize(
    ("change", "held"),
    [
        pytest.param({}, (True, True, True), id="all agree"),
        pytest.param({"answered": 1049}, (True, True, True), id="just within five percent"),
        pytest.param({"answered": 1060}, (False, True, True), id="counts differ"),
        pytest.param({"exchange_goodput_per_second": 9.0}, (True, False, True), id="goodput differs"),
        pytest.param({"p95_exchange_seconds": 0.3}, (True, True, True), id="p95 in the next bucket"),
        pytest.param({"p95_exchange_seconds": 0.6}, (True, True, False), id="p95 two buckets away"),
        pytest.param({"p95_exchange_seconds": None}, (True, True, False), id="no p95"),
    ],
)
def test_both_sides_are_compared_figure_by_figure(
    an_arm: Build, change: dict[str, float], held: tuple[bool, bool, bool]
) -> None:
    load = dataclasses.replace(an_arm(goodput=10.0).load, **change)
    assert tuple(each.holds for each in compare(load, SERVED)) == held


def test_nothing_on_either_side_is_no_agreement(an_arm: Build) -> None:
    empty = ServedSide(0.0, Histogram((0.1, math.inf), (0.0, 0.0)))
    assert not any(each.holds for each in compare(an_arm(goodput=0.0, answered=0).load, empty))
