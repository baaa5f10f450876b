"""What Discovery and Analysis find: baseline, bottleneck, constraints, objective and scorecard rows, saving."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from trimtab_api.base import ApiModel, list_map
from trimtab_api.objectives import ObjectiveName
from trimtab_api.quantities import Ratio, SignedDecimal
from trimtab_api.texts import Count, Query, Sentence, Word


class BottleneckKind(StrEnum):
    """What limits a target."""

    QUEUE = "Queue"
    COMPUTE = "Compute"
    MEMORY_BANDWIDTH = "MemoryBandwidth"
    KV_CAPACITY = "KvCapacity"
    GPU_MEMORY = "GpuMemory"
    CPU = "Cpu"
    NETWORK = "Network"
    POWER_THROTTLE = "PowerThrottle"
    UNDERUSED = "Underused"
    NONE = "None"


class ObjectiveState(StrEnum):
    """Whether an objective is met."""

    MET = "Met"
    VIOLATED = "Violated"
    NOT_MEASURED = "NotMeasured"


class ScoreState(StrEnum):
    """Whether a reference of the scorecard is met."""

    MET = "Met"
    MISSED = "Missed"
    NOT_MEASURED = "NotMeasured"


class Measure(StrEnum):
    """The rows of the scorecard."""

    GPU_UTILIZATION = "GpuUtilization"
    GPU_MEMORY = "GpuMemory"
    LATENCY_P95 = "LatencyP95"
    RESPONSE_TIME_P95 = "ResponseTimeP95"
    THROUGHPUT = "Throughput"
    ACCURACY = "Accuracy"
    RESOURCE_UTILIZATION = "ResourceUtilization"
    ERRORS = "Errors"
    SATISFACTION = "Satisfaction"
    CACHE_HITS = "CacheHits"
    ENERGY_PER_REQUEST = "EnergyPerRequest"
    COST_PER_REQUEST = "CostPerRequest"
    ENERGY_EFFICIENCY = "EnergyEfficiency"


class TrendSpan(StrEnum):
    """Over how long a trend is taken."""

    HOUR = "1h"
    DAY = "1d"
    WEEK = "7d"


class SavingReference(StrEnum):
    """What a saving is measured against."""

    BASELINE = "Baseline"
    MAX_REPLICAS = "MaxReplicas"


class Evidence(ApiModel):
    """One measurement behind a statement."""

    signal: Word = Field(description="Name of the signal.")
    query: Query = Field(default="", description="The PromQL that was sent; empty where none was needed.")
    value: SignedDecimal | None = Field(default=None, description="Its value; absent where there was no data.")
    unit: Word = Field(description="Unit of the value, such as seconds, bytes or ratio.")
    at: AwareDatetime = Field(description="Time that the value speaks about.")
    samples: Count = Field(default=0, description="Samples behind the value.")


class Peak(ApiModel):
    """The largest value of a signal in a window."""

    signal: Word = Field(description="Name of the signal.")
    value: SignedDecimal = Field(description="The largest value.")
    unit: Word = Field(description="Unit of the value.")
    at: AwareDatetime = Field(description="When it was seen.")


class BurnRate(ApiModel):
    """Share of requests that miss an objective over the share that may: 1 uses up exactly what is allowed."""

    short: SignedDecimal | None = Field(default=None, description="Over five minutes; absent where not measured.")
    long: SignedDecimal | None = Field(default=None, description="Over an hour; absent where not measured.")
    lasting: bool = Field(default=False, description="Whether both are above 1 by more than chance.")


class ObjectiveResult(ApiModel):
    """One of the policy's own objectives, measured."""

    name: ObjectiveName = Field(description="Name of the field in spec.objectives.")
    value: Word | None = Field(default=None, description="Measured value with its unit; absent where not measured.")
    limit: Word = Field(description="The policy's limit.")
    met: ObjectiveState = Field(description="Met, Violated, or NotMeasured with the reason.")
    reason: Sentence = Field(default="", description="Why it stands so; always given for NotMeasured.")
    samples: Count = Field(default=0, description="Requests or samples behind the value.")
    low: Word | None = Field(
        default=None, description="Lower end of the 95 % interval of the value; absent if unknown."
    )
    high: Word | None = Field(default=None, description="Upper end of it; absent where nothing bounds the value.")
    margin_ratio: SignedDecimal | None = Field(
        default=None, description="Distance of the value from the limit over the limit; negative on the wrong side."
    )
    confidence: Ratio | None = Field(
        default=None, description="How sure it is that the objective stands so, for objectives on shares of requests."
    )
    burn_rate: BurnRate | None = Field(
        default=None, description="How fast what is allowed is used up, for objectives on shares of requests."
    )
    will_miss_at: AwareDatetime | None = Field(
        default=None, description="When the limit is reached if its trend goes on; absent where none leads there."
    )
    since: AwareDatetime | None = Field(default=None, description="Since when it stands so.")


class Trend(ApiModel):
    """How a measure went over a time: a robust line through its equal steps, in the unit of the value."""

    over: TrendSpan = Field(description="Over how long.")
    per_hour: SignedDecimal = Field(description="Change per hour.")
    low: SignedDecimal = Field(description="Lower end of the 99 % interval of that change.")
    high: SignedDecimal = Field(description="Upper end of it.")


class ErrorShare(ApiModel):
    """One kind of errors."""

    reason: Word = Field(description="Reason as the runtime names it, such as rejected, expired or 503.")
    ratio: Ratio = Field(description="Share of all requests, over five minutes.")


