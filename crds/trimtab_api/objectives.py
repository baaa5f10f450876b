"""What a policy must keep while it pursues its goal. Guards can abort a change; efficiency objectives only rank."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trimtab_api.base import ApiModel, Cel, cel
from trimtab_api.quantities import Duration, PositiveDecimal, Ratio


class ObjectiveName(StrEnum):
    """The objectives, by the names of their fields in spec.objectives."""

    LATENCY = "latency"
    TIME_TO_FIRST_TOKEN = "timeToFirstToken"  # noqa: S105 - a measure, not a secret
    INTER_TOKEN_LATENCY = "interTokenLatency"  # noqa: S105 - a measure, not a secret
    ERROR_RATIO = "errorRatio"
    ACCURACY_RATIO = "accuracyRatio"
    GPU_MEMORY_RATIO = "gpuMemoryRatio"
    SATISFACTION_RATIO = "satisfactionRatio"
    GPU_UTILIZATION_RATIO = "gpuUtilizationRatio"
    REQUESTS_PER_SECOND = "requestsPerSecond"
    CACHE_HIT_RATIO = "cacheHitRatio"
    JOULES_PER_REQUEST = "joulesPerRequest"
    COST_PER_THOUSAND_REQUESTS = "costPerThousandRequests"


GUARDS = frozenset(
    {
        ObjectiveName.LATENCY,
        ObjectiveName.TIME_TO_FIRST_TOKEN,
        ObjectiveName.INTER_TOKEN_LATENCY,
        ObjectiveName.ERROR_RATIO,
        ObjectiveName.ACCURACY_RATIO,
        ObjectiveName.GPU_MEMORY_RATIO,
        ObjectiveName.SATISFACTION_RATIO,
    }
)
"""Objectives whose breach can abort or roll back a change; all others only rank candidates and are reported."""


class LatencyObjective(ApiModel):
    """A percentile of a duration that must stay at or below a limit."""

    percentile: Annotated[int, Field(ge=50, le=99)] = Field(
        default=95, description="The percentile that is held below max, from 50 to 99."
    )
    max: Duration = Field(description='Longest acceptable duration at that percentile, such as "200ms".')


class MaxRatio(ApiModel):
    """A share that must stay at or below a limit."""

    max: Ratio = Field(description='Largest acceptable share from 0 to 1, in quotes, such as "0.01".')


class MinRatio(ApiModel):
    """A share that must stay at or above a limit."""

    min: Ratio = Field(description='Smallest acceptable share from 0 to 1, in quotes, such as "0.95".')


class SatisfactionObjective(ApiModel):
    """Apdex: satisfied requests count 1, those within four times the threshold 1/2, all others 0."""

    min: Ratio = Field(description='Smallest acceptable Apdex score from 0 to 1, in quotes, such as "0.95".')
    satisfied_within: Duration = Field(description='A request is satisfied within this time, such as "200ms".')


class MinDecimal(ApiModel):
    """A quantity that must stay at or above a limit."""

    min: PositiveDecimal = Field(description='Smallest acceptable value, in quotes, such as "0.3".')


class MaxDecimal(ApiModel):
    """A quantity that must stay at or below a limit."""

    max: PositiveDecimal = Field(description='Largest acceptable value, in quotes, such as "1.00".')


_GUARD = "Guard: a breach can abort a trial or roll back a change."
_EFFICIENCY = "Efficiency: ranks candidates and is reported; never aborts and never rolls back."


class Objectives(ApiModel):
    """All optional; the goal is pursued only inside of them."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "!has(self.latency) || !has(self.timeToFirstToken) || duration(self.timeToFirstToken.max) <= "
                "duration(self.latency.max)",
                "timeToFirstToken.max must not be longer than latency.max: the whole request includes its first token",
                {"timeToFirstToken.max": "self.timeToFirstToken.max", "latency.max": "self.latency.max"},
            )
        )
    )

    latency: LatencyObjective | None = Field(
        default=None, description=f"Time of a whole request, queueing included. {_GUARD}"
    )
    time_to_first_token: LatencyObjective | None = Field(
        default=None, description=f"Time to the first generated token (runtimes that report it, as vLLM). {_GUARD}"
    )
    inter_token_latency: LatencyObjective | None = Field(
        default=None, description=f"Time between generated tokens (runtimes that report it, as vLLM). {_GUARD}"
    )
    error_ratio: MaxRatio | None = Field(default=None, description=f"Share of requests that fail. {_GUARD}")
    accuracy_ratio: MinRatio | None = Field(
        default=None,
        description=f"Agreement of answers with those of the unmodified model; needed before quantization. {_GUARD}",
    )
    gpu_memory_ratio: MaxRatio | None = Field(default=None, description=f"Share of GPU memory in use. {_GUARD}")
    satisfaction_ratio: SatisfactionObjective | None = Field(
        default=None, description=f"Apdex score of the request latency. {_GUARD}"
    )
    gpu_utilization_ratio: MinRatio | None = Field(
        default=None, description=f"Share of time in which the assigned GPUs work. {_EFFICIENCY}"
    )
    requests_per_second: MinDecimal | None = Field(
        default=None, description=f"Requests per second that the target can serve, as capacity. {_EFFICIENCY}"
    )
    cache_hit_ratio: MinRatio | None = Field(
        default=None, description=f"Share of requests answered from the response cache. {_EFFICIENCY}"
    )
    joules_per_request: MaxDecimal | None = Field(
        default=None, description=f"GPU energy per answered request in joules. {_EFFICIENCY}"
    )
    cost_per_thousand_requests: MaxDecimal | None = Field(
        default=None,
        description=f"Cost of a thousand answered requests in spec.cost.currency; needs spec.cost. {_EFFICIENCY}",
    )
