"""No autoscaler: the same count all the time, the best one in hindsight."""

from __future__ import annotations

from dataclasses import dataclass

from bench.scaling.rival import FleetView


@dataclass(frozen=True)
class Settings:
    """The replicas."""

    replicas: int


class Constant:
    """Looks at nothing."""

    period_seconds = 3600.0
    scraped = True

    def __init__(self, settings: Settings) -> None:
        self._replicas = settings.replicas

    def wants(self, view: FleetView) -> int:
        """Return the replicas."""
        return self._replicas
