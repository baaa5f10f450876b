"""What the rules of trust, objectives, scorecard and bottleneck look at; what several of them need is reckoned once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from trimtab_api.objectives import ObjectiveName
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis import pods
from trimtab_operator.model.analysis import Attainment, Capacity
from trimtab_operator.model.signals import Buckets, Distribution, Signal
from trimtab_operator.model.snapshot import Snapshot


@dataclass(frozen=True)
class Seen:
    """A tick, or the whole observation window (other distributions)."""

    snapshot: Snapshot
    policy: OptimizationPolicy
    distributions: Mapping[Signal, Distribution]
    capacity: Capacity | None

    @cached_property
    def merged(self) -> dict[Signal, Buckets]:
        """Each histogram merged over the serving pods; none of those without data or without requests."""
        found = {signal: pods.requests(each, self.snapshot) for signal, each in self.distributions.items()}
        return {signal: buckets for signal, buckets in found.items() if buckets is not None}

    @cached_property
    def recent_requests(self) -> float | None:
        """Requests behind a recent mean; None where they were not counted. Most rows of the scorecard ask for it."""
        rate = pods.recent(self.snapshot, Signal.REQUESTS_PER_SECOND)
        if rate is None:
            return None
        reading = self.snapshot.readings.get(Signal.REQUESTS_PER_SECOND)
        has_series = bool(self.snapshot.history.get(Signal.REQUESTS_PER_SECOND))
        return max(0.0, rate) * (pods.RECENT_SECONDS if has_series or reading is None else reading.window_seconds)

    def before(self, name: ObjectiveName) -> Attainment | None:
        """Return how this objective stood in status, None if it was not measured."""
        for result in self.policy.status.objectives:
            if result.name is name and result.met.value != Attainment.NOT_MEASURED:
                return Attainment(result.met.value)
        return None
