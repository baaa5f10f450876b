"""What a tick works with, and what it leaves for logs and gauges."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_operator.actuation.events import EventLedger
from trimtab_operator.actuation.execute import Hands
from trimtab_operator.clock import Clock
from trimtab_operator.controllers.recording import Recording
from trimtab_operator.kube.port import Kube
from trimtab_operator.model.action import Step
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.snapshot import Snapshot
from trimtab_operator.observation.observe import Eyes
from trimtab_operator.telemetry import Telemetry


@dataclass(frozen=True)
class World:
    """Clock, ports and their caches; made once by __main__."""

    clock: Clock
    kube: Kube
    eyes: Eyes
    events: EventLedger
    hands: Hands
    telemetry: Telemetry
    recording: Recording | None = None


@dataclass(frozen=True)
class Tick:
    """One tick, done."""

    snapshot: Snapshot
    analysis: Analysis
    step: Step
