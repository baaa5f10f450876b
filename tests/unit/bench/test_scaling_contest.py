"""The contest of autoscalers: what is counted, who is charged what, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import compare
from bench.scaling import __main__ as command
from bench.scaling import figures, sweep
from bench.scaling.cases import Case, Part, cases
from bench.scaling.contenders import CONSTANT, CRON, OURS, Settings, build, chosen, fixed, policy, swept
from bench.scaling.contest import Result, in_hindsight, result
from bench.scaling.lower_bound import lower_bound
from bench.scaling.play import Outcome, Stage, opening_replicas, play, together, with_lead_in
from bench.scaling.profiles import OBJECTIVES, ONE_H200, carries_rps
from trimtab_replay.fleet import FleetPlan
from trimtab_replay.trace import Trace


def a_part(rate: float = 5.0, seconds: float = 900.0) -> Part:
    arrived = np.sort(np.random.default_rng(3).uniform(0.0, seconds, int(rate * seconds)))
    trace = Trace(arrived, np.full(len(arrived), 1000.0), np.full(len(arrived), 200.0))
    bound = lower_bound(trace, ONE_H200, OBJECTIVES, 60.0).replica_seconds / 3600.0
    return Part(Stage(with_lead_in(trace), FleetPlan(ONE_H200, 60.0, nodes=30), 0), bound)


PART = a_part()


def test_what_is_played_before_anything_counts_costs_nothing_and_counts_no_request() -> None:
    found = play(PART.stage, fixed(5)(PART.stage))
    assert sum(found.requests) == 4500
    assert found.gpu_hours == pytest.approx(5 * 900 / 3600, rel=0.05)
    assert found.reached


def test_everybody_begins_with_what_the_first_minutes_need() -> None:
    assert opening_replicas(PART.stage) == int(np.ceil(1.2 * 5.0 / carries_rps(ONE_H200, 1000.0, 200.0)))


def test_too_few_replicas_miss_and_what_is_never_answered_counts_as_missed() -> None:
    found = play(PART.stage, fixed(1)(PART.stage))
    assert not found.reached
    assert found.attainment < 0.5


def test_the_best_count_in_hindsight_is_the_fewest_that_reach_the_objectives() -> None:
    found = in_hindsight((PART,))
    count = round(found[CONSTANT].outcome.gpu_hours / (900 / 3600))
    assert found[CONSTANT].outcome.reached
    assert not result((PART,), fixed(count - 1)).outcome.reached
    assert found[CRON].outcome.gpu_hours == pytest.approx(found[CONSTANT].outcome.gpu_hours)


@pytest.mark.parametrize("name", list(swept()))
def test_every_contender_plays_with_the_settings_that_were_chosen(name: str) -> None:
    found = result((PART,), build(name, chosen()[name]))
    assert sum(found.outcome.requests) == 4500
    assert not found.impossible


def test_our_policy_says_what_the_bench_asks_for() -> None:
    found = policy(Settings(stabilization="2m"), 99)
    assert found.spec.scaling is not None
    assert (found.spec.scaling.stabilization, found.spec.scaling.max_replicas, found.spec.scaling.max_step) == (
        "2m", 99, 99,
    )  # fmt: skip
    assert found.spec.objectives is not None
    assert found.spec.objectives.time_to_first_token is not None
    assert found.spec.objectives.time_to_first_token.percentile == 99


def a_result(gpu_hours: float, share: float = 1.0, events: int = 10, bound: float = 10.0) -> Result:
    return Result(Outcome(gpu_hours, (round(1000 * share),), (1000,), events), bound, 1.0)


CASE = Case("azure-conv", 60.0, 16, 0)


def results(**contenders: Result) -> dict[Case, dict[str, Result]]:
    every = {OURS: a_result(12.0), CONSTANT: a_result(15.0, events=1), **contenders}
    return {CASE: every, replace(CASE, seed=1): every}


def test_who_misses_is_charged_the_best_count_and_flagged() -> None:
    found = results(cheap=a_result(11.0, share=0.9))
    assert figures.charged(found[CASE], "cheap") == 15.0
    assert figures.summary(found, list(found), "cheap").flags == ("not validated", "missed 2 of 2")
    assert figures.best_rival(found, list(found)) in {CONSTANT, "cheap"}


def test_ours_is_compared_with_the_cheapest_and_with_the_bound() -> None:
    found = results(other=a_result(14.0))
    assert figures.best_rival(found, list(found)) == "other"
    assert figures.cost_ratio(found, list(found), "other").mean == pytest.approx(12.0 / 14.0)
    assert figures.over_bound(found, list(found)).high == pytest.approx(1.2)
    assert figures.gap_closed(found, list(found), "other") == pytest.approx(0.5)
    assert figures.impossible(found) == []
    assert len(figures.impossible(results(cheat=a_result(9.0)))) == 2


def test_events_are_compared_with_the_calmest_that_moves_at_a_similar_cost() -> None:
    assert figures.events_over_calmest(results(calm=a_result(14.0, events=8)), list(results())) == pytest.approx(1.25)
    assert figures.events_over_calmest(results(), list(results())) is None
    assert figures.events_over_calmest(results(dear=a_result(20.0, events=4)), list(results())) is None


def test_windows_of_one_trace_are_one_outcome() -> None:
    found = together([Outcome(1.0, (9,), (10,), 1), Outcome(2.0, (99,), (100,), 2)])
    assert (found.gpu_hours, found.events, found.attainment) == (3.0, 3, 108 / 110)
    assert found.worst_hour == 0.9
    assert not found.reached


def test_the_sweep_draws_no_settings_twice_and_all_where_there_are_few() -> None:
    for name, tries in ((OURS, 9), ("hpa", sweep.BUDGET)):
        settings, space = swept()[name]
        every = sweep.draws(settings, dict(space), sweep.BUDGET)
        assert every[0] == settings()
        assert len(set(every)) == len(every) == tries


def test_the_sweep_keeps_the_cheapest_that_reach() -> None:
    constant = [a_result(15.0)]
    assert sweep.score([a_result(12.0)], constant) < sweep.score([a_result(13.0)], constant)
    assert sweep.score([a_result(11.0, share=0.98)], constant) < sweep.score([a_result(11.0, share=0.9)], constant)
    assert sweep.score([a_result(20.0)], constant) < sweep.score([a_result(11.0, share=0.9)], constant)
    assert sweep.score([a_result(11.0, share=0.9)], constant)[:2] == (1, pytest.approx(0.5))


def test_the_chosen_settings_are_those_of_a_sweep_over_the_public_traces() -> None:
    kept = json.loads((Path(sweep.__file__).with_name("settings.json")).read_text())
    assert kept["budget"] == sweep.BUDGET
    assert swept().keys() == kept["settings"].keys()
    assert len(kept["traces"]) == 4


def test_the_tables_name_everybody_and_the_document_has_the_agreed_keys(capsys: pytest.CaptureFixture[str]) -> None:
    found = results(other=a_result(14.0, share=0.9))
    print("\n".join(command._table(found)))
    shown = capsys.readouterr().out
    assert "azure-conv x16" in shown
    assert "+0.50m" in shown
    line, met = command._row(found, "azure-conv", list(found))
    assert "cost over" in line
    assert met is True
    document = command._document(found)
    assert document["azure-conv x16"]["60"][OURS].keys() == {  # type: ignore[attr-defined]
        "gpu_hours", "attainment", "gpu_hours_at_99", "events_per_hour", "over_oracle", "flags",
    }  # fmt: skip


def test_traces_that_cannot_be_read_end_the_bench_with_2(tmp_path: Path) -> None:
    assert command.main(["--traces", str(tmp_path)]) == 2


def test_all_sizes_and_starts_are_played() -> None:
    every = list(cases([4, 16, 64]))
    assert {case.mean_replicas for case in every} == {4, 16, 64}
    assert len({case for case in every if case.mean_replicas == 4 and case.startup_seconds == 60.0}) == 20
    assert {case.startup_seconds for case in every if case.mean_replicas == 64} == {60.0}
    assert {case.mean_replicas for case in cases([4])} == {4}


OLD = {"azure": {"60": {"trimtab": {"gpu_hours_at_99": 10.0, "flags": []}, "hpa": {"gpu_hours_at_99": 1.0}}}}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (OLD, {"azure": {"60": {"trimtab": {"gpu_hours_at_99": 10.4}, "hpa": {"gpu_hours_at_99": 9.0}}}}, 0),
        (OLD, {"azure": {"60": {"trimtab": {"gpu_hours_at_99": 10.6}}}}, 1),
        ({"a": {"trimtab": {"v8": 0.9, "se": 0.0}}}, {"a": {"trimtab": {"v8": 0.8, "se": 0.0}}}, 1),
        ({"a": {"trimtab": {"v8": 0.9, "se": 0.05}}}, {"a": {"trimtab": {"v8": 0.8, "se": 0.05}}}, 0),
        ({"tick_seconds_median": 1.0}, {"tick_seconds_median": 1.7}, 0),
        ({"tick_seconds_median": 1.0}, {"tick_seconds_median": 1.9}, 1),
        (OLD, {"other": 1}, 2),
    ],
    ids=["others may lose", "lost", "lost share", "within noise", "noisy machine", "slower", "nothing in common"],
)
def test_two_files_of_figures_are_compared(tmp_path: Path, old: object, new: object, code: int) -> None:
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, figures_of in zip(paths, (old, new), strict=True):
        path.write_text(json.dumps(figures_of))
    assert compare.main([str(each) for each in paths]) == code


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert compare.main([str(tmp_path / "none.json"), str(tmp_path / "none.json")]) == 2
