"""A rival at the simulated fleet: it sees what its kind sees, at its own period, and has as many replicas as nodes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from bench.scaling.rival import FleetView, PodView, Rival, Traffic
from trimtab_replay.answers import Answers
from trimtab_replay.fleet import Fleet, SimulatedPod
from trimtab_replay.run import SCRAPE_SECONDS, Wanted
from trimtab_replay.scrape import Scrapes

REMEMBERED_SECONDS = 3600.0


@dataclass(frozen=True)
class _Mark:
    at: float
    arrived: int
    ended: int


class RivalController:
    """Shows the fleet to a rival, and asks for what it wants."""

    def __init__(self, rival: Rival) -> None:
        self._rival = rival
        self._marks: deque[_Mark] = deque()
        self._scraped: dict[str, PodView] = {}
        self._scraped_at = -np.inf

    def tick(self, fleet: Fleet, _scrapes: Scrapes) -> Wanted:
        """Look and decide."""
        self._mark(fleet)
        live = {pod.name: _view(fleet, pod) for pod in fleet.pods if pod.draining_since is None}
        if fleet.now - self._scraped_at >= SCRAPE_SECONDS:
            self._scraped, self._scraped_at = live, fleet.now
        shown = (
            tuple(self._scraped.get(name, pod) for name, pod in live.items()) if self._rival.scraped else live.values()
        )
        first, last = fleet.arrived - fleet.gateway_waiting, fleet.arrived
        view = FleetView(
            now=fleet.now,
            wanted=fleet.replicas,
            pods=tuple(shown),
            gateway_waiting=last - first,
            gateway_prompt_tokens=fleet.prompt_tokens(first, last),
            traffic=lambda seconds: self._traffic(fleet, seconds),
        )
        wanted = min(fleet.plan.nodes, max(1, self._rival.wants(view)))
        return Wanted(wanted, "", self._rival.period_seconds)

    def _mark(self, fleet: Fleet) -> None:
        self._marks.append(_Mark(fleet.now, fleet.arrived, fleet.ended))
        while self._marks[0].at < fleet.now - REMEMBERED_SECONDS:
            self._marks.popleft()

    def _traffic(self, fleet: Fleet, seconds: float) -> Traffic:
        since = next(mark for mark in self._marks if mark.at >= fleet.now - seconds)
        span = max(fleet.now - since.at, 1e-9)
        found: Answers = fleet.answers(since.ended)
        mean_prompt, mean_output = (
            float(each.mean()) if len(found) else 0.0 for each in (found.prompt_tokens, found.output_tokens)
        )
        return Traffic(
            (fleet.arrived - since.arrived) / span,
            len(found) / span,
            mean_prompt,
            mean_output,
            found.ttft_seconds,
            found.tpot_seconds,
        )


def _view(fleet: Fleet, pod: SimulatedPod) -> PodView:
    return PodView(
        pod.name,
        pod.created_at,
        pod.ready_at is not None,
        fleet.waiting(pod),
        fleet.running(pod),
        fleet.kv_tokens(pod),
        fleet.kv_ratio(pod),
    )
