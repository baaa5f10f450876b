"""What a policy allows to be turned, and how far."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from trimtab_api.base import ApiModel, Cel, cel, list_set
from trimtab_api.engine_settings import BatchingRule, Eviction, Quantization
from trimtab_api.quantities import Bytes, Duration, VariantName


class BatchSizeRange(ApiModel):
    """Bounds of the largest batch."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "self.min <= self.max",
                "min must not be larger than max: lower min or raise max",
            )
        )
    )

    min: Annotated[int, Field(ge=1, le=1024)] = Field(default=1, description="Smallest value to try, from 1 to 1024.")
    max: Annotated[int, Field(ge=1, le=1024)] = Field(description="Largest value to try, from 1 to 1024.")


class TokensRange(ApiModel):
    """Bounds of the tokens in one model pass."""

    model_config = ConfigDict(
        json_schema_extra=cel(Cel("self.min <= self.max", "min must not be larger than max: lower min or raise max"))
    )

    min: Annotated[int, Field(ge=1, le=2**20)] = Field(
        default=1, description="Smallest limit to try, from 1 to 1048576 tokens."
    )
    max: Annotated[int, Field(ge=1, le=2**20)] = Field(description="Largest limit to try, from 1 to 1048576 tokens.")


class DurationRange(ApiModel):
    """Bounds of a duration."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "duration(self.min) <= duration(self.max)",
                "min must not be longer than max: shorten min or lengthen max",
                {"min": "self.min", "max": "self.max"},
            )
        )
    )

    min: Duration = Field(default="1ms", description='Shortest value to try, such as "50ms".')
    max: Duration = Field(description='Longest value to try, such as "500ms".')


class DurationLimit(ApiModel):
    """Upper bound of a duration."""

    max: Duration = Field(description='Longest value to try, such as "20ms".')


class BytesLimit(ApiModel):
    """Upper bound of a size."""

    max: Bytes = Field(description='Largest value to try, such as "512Mi".')


class BatchingChoice(ApiModel):
    """Rules of batching that may be tried."""

    allowed: Annotated[tuple[BatchingRule, ...], Field(min_length=1, max_length=2)] = Field(
        description="Rules that may be tried: Manual (size and delay as set), Adaptive (the engine, by latencyTarget).",
        json_schema_extra=list_set(),
    )


class Batching(ApiModel):
    """How requests are put together for one model pass."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "!has(self.latencyTarget) || (has(self.rule) && self.rule.allowed.exists(each, each == 'Adaptive'))",
                "latencyTarget is what batching by the rule Adaptive keeps to: list Adaptive in rule.allowed, "
                "or remove latencyTarget",
            )
        )
    )

    max_batch_size: BatchSizeRange | None = Field(
        default=None, description="Bounds of the largest batch. Absent: the batch size is left alone."
    )
    max_queue_delay: DurationLimit | None = Field(
        default=None, description="Bound of the time to wait for a fuller batch. Absent: left alone."
    )
    max_batch_tokens: TokensRange | None = Field(
        default=None,
        description="Bounds of the tokens in one pass, padding included; an engine may start without a limit. "
        "Absent: left alone.",
    )
    rule: BatchingChoice | None = Field(
        default=None, description="Who decides when a batch goes, the settings or the engine. Absent: left alone."
    )
    latency_target: DurationRange | None = Field(
        default=None,
        description="Bounds of the latency within which Adaptive batching may wait for more. Absent: left alone.",
    )


class EvictionChoice(ApiModel):
    """Rules of eviction that may be tried."""

    allowed: Annotated[tuple[Eviction, ...], Field(min_length=1, max_length=3)] = Field(
        description="Rules that may be tried: Auto, LRU, S3FIFO.", json_schema_extra=list_set()
    )


class Cache(ApiModel):
    """The engine's response cache."""

    memory: BytesLimit | None = Field(
        default=None, description="Bound of the cache's memory in each replica. Absent: left alone."
    )
    eviction: EvictionChoice | None = Field(
        default=None, description="Which answers leave a full cache. Absent: left alone."
    )


class QuantizationChoice(ApiModel):
    """Number formats that may be tried."""

    allowed: Annotated[tuple[Quantization, ...], Field(min_length=1, max_length=3)] = Field(
        description="Formats that may be tried: None, Int8, FP8. In mode Apply anything but None needs accuracyRatio.",
        json_schema_extra=list_set(),
    )


class VariantChoice(ApiModel):
    """Models that the engine declares and that may be tried."""

    allowed: Annotated[tuple[VariantName, ...], Field(min_length=1, max_length=8)] = Field(
        description="Names that the engine declares; base is the original. In mode Apply another needs accuracyRatio.",
        json_schema_extra=list_set(),
    )


class Knobs(ApiModel):
    """Everything that is not listed is left alone."""

    batching: Batching | None = Field(default=None, description="How requests are batched.")
    cache: Cache | None = Field(default=None, description="The response cache.")
    quantization: QuantizationChoice | None = Field(
        default=None,
        description="Number formats of the weights. Engines that do not offer to change them are reported in "
        "status.constraints as QuantizationNotAvailable.",
    )
    variants: VariantChoice | None = Field(
        default=None,
        description="Other models that the engine declares. Engines that declare none are reported in "
        "status.constraints as VariantsNotAvailable.",
    )
