"""A played policy as one self-contained HTML page: load, replicas, latencies against their limits, every decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import jinja2

from trimtab_api.policy import OptimizationPolicy
from trimtab_replay.outcome import Outcome
from trimtab_replay.run import Played

WIDTH, HEIGHT = 900, 160
Points = Sequence[tuple[float, float]]
_PAGE = Path(__file__).with_name("report.html.j2")


def page(policy: OptimizationPolicy, outcome: Outcome, played: Played) -> str:
    """Return the page."""
    minutes = max(outcome.course.minutes[-1], 1.0)
    template = jinja2.Environment(autoescape=True).from_string(_PAGE.read_text(encoding="utf-8"))
    return template.render(
        title=f"{policy.metadata.name}: a replay",
        outcome=outcome,
        plots=[_load(outcome, minutes), _replicas(played, minutes), *_latencies(outcome, minutes)],
        scalings=played.scalings,
        minutes=minutes,
        width=WIDTH,
        height=HEIGHT,
    )


def _load(outcome: Outcome, minutes: float) -> dict[str, object]:
    course = outcome.course
    points = list(zip(course.minutes, (each / 60.0 for each in course.requests), strict=True))
    return _plot("Requests per second", minutes, {"requests per second": (points, "#06c", False)})


def _replicas(played: Played, minutes: float) -> dict[str, object]:
    asked = _steps([(at / 60.0, float(wanted)) for at, wanted, _ in played.replicas])
    serving = _steps([(at / 60.0, float(ready)) for at, _, ready in played.replicas])
    return _plot("Replicas", minutes, {"asked for": (asked, "#999", True), "serving": (serving, "#080", False)})


def _latencies(outcome: Outcome, minutes: float) -> list[dict[str, object]]:
    plots = []
    for each in outcome.attained:
        found = zip(outcome.course.minutes, outcome.course.percentiles[each.name], strict=True)
        points = [(minute, value) for minute, value in found if not math.isnan(value)]
        limit = [(0.0, each.limit_seconds), (minutes, each.limit_seconds)]
        name = f"p{100 * each.wanted:g} of {each.name} by minute"
        plots.append(
            _plot(f"{name}, seconds", minutes, {name: (points, "#c60", False), "limit": (limit, "#b00", True)})
        )
    return plots


def _plot(title: str, minutes: float, lines: dict[str, tuple[Points, str, bool]]) -> dict[str, object]:
    top = max((value for points, _, _ in lines.values() for _, value in points), default=0.0) or 1.0
    drawn = [
        {"name": name, "colour": colour, "dashed": dashed, "points": _drawn(points, minutes, top)}
        for name, (points, colour, dashed) in lines.items()
    ]
    return {"title": title, "top": f"{top:.3g}", "lines": drawn}


def _drawn(points: Points, minutes: float, top: float) -> str:
    return " ".join(f"{WIDTH * x / minutes:.1f},{HEIGHT * (1.0 - y / top) + 2:.1f}" for x, y in points)


def _steps(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a line that holds each value until the next."""
    corners = points[:1]
    for (_, before), (at, after) in pairwise(points):
        corners += [(at, before), (at, after)]
    return corners
