"""KEDA's cron: a fixed count for each hour, chosen by someone who knew the trace."""

from __future__ import annotations

from dataclasses import dataclass

from bench.scaling.rival import FleetView


@dataclass(frozen=True)
class Settings:
    """From when on how many: seconds of the trace and replicas, in order. The first counts before its time too."""

    schedule: tuple[tuple[float, int], ...]


class Cron:
    """Looks at the clock only."""

    period_seconds = 60.0
    scraped = True

    def __init__(self, settings: Settings) -> None:
        self._schedule = settings.schedule

    def wants(self, view: FleetView) -> int:
        """Return the count of the last entry that began."""
        begun = [replicas for since, replicas in self._schedule if since <= view.now]
        return begun[-1] if begun else self._schedule[0][1]
