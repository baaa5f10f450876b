"""When the second act may say that tuning helped, and its tables."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from dev.demo.accuracy import Accuracy
from dev.demo.plan import DemoPlan, Prices
from dev.demo.prometheus import Usage
from dev.demo.tuning.plan import TuningPlan
from dev.demo.tuning.results import ActResult, cost_per_thousand, gain, tuning_problems
from dev.demo.tuning.table import gain_line, trial_table, tuning_table
from dev.demo.tuning.trials import TrialSight
from dev.demo.tuning.windows import Measured, cpu_seconds_per_answer, hit_share

PLAN = TuningPlan()
DEMO = DemoPlan(cpu_millicores=500, gpus=0, prices=Prices(per_cpu_hour=0.36, per_gpu_hour=2.0))
Act = Callable[..., ActResult]
Window = Callable[..., Measured]
Trial = Callable[..., TrialSight]


def test_an_act_that_helped_in_time_has_no_problem(an_act: Act) -> None:
    assert tuning_problems(PLAN, an_act()) == ()


@pytest.mark.parametrize(
    ("before", "after", "helped"),
    [
        pytest.param((10.0, 1.0), (15.0, 1.0), True, id="goodput by half"),
        pytest.param((10.0, 1.5), (10.0, 1.0), True, id="p95 by a third"),
        pytest.param((10.0, 1.0), (14.0, 0.8), False, id="neither enough"),
        pytest.param((0.0, 9.0), (8.0, 9.0), True, id="goodput from nothing"),
        pytest.param((0.0, 9.0), (0.7, 9.0), False, id="next to nothing from nothing"),
        pytest.param((0.0, None), (0.0, None), False, id="nothing answered"),
    ],
)
def test_goodput_or_p95_must_reach_the_gain(
    an_act: Act, a_window: Window, before: tuple[float, float], after: tuple[float, float], helped: bool
) -> None:
    first, second = (a_window(goodput=goodput, p95=p95) for goodput, p95 in (before, after))
    assert (tuning_problems(PLAN, an_act(before=first, after=second)) == ()) is helped


def test_a_gain_without_a_promoted_trial_is_a_failure_and_says_what_the_policy_says(an_act: Act) -> None:
    (problem,) = tuning_problems(PLAN, an_act(trials=(), progressing="Steady: settings: Attaching"))
    assert "no trial was promoted" in problem
    assert "Attaching" in problem


def test_a_change_that_is_not_validated_yet_is_not_promoted(an_act: Act, a_trial: Trial) -> None:
    assert tuning_problems(PLAN, an_act(trials=(a_trial(phase="Validating"),)))


@pytest.mark.parametrize(("seconds", "words"), [(241.0, "took 241 s"), (None, "no verdict")])
def test_the_first_verdict_must_come_in_time(an_act: Act, seconds: float | None, words: str) -> None:
    (problem,) = tuning_problems(PLAN, an_act(verdict_seconds=seconds))
    assert words in problem


def test_both_replicas_are_paid_for_by_what_was_answered(a_window: Window) -> None:
    # 2 replicas x 0.5 cores x 0.36 USD/h for a minute, shared by 600 answers.
    assert cost_per_thousand(DEMO, PLAN, a_window(answered=600)) == pytest.approx(0.01)
    assert cost_per_thousand(DEMO, PLAN, a_window(answered=0)) is None


def test_cpu_time_is_shared_by_the_answers_of_the_window(a_window: Window) -> None:
    load = a_window(answered=1200).load
    assert cpu_seconds_per_answer(load, Usage(0.6, 0.0, 0.0)) == pytest.approx(0.03)
    assert cpu_seconds_per_answer(load, Usage(None, 0.0, 0.0)) is None
    assert cpu_seconds_per_answer(a_window(answered=0).load, Usage(0.6, 0.0, 0.0)) is None


def test_a_cache_that_is_off_has_no_share_of_hits() -> None:
    assert hit_share(Usage(0.6, 3.0, 7.0)) == pytest.approx(0.3)
    assert hit_share(Usage(0.6, 0.0, 0.0)) is None
    assert hit_share(Usage(0.6, None, None)) is None


def test_the_table_shows_both_windows_and_every_figure(an_act: Act) -> None:
    header, *rows = tuning_table(DEMO, PLAN, [an_act()]).splitlines()
    assert header.split() == ["before", "tuning", "after", "tuning"]
    cells = {row[:50].strip(): row[50:].split() for row in rows}
    assert cells["p95 latency (from the schedule)"][-4:] == ["3000", "ms", "200", "ms"]
    assert any("off" in row and "31%" in row for row in rows)
    assert any(row.startswith("repeated keys") and row.count("38%") == 2 for row in rows)
    assert any("600 rejected" in row and "10 rejected" in row for row in rows)
    assert any(row.startswith("accuracy") and row.count("unmodified") == 3 for row in rows)
    assert len(rows) == 9


def test_the_table_shows_the_agreement_of_the_replica_that_agrees_least(an_act: Act, a_window: Window) -> None:
    act = an_act(before=a_window(accuracy=None), after=a_window(accuracy=Accuracy(2, 1, 0.9931, 0.9905)))
    (row,) = (line for line in tuning_table(DEMO, PLAN, [act]).splitlines() if line.startswith("accuracy"))
    assert row.endswith("unknown  0.9931 (at least 0.9905) in 1 of 2")


def test_each_trial_is_listed_with_its_verdict_and_its_reason_is_cut(a_trial: Trial) -> None:
    text = trial_table([a_trial(), a_trial("minilm-tuned-2", phase="Measuring", verdict="Unknown", reason="x" * 300)])
    assert "minilm-tuned-1" in text
    assert "Unknown (Measuring)" in text
    assert text.endswith("x…")
    assert max(len(line) for line in text.splitlines()) < 140
    assert trial_table([]) == "no trial was made"


def test_the_closing_line_tells_gains_and_the_time_to_the_first_verdict(an_act: Act) -> None:
    line = gain_line(PLAN, an_act())
    assert "goodput x 19.50" in line
    assert "p95 better x 15.00" in line
    assert "first verdict: 130 s (aim: at most 240 s)" in line
    assert "first verdict" not in gain_line(PLAN, an_act(verdict_seconds=None))
    assert gain(math.inf) == "from nothing"
