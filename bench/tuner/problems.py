"""The problems: measured surfaces on which every configuration's truth is known. This file is not changed afterwards.

InferenceX (closed loops of fixed lengths, from NVIDIA's `silicon_sample.csv`): most output tokens per second and GPU,
within limits on time to first token and time per output token. LLM-Pilot (mixed requests, windows of 30 s): most tokens
per dollar, within limits on the 95th percentiles of both and on errors. Two problems per surface: tight and loose.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

INFERENCEX = "inferencex*grids.csv"
LLMPILOT = "llmpilot*grid.csv"
LLMPILOT_WINDOWS = "llmpilot*windows30s.csv"

_FEWEST_CONFIGURATIONS = 20
_FEWEST_FEASIBLE = 4
_INFERENCEX_TIGHTNESS = {"tight": 0.35, "loose": 0.65}
_INFERENCEX_NOISE = (0.03, 0.08, 0.05)  # objective, TTFT, TPOT
_LLMPILOT_TIGHTNESS = {"tight": 0.4, "loose": 0.7}
_LLMPILOT_USER_LEVELS = 8
_LLMPILOT_FEWEST_PROFILES = 5
_LLMPILOT_MOST_ERRORS = 0.01
_LLMPILOT_NOISE = ((0.02, 0.4), (0.03, 0.4), (0.03, 0.4))  # bounds of objective, TTFT, ITL
_START_QUANTILE = 0.3

_Row = Mapping[str, str]
_Floats = NDArray[np.float64]


class UnfitFileError(Exception):
    """A folder of surfaces lacks a file, or a file a column or a number in it."""


@dataclass(frozen=True)
class Knob:
    """One dimension: its levels, in their order where they have one."""

    name: str
    levels: tuple[str, ...] | tuple[float, ...]

    @property
    def ordered(self) -> bool:
        """Whether levels are numbers."""
        return not isinstance(self.levels[0], str)


@dataclass(frozen=True)
class Problem:
    """A surface and its limits. n configurations, m limits; nothing here may be seen by a tuner but `knobs` to `start`.

    `configurations` (n, knobs): index of the level. `start`: the feasible configuration that runs at first.
    `objective` (n): true value, more is better. `limited` (n, m): true values that `limits` (m) bound from above.
    `noise` (n, 1 + m): standard deviations of the logarithms of what a trial measures.
    """

    family: str
    name: str
    knobs: tuple[Knob, ...]
    configurations: NDArray[np.int64]
    limits: _Floats
    start: int
    objective: _Floats
    limited: _Floats
    noise: _Floats

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Which configurations truly keep every limit, shape (n)."""
        return np.asarray((self.limited <= self.limits).all(axis=1))

    @property
    def best(self) -> float:
        """The objective of the best feasible configuration."""
        return float(self.objective[self.feasible].max())


@dataclass(frozen=True)
class _Surface:
    """A problem without its limits."""

    knobs: tuple[Knob, ...]
    configurations: NDArray[np.int64]
    objective: _Floats
    limited: _Floats
    noise: _Floats


def inferencex(folder: Path) -> list[Problem]:
    """Return the problems of InferenceX. Raises UnfitFileError."""
    needed = ("grid", "backend", "precision", "tp", "concurrency", "ttft_ms", "tpot_ms", "out_tok_s_gpu")
    problems = []
    for grid, rows in _groups(_rows(folder, INFERENCEX, needed), lambda row: row["grid"]):
        limited = _columns(rows, ("ttft_ms", "tpot_ms"))
        knobs, places = _knobs(rows, ("backend", "precision"), ("tp", "concurrency"))
        noise = np.tile(_INFERENCEX_NOISE, (len(rows), 1))
        surface = _Surface(knobs, places, _column(rows, "out_tok_s_gpu"), limited, noise)
        for tightness, share in _INFERENCEX_TIGHTNESS.items():
            shares = (min(share + 0.15, 0.95), share)
            limits = np.array([np.quantile(values, at) for values, at in zip(limited.T, shares, strict=True)])
            problems.append(_problem("inferencex", f"{grid}|{tightness}", surface, limits))
    return [each for each in problems if each is not None]


