"""The numbers of the second act in one place, each with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass

TUNED = "minilm-tuned"
"""Name of the second act's Deployment, of its Service and of its policy."""
TUNED_PODS = f"{TUNED}-.+"
"""What the names of its pods match."""
RATE_ANNOTATION = "demo.trimtab.dev/requests-per-second"
"""On the Deployment: the rate that `make demo` offered, so that `make demo-controls` offers the same."""


@dataclass(frozen=True)
class Start:
    """The settings with which an engine starts, as its environment writes them."""

    max_batch_size: int
    max_queue_delay: str
    cache_bytes: str

    def __str__(self) -> str:
        return f"batch size {self.max_batch_size}, queue delay {self.max_queue_delay}, cache {self.cache_bytes}"


POOR = Start(max_batch_size=1, max_queue_delay="0ms", cache_bytes="0")
GOOD = Start(max_batch_size=16, max_queue_delay="5ms", cache_bytes="32Mi")


@dataclass(frozen=True)
class Quality:
    """A number format that may be tried, and the least agreement with the unmodified model that its answers keep."""

    format: str = "Int8"
    min_accuracy: str = "0.98"


@dataclass(frozen=True)
class Bounds:
    """How far a policy may turn each knob, and how often it may try; None leaves batches, cache or format alone.

    `max_queue_delay` belongs to the batches.
    """

    max_batch_size: int | None = 16
    max_queue_delay: str = "10ms"
    cache: str | None = "32Mi"
    quality: Quality | None = None
    max_trials: int = 3


DEMO_BOUNDS = Bounds(max_batch_size=None, cache="16Mi", quality=Quality())
"""The demo's own: its time is enough for the cache and the format. The controls turn batches and name no format."""


@dataclass(frozen=True)
class TuningPlan:
    """How the second act runs."""

    replicas: int = 2
    """Written in the manifest: the policy has no `scaling`, and a paired canary needs a pod to stand beside."""
    cpu_millicores: int = 500
    """CPU limit of a replica in place of the first act's: two fit where three did, and a search is over sooner."""
    queue_limit: int = 64
    """Some seconds of queue: overload shows as late answers and refusals, not as minutes of waiting."""
    overload: float = 1.1
    """Offered rate as a multiple of what both replicas together answer when saturated, as they start."""
    lead_seconds: float = 15.0
    """Traffic before the first measured window: the queues fill."""
    key_offset: int = 18_000
    """Where the recorded keys begin: from here they repeat at once no less than some minutes later."""
    measured_seconds: float = 60.0
    """Length of the windows before and after."""
    search_seconds: float = 390.0
    """Longest time from the policy to the second window."""
    settle_seconds: float = 5.0
    """One scrape between the last change and the second window."""
    verdict_seconds: float = 240.0
    """Aim for the time from the policy to the first verdict."""
    gain: float = 1.5
    """Goodput or p95 must get better by this factor."""
    story_seconds: float = 950.0
    """From the standing cluster to the end of `make demo`: nothing is waited for beyond it."""
    gate_seconds: float = 90.0
    """Of these, what is kept for a number format after the second window: the load goes on until its trial is judged.
    A search takes some 30 s of a whole core and has the idle moments of a replica; the trial then takes a window."""
    tables_seconds: float = 20.0
    """Of these, what the tables take."""

    @property
    def enough_seconds(self) -> float:
        """From the standing cluster on: when the second window begins at the latest, once a change was kept."""
        return self.over_seconds - self.gate_seconds - self.measured_seconds - self.settle_seconds

    @property
    def over_seconds(self) -> float:
        """From the standing cluster on: until when a search is watched."""
        return self.story_seconds - self.tables_seconds

    @property
    def traffic_seconds(self) -> float:
        """Longest time for which the load runs; it is stopped as soon as the second window is over."""
        return self.lead_seconds + 2 * self.measured_seconds + self.search_seconds + self.settle_seconds + 120.0