class ScorecardRow(ApiModel):
    """One measure that is taken for every policy."""

    measure: Measure = Field(description="What is measured.")
    value: Word | None = Field(default=None, description="Measured value with its unit; absent where not measured.")
    reference: Word = Field(description="The target: the policy's own objective, else the charter's reference.")
    state: ScoreState = Field(description="Met, Missed, or NotMeasured with the reason.")
    reason: Sentence = Field(default="", description="Why it stands so; always given for NotMeasured.")
    samples: Count = Field(default=0, description="Requests or samples behind the value.")
    since: AwareDatetime | None = Field(default=None, description="Since when it stands so.")
    trends: Annotated[tuple[Trend, ...], Field(max_length=3)] = Field(
        default=(), description="How it went over an hour, a day and a week.", json_schema_extra=list_map("over")
    )
    trend_reason: Sentence = Field(default="", description="Why a trend is absent.")
    errors: Annotated[tuple[ErrorShare, ...], Field(max_length=8)] = Field(
        default=(), description="Errors by reason, largest first.", json_schema_extra=list_map("reason")
    )


class Baseline(ApiModel):
    """What is normal, over one window."""

    from_: AwareDatetime = Field(alias="from", description="Start of the window.")
    to: AwareDatetime = Field(description="End of the window.")
    requests: Count = Field(description="Requests answered in the window.")
    samples: Count = Field(default=0, description="Looks at the target in the window.")
    replicas: SignedDecimal | None = Field(default=None, description="Mean number of replicas.")
    requests_per_second: SignedDecimal | None = Field(default=None, description="Mean throughput.")
    gpu_utilization_ratio: Ratio | None = Field(default=None, description="Mean GPU utilization.")
    cpu_utilization_ratio: Ratio | None = Field(default=None, description="Mean CPU use against the limit.")
    gpu_memory_ratio: Ratio | None = Field(default=None, description="Mean share of GPU memory in use.")
    cache_hit_ratio: Ratio | None = Field(default=None, description="Share of requests answered from the cache.")
    input_tokens: SignedDecimal | None = Field(
        default=None, description="Usual tokens of an input that the model was run on."
    )
    output_tokens: SignedDecimal | None = Field(
        default=None, description="Usual tokens that were generated for a request."
    )
    joules_per_request: SignedDecimal | None = Field(default=None, description="GPU energy per answered request.")
    cost_per_hour: SignedDecimal | None = Field(default=None, description="Cost per hour in spec.cost.currency.")
    cost_per_thousand_requests: SignedDecimal | None = Field(
        default=None, description="Cost of a thousand answered requests in spec.cost.currency."
    )
    objectives: Annotated[tuple[ObjectiveResult, ...], Field(max_length=16)] = Field(
        default=(), description="The objectives over the window.", json_schema_extra=list_map("name")
    )
    peaks: Annotated[tuple[Peak, ...], Field(max_length=16)] = Field(
        default=(), description="Largest values of the window with their times.", json_schema_extra=list_map("signal")
    )


class LayerPart(ApiModel):
    """A kind of layers of the model, and what of a pass it takes."""

    kind: Word = Field(description="Path of the layers in the model, without the numbers of a stack.")
    time_ratio: Ratio = Field(description="Share of the time of a pass, from the engine's last profile.")


class Stage(ApiModel):
    """GPUs of a replica that are clearly fuller than its others."""

    name: Word = Field(description="The GPUs, counted from 0 in each replica, such as GPU 3.")
    active_ratio: Ratio = Field(description="How active they are.")
    others_ratio: Ratio = Field(description="How active the fullest of the others is.")


class Bottleneck(ApiModel):
    """What limits the target, with evidence."""

    kind: BottleneckKind = Field(description="What limits the target.")
    confidence: Ratio = Field(description="How sure this is, from 0 to 1.")
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=8)] = Field(
        default=(), description="The measurements behind it."
    )
    parts: Annotated[tuple[LayerPart, ...], Field(max_length=8)] = Field(
        default=(),
        description="The costliest kinds of layers, where passes through the model are what limits and an engine has "
        "profiled it.",
        json_schema_extra=list_map("kind"),
    )
    stage: Stage | None = Field(
        default=None, description="The stage that limits, where replicas spread over several GPUs as a pipeline."
    )
    runner_up: BottleneckKind | None = Field(default=None, description="The next most likely.")
    since: AwareDatetime = Field(description="Since when.")


class Constraint(ApiModel):
    """Something that may not or cannot change."""

    name: Word = Field(description="What may not change, as one word, such as QuantizationNotAvailable.")
    reason: Sentence = Field(description="Why, and what would lift it.")


SETTINGS_HELD = frozenset(
    {
        "NoTokenVolume",
        "NeedsTwoReplicas",
        "NoRoomForSurge",
        "RuledOutByDesign",
        "TooLittleLoad",
        "SettingsDiffer",
        "TooLittleTraffic",
        "TrialWindowTooShort",
        "RolledBackByUser",
        "RollbackTargetUnknown",
        "SearchEnded",
    }
)
"""Names of the constraints that say why no settings are tried, until somebody or something changes."""


class Saving(ApiModel):
    """What the policy saves."""

    ratio: SignedDecimal = Field(description="Share of the reference cost that is saved; negative if it costs more.")
    against: SavingReference = Field(description="What it is measured against.")
    since: AwareDatetime | None = Field(default=None, description="Start of the time that it speaks about.")
