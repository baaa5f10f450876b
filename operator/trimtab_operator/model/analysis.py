"""What a snapshot means: trust, attainment, bottleneck, capacity, baseline. Values carry their evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from trimtab_api.findings import BottleneckKind, Measure, TrendSpan
from trimtab_api.objectives import ObjectiveName
from trimtab_operator.model.past import Trends
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.slope import Slope


@dataclass(frozen=True)
class Evidence:
    """One measured fact: the query that gave it, the value with its unit, when, and on how many requests it rests."""

    signal: Signal
    query: str
    value: float
    unit: str
    at: float
    samples: int | None = None


@dataclass(frozen=True)
class Trust:
    """May this snapshot be acted upon? `reason` is a reason of the condition MetricsTrusted."""

    trusted: bool
    reason: str
    message: str


class Attainment(StrEnum):
    """State of one objective."""

    MET = "Met"
    VIOLATED = "Violated"
    NOT_MEASURED = "NotMeasured"


@dataclass(frozen=True)
class BurnRate:
    """Share of bad requests over the allowed share, over a short and a long window; None where it was not measured.

    `lasting` says that both are above 1 by more than chance.
    """

    short: float | None
    long: float | None
    lasting: bool = False


@dataclass(frozen=True)
class Miss:
    """When (unix seconds) an objective that is met will be missed, by its trend over this time."""

    at: float
    over: TrendSpan
    slope: Slope


@dataclass(frozen=True)
class ObjectiveResult:
    """One objective of the policy, measured.

    `value`, `limit`, `low` and `high` (the 95 % interval of the value) share the objective's unit; `uncertainty_ratio`
    is the relative half-width that the measurement cannot resolve (bucket width, counting noise). `margin_ratio` is
    the distance from the limit over the limit, negative on the wrong side; `confidence` how sure the attainment is.
    """

    name: ObjectiveName
    guard: bool
    attainment: Attainment
    limit: float
    value: float | None = None
    reason: str = ""
    samples: int | None = None
    uncertainty_ratio: float = 0.0
    low: float | None = None
    high: float | None = None
    margin_ratio: float | None = None
    confidence: float | None = None
    burn: BurnRate | None = None
    miss: Miss | None = None


@dataclass(frozen=True)
class ScorecardRow:
    """One measure of the scorecard, against the policy's own objective or the project's reference.

    `trends` is empty where none could be taken at all; `errors` are shares of all requests by reason, largest first.
    """

    measure: Measure
    attainment: Attainment
    reference: float | None
    unit: str
    value: float | None = None
    reason: str = ""
    samples: int | None = None
    uncertainty_ratio: float = 0.0
    trends: Trends = field(default_factory=dict)
    errors: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Stage:
    """The GPUs of a replica (counted from 0) that limit it, how active they are and the fullest of the others; 0..1."""

    gpus: tuple[int, ...]
    active_ratio: float
    others_ratio: float

    @property
    def name(self) -> str:
        """Name the GPUs as a person counts them in the container."""
        numbers = ", ".join(map(str, self.gpus))
        return f"GPUs {numbers}" if len(self.gpus) > 1 else f"GPU {numbers}"


@dataclass(frozen=True)
class Bottleneck:
    """The limiting resource with its evidence; confidence 0..1."""

    kind: BottleneckKind
    confidence: float
    evidence: tuple[Evidence, ...]
    runner_up: BottleneckKind | None = None
    parts: tuple[tuple[str, float], ...] = ()  # costliest kinds of layers with their shares of a pass, largest first
    stage: Stage | None = None


@dataclass(frozen=True)
class Constraint:
    """Something that may not change now, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Load:
    """Load in replicas that it would just fill with the objectives just met, for runtimes that batch continuously.

    `peak_replicas` is the largest of the stabilisation time, None unless data covers all of it. `headroom` is how many
    times the load to keep ready, `full_sequences` what one replica carries.
    """

    replicas: float
    peak_replicas: float | None
    headroom: float
    full_sequences: float


@dataclass(frozen=True)
class Capacity:
    """Load and what one replica carries, in requests per second; `utilization_ratio` 1 means the scarcest is full.

    Demand counts every request that was offered, and the backlog that must be drained; None where the runtime does not
    count requests. Peaks are the largest values within the stabilisation time, None unless data covers all of it.
    `memory_pressure_ratio` is GPU memory in use over the objective's limit, None without such an objective. `load` is
    None where the use of a replica is linear in its load.
    """

    demand_rps: float | None
    demand_peak_rps: float | None
    per_replica_rps: float | None
    utilization_ratio: float
    binding: str
    evidence: tuple[Evidence, ...]
    utilization_peak_ratio: float | None = None
    memory_pressure_ratio: float | None = None
    load: Load | None = None


@dataclass(frozen=True)
class WorseReplica:
    """A pod that is worse than its siblings: how many times theirs it takes, and its robust z score."""

    pod: str
    ratio: float
    score: float


@dataclass(frozen=True)
class Peak:
    """The largest value of a signal in the window, and when."""

    signal: Signal
    value: float
    unit: str
    at: float


@dataclass(frozen=True)
class Baseline:
    """What is normal: the scorecard over a window, with sample counts and peaks. Times are unix seconds.

    `samples` is the number of instants in the window; `means` are the means of the signals over it, `lengths` the
    medians of the tokens of inputs and answers.
    """

    start: float
    end: float
    requests: int
    rows: tuple[ScorecardRow, ...]
    peaks: tuple[Peak, ...]
    objectives: tuple[ObjectiveResult, ...] = ()
    samples: int = 0
    means: dict[Signal, float] = field(default_factory=dict)
    lengths: dict[Signal, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Drift:
    """A length that requests no longer have: its median in the baseline, and over the last window; tokens."""

    signal: Signal
    before: float
    now: float


@dataclass(frozen=True)
class Analysis:
    """All that the decision needs to know."""

    trust: Trust
    objectives: tuple[ObjectiveResult, ...]
    scorecard: tuple[ScorecardRow, ...]
    bottleneck: Bottleneck | None
    constraints: tuple[Constraint, ...]
    capacity: Capacity | None
    baseline: Baseline | None  # only while the policy has none
    coverage_seconds: float  # how much of the observation window holds data
    worse_replicas: tuple[WorseReplica, ...] = ()
    drift: Drift | None = None  # of the load since the policy's baseline was taken

    @property
    def worse_pods(self) -> frozenset[str]:
        """Names of the pods that are worse than their siblings."""
        return frozenset(each.pod for each in self.worse_replicas)