def llmpilot(folder: Path) -> list[Problem]:
    """Return the problems of LLM-Pilot. Raises UnfitFileError."""
    needed = ("model", "gpu_type", "n_gpus", "users", "tput_tok_s", "ttft_p95", "itl_p95", "usd_per_h", "err_rate")
    measured = ("tput_tok_s", "ttft_p95", "itl_p95")
    windows = _windows(folder, measured)
    problems = []
    for model, every in _groups(_rows(folder, LLMPILOT, needed), lambda row: row["model"]):
        whole = [
            rows for _, rows in _groups(every, _profile) if len({row["users"] for row in rows}) == _LLMPILOT_USER_LEVELS
        ]
        if len(whole) < _LLMPILOT_FEWEST_PROFILES:
            continue
        rows = [{**row, "profile": _profile(row)} for profile in whole for row in profile]
        knobs, places = _knobs(rows, ("profile",), ("users",))
        objective = 3600.0 * _column(rows, "tput_tok_s") / _column(rows, "usd_per_h")
        limited = _columns(rows, ("ttft_p95", "itl_p95", "err_rate"))
        noise = np.array([[*_variation(windows[_configuration(row)]), 0.0] for row in rows])
        surface = _Surface(knobs, places, objective, limited, noise)
        for tightness, share in _LLMPILOT_TIGHTNESS.items():
            limits = np.array([*np.quantile(limited[:, :2], share, axis=0), _LLMPILOT_MOST_ERRORS])
            problems.append(_problem("llmpilot", f"{model}|{tightness}", surface, limits))
    return [each for each in problems if each is not None]


def _problem(family: str, name: str, of: _Surface, limits: _Floats) -> Problem | None:
    feasible = np.flatnonzero((of.limited <= limits).all(axis=1))
    if len(of.configurations) < _FEWEST_CONFIGURATIONS or len(feasible) < _FEWEST_FEASIBLE:
        return None
    ranked = feasible[np.argsort(of.objective[feasible], kind="stable")]
    start = int(ranked[int(_START_QUANTILE * (len(ranked) - 1))])
    return Problem(family, name, of.knobs, of.configurations, limits, start, of.objective, of.limited, of.noise)


def _knobs(
    rows: Sequence[_Row], words: Sequence[str], numbers: Sequence[str]
) -> tuple[tuple[Knob, ...], NDArray[np.int64]]:
    """Return the knobs with more than one level, and each row's levels."""
    knobs = [Knob(name, tuple(sorted({row[name] for row in rows}))) for name in words]
    knobs += [Knob(name, tuple(sorted(set(_column(rows, name).tolist())))) for name in numbers]
    knobs = [knob for knob in knobs if len(knob.levels) > 1]
    places = [
        [knob.levels.index(float(row[knob.name]) if knob.ordered else row[knob.name]) for row in rows] for knob in knobs
    ]
    return tuple(knobs), np.array(places, dtype=np.int64).T


def _windows(folder: Path, measured: Sequence[str]) -> dict[tuple[str, ...], list[_Row]]:
    found: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
    for row in _rows(folder, LLMPILOT_WINDOWS, ("model", "gpu_type", "n_gpus", "users", "window", *measured)):
        if int(row["window"]) > 0:  # the first is a warm-up
            found[_configuration(row)].append({name: row[name] for name in measured})
    return found


def _variation(windows: Sequence[_Row]) -> list[float]:
    """Return the coefficients of variation of objective, TTFT and ITL over the windows, within their bounds."""
    found = []
    for name, (low, high) in zip(("tput_tok_s", "ttft_p95", "itl_p95"), _LLMPILOT_NOISE, strict=True):
        values = np.array([float(window[name]) for window in windows if window[name]])
        varies = len(values) > 1 and values.mean() > 0.0
        found.append(float(np.clip(values.std(ddof=1) / values.mean(), low, high)) if varies else low)
    return found


def _profile(row: _Row) -> str:
    return f"{row['n_gpus']}x{row['gpu_type']}"


def _configuration(row: _Row) -> tuple[str, ...]:
    return row["model"], row["gpu_type"], row["n_gpus"], row["users"]


def _column(rows: Sequence[_Row], name: str) -> _Floats:
    try:
        return np.array([float(row[name]) for row in rows])
    except ValueError as error:
        raise UnfitFileError(f"column {name} holds what is no number: {error}") from error


def _columns(rows: Sequence[_Row], names: Sequence[str]) -> _Floats:
    return np.stack([_column(rows, name) for name in names], axis=1)


def _groups(rows: Sequence[_Row], key: Callable[[_Row], str]) -> Iterator[tuple[str, list[_Row]]]:
    groups: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    yield from sorted(groups.items())


def _rows(folder: Path, pattern: str, needed: Sequence[str]) -> list[_Row]:
    """Return the rows of every file whose name fits."""
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise UnfitFileError(f"{folder} has no file {pattern}")
    return [row for path in paths for row in _file(path, needed)]


def _file(path: Path, needed: Sequence[str]) -> list[_Row]:
    with path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        missing = sorted(set(needed) - set(reader.fieldnames or ()))
        if missing:
            raise UnfitFileError(f"{path} has no column {', '.join(missing)}; needed are {', '.join(needed)}")
        return list(reader)
