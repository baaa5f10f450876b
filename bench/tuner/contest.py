"""Every contender on every problem of a family. Two processes share the problems, so that the slow ones do not wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from bench.engine.progress import say
from bench.tuner import contenders, problems
from bench.tuner.figures import Runs
from bench.tuner.ours import Trimtab
from bench.tuner.problems import Problem
from bench.tuner.reference import Reference
from bench.tuner.replay import Course, Entrant, measure_all, run

PROCESSES = 2
FAMILIES: Mapping[str, Callable[[Path], list[Problem]]] = {
    "inferencex": problems.inferencex,
    "llmpilot": problems.llmpilot,
}
ENTRANTS: Mapping[str, Entrant] = {
    "trimtab": Trimtab,
    "reference": Reference,
    "optuna-gp": contenders.gaussian_process,
    "optuna-tpe": contenders.tpe,
    "optuna-tpe-multivariate": contenders.tpe_early,
    "hill-climb": contenders.OneKnobAtATime,
    "random": contenders.Chance,
}
EXHAUSTIVE = "exhaustive"
SEEDS = {name: 10 if name == "optuna-gp" else 50 for name in (*ENTRANTS, EXHAUSTIVE)}


def all_runs(family: str, folder: Path, count: int) -> dict[str, Runs]:
    """Return each contender's courses on the `count` problems of a family."""
    found: dict[str, Runs] = {}
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process keeps to one core, torch in Optuna's sampler too
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for name in SEEDS:
            found[name] = list(pool.map(partial(_courses, family, folder, name), range(count)))
            say(f"{family}: {name} done")
    return found


def _courses(family: str, folder: Path, name: str, number: int) -> list[Course]:
    problem = FAMILIES[family](folder)[number]
    if name == EXHAUSTIVE:
        return [measure_all(problem, seed) for seed in range(SEEDS[name])]
    return [run(ENTRANTS[name], problem, seed) for seed in range(SEEDS[name])]
