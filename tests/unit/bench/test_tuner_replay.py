"""The tuner's bench: what makes a problem, what a run is scored by, and how contenders compare."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest

from bench.tuner import contenders, figures
from bench.tuner.__main__ import Row, main
from bench.tuner.ours import Trimtab
from bench.tuner.problems import Knob, Problem, UnfitFileError, inferencex, llmpilot
from bench.tuner.reference import Reference
from bench.tuner.replay import TRIALS, Course, Measured, Task, measure_all, run

GRID = "inferencex_made_up_grids.csv"
PILOT, WINDOWS = "llmpilot_grid.csv", "llmpilot_windows30s.csv"
USERS = (1, 2, 4, 8, 16, 32, 64, 128)


def written(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def a_grid(**changed: object) -> list[dict[str, object]]:
    return [
        {
            "grid": "a model", "backend": backend, "precision": "fp8", "tp": tp, "concurrency": users,
            "ttft_ms": 10.0 * users / tp, "tpot_ms": 1.0 + users / tp, "out_tok_s_gpu": users * len(backend),
            **changed,
        }
        for backend in ("a", "bb") for tp in (1, 2) for users in (1, 2, 4, 8, 16)
    ]  # fmt: skip


def a_pilot(profiles: int = 5) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    key = [
        {"model": "m", "gpu_type": f"g{gpu}", "n_gpus": 1, "users": users} for gpu in range(profiles) for users in USERS
    ]
    measured = [
        {**each, "tput_tok_s": 10.0 * int(str(each["users"])), "ttft_p95": each["users"], "itl_p95": each["users"]}
        for each in key
    ]
    grid = [{**each, "usd_per_h": 2.0, "err_rate": 0.0} for each in measured]
    windows = [{**each, "window": window, "ttft_p95": 1.0 + window} for each in measured for window in range(3)]
    return grid, windows


def a_problem(count: int = 6, limit: float = 8.5) -> Problem:
    """Sizes of 1 to 32: more is better, and 8.5 is the limit."""
    values = np.exp2(np.arange(count, dtype=np.float64))
    knob = Knob("concurrency", tuple(values.tolist()))
    return Problem(
        "made up", "sizes", (knob,), np.arange(count)[:, None], np.array([limit]), 0, values, values[:, None],
        np.full((count, 2), 1e-6),
    )  # fmt: skip


class Listed:
    """Tries what it was told to."""

    def __init__(self, *places: int) -> None:
        self.places, self.heard = list(places), list[Measured]()

    def observe(self, measured: Measured) -> None:
        self.heard.append(measured)

    def suggest(self) -> int | None:
        return self.places.pop(0) if self.places else None


def test_a_grid_makes_a_tight_and_a_loose_problem_that_starts_low(tmp_path: Path) -> None:
    written(tmp_path / GRID, a_grid())
    tight, loose = inferencex(tmp_path)
    assert [knob.name for knob in tight.knobs] == ["backend", "tp", "concurrency"]
    assert (tight.limits <= loose.limits).all()
    assert 4 <= tight.feasible.sum() < loose.feasible.sum()
    for each in (tight, loose):
        assert each.feasible[each.start]
        assert each.objective[each.start] < each.best
    assert tight.noise[0].tolist() == [0.03, 0.08, 0.05]


def test_a_pilot_is_a_problem_where_five_profiles_are_whole_and_its_noise_is_that_of_later_windows(
    tmp_path: Path,
) -> None:
    for profiles, count in ((4, 0), (5, 2)):
        grid, windows = a_pilot(profiles)
        written(tmp_path / PILOT, grid)
        written(tmp_path / WINDOWS, windows)
        assert len(llmpilot(tmp_path)) == count
    found = llmpilot(tmp_path)[0]
    assert found.objective.max() == 3600.0 * 1280.0 / 2.0
    first = np.array([2.0, 3.0])
    assert found.noise[0].tolist() == pytest.approx([0.02, float(first.std(ddof=1) / first.mean()), 0.03, 0.0])


def test_what_is_missing_in_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--surfaces", str(tmp_path)]) == 2
    assert "has no file inferencex*grids.csv" in capsys.readouterr().err
    written(tmp_path / GRID, [{name: value for name, value in row.items() if name != "tp"} for row in a_grid()])
    with pytest.raises(UnfitFileError, match=f"{GRID} has no column tp; needed are"):
        inferencex(tmp_path)
    written(tmp_path / GRID, a_grid(ttft_ms="fast"))
    with pytest.raises(UnfitFileError, match=r"column ttft_ms holds what is no number: .*'fast'"):
        inferencex(tmp_path)


def test_what_is_promoted_is_the_best_that_keeps_its_limit_and_a_violating_trial_counts() -> None:
    course = run(lambda task, seed: Listed(2, 3, 4), a_problem(), seed=0)
    assert course.scores == (1.0, 1.0, 1.0)
    assert course.overshoots == (16.0 / 8.5,)
    assert course.promoted_badly == (False, False, False)


def test_a_tuner_that_wants_no_further_trial_keeps_what_it_has_and_is_not_asked_again() -> None:
    course = run(lambda task, seed: Listed(1), a_problem(), seed=0)
    assert course.scores == (0.25, 0.25, 0.25)


def test_what_breaks_its_limit_and_is_promoted_all_the_same_scores_nothing() -> None:
    noisy = a_problem()
    noisy.noise[:, 1] = 3.0
    courses = [run(lambda task, seed: Listed(5, 5, 5, 5), noisy, seed) for seed in range(40)]
    wrong = [each for each in courses if each.promoted_badly[-1]]
    assert wrong
    assert all(each.scores[-1] == 0.0 for each in wrong)


def test_measuring_everything_finds_the_best_where_nothing_is_noisy() -> None:
    assert measure_all(a_problem(), seed=0).scores == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "entrant",
    [Trimtab, Reference, contenders.Chance, contenders.OneKnobAtATime, contenders.tpe, contenders.tpe_early],
    ids=["trimtab", "reference", "chance", "hill climb", "tpe", "tpe early"],
)
def test_a_contender_finds_the_best_of_six_in_twelve_trials_and_repeats_itself_exactly(entrant: object) -> None:
    first, second = (run(entrant, a_problem(), seed=1) for _ in range(2))  # type: ignore[arg-type]
    assert first.scores[-1] == 1.0
    assert first == second


def test_optuna_spends_no_trial_on_what_it_was_told_before() -> None:
    problem, tried = a_problem(), list[int]()

    class Watched(contenders.Optuna):
        def suggest(self) -> int | None:
            found = super().suggest()
            if found is not None:
                tried.append(found)
            return found

    def entrant(task: Task, seed: int) -> Watched:
        return Watched(task, seed, optuna.samplers.TPESampler(seed=seed))

    run(entrant, problem, seed=0)
    assert sorted(tried) == [1, 2, 3, 4, 5]
    assert len(tried) < TRIALS


def courses(*scores: float, over: tuple[float, ...] = (), wrong: bool = False) -> list[Course]:
    return [Course((each,) * 3, over, (wrong,) * 3) for each in scores]


def test_two_contenders_are_compared_problem_by_problem() -> None:
    ours, theirs = [courses(0.9, 0.7), courses(0.6)], [courses(0.7), courses(0.5)]
    found = figures.difference(figures.score_after(8), ours, theirs)
    assert [found.mean, found.low, found.high] == pytest.approx([0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio"),
    [((1.5,), (1.5, 2.0), 0.5), ((), (), 1.0), ((1.5,), (), float("inf"))],
    ids=["half", "neither", "only ours"],
)
def test_violations_are_compared_by_their_ratio(
    ours: tuple[float, ...], theirs: tuple[float, ...], ratio: float
) -> None:
    found = figures.ratio(figures.violations, [courses(1.0, over=ours)], [courses(1.0, over=theirs)])
    assert found.mean == ratio


@pytest.mark.parametrize(
    ("found", "at_most", "verdict"),
    [
        ((0.2, 0.1, 0.3), False, "met"),
        ((0.2, 0.0, 0.3), False, "met by its mean only"),
        ((0.05, 0.0, 0.3), False, "MISSED"),
        ((0.05, 0.0, 0.1), True, "met"),
        ((0.05, 0.0, 0.3), True, "met by its mean only"),
        ((0.2, 0.1, 0.3), True, "MISSED"),
    ],
)
def test_a_floor_is_met_where_the_worse_end_of_the_interval_reaches_it(
    found: tuple[float, float, float], at_most: bool, verdict: str
) -> None:
    row = Row("a figure", figures.Interval(*found), floor=0.1, aim=0.5, at_most=at_most)
    assert row.verdict == verdict
    assert row.line().endswith(f": {verdict}")
    assert row.met is (verdict == "met")


def test_an_average_comes_with_its_interval_over_problems() -> None:
    found = figures.average(figures.wrong_promotions, [courses(1.0), courses(0.0, wrong=True)])
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_a_contenders_own_figures_are_means_over_problems() -> None:
    document = figures.document([courses(0.8, 0.6, over=(1.5,)), courses(0.5, wrong=True)])
    assert document == pytest.approx(
        {"v4": 0.6, "v8": 0.6, "v12": 0.6, "violations": 0.5, "overshoot": 1.5, "wrong_promotions": 0.5, "se": 0.1}
    )
    alone = figures.document([courses(0.5)])
    assert (alone["overshoot"], alone["se"]) == (None, None)
    assert figures.excess(courses(1.0, over=(1.5, 1.25))) == 0.75
