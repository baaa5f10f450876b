"""What a policy allows to be turned, and how far."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from trimtab_api.base import ApiModel, Cel, cel, list_set
from trimtab_api.engine_settings import Quantization
from trimtab_api.quantities import Bytes, Duration


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


class DurationLimit(ApiModel):
    """Upper bound of a duration."""

    max: Duration = Field(description='Longest value to try, such as "20ms".')


class BytesLimit(ApiModel):
    """Upper bound of a size."""

    max: Bytes = Field(description='Largest value to try, such as "512Mi".')


class Batching(ApiModel):
    """How requests are put together for one model pass."""

    max_batch_size: BatchSizeRange | None = Field(
        default=None, description="Bounds of the largest batch. Absent: the batch size is left alone."
    )
    max_queue_delay: DurationLimit | None = Field(
        default=None, description="Bound of the time to wait for a fuller batch. Absent: left alone."
    )


class Cache(ApiModel):
    """The engine's response cache."""

    memory: BytesLimit | None = Field(
        default=None, description="Bound of the cache's memory in each replica. Absent: left alone."
    )


class QuantizationChoice(ApiModel):
    """Number formats that may be tried."""

    allowed: Annotated[tuple[Quantization, ...], Field(min_length=1, max_length=3)] = Field(
        description="Formats that may be tried: None, Int8, FP8. In mode Apply anything but None needs accuracyRatio.",
        json_schema_extra=list_set(),
    )


class Knobs(ApiModel):
    """Everything that is not listed is left alone."""

    batching: Batching | None = Field(default=None, description="How requests are batched.")
    cache: Cache | None = Field(default=None, description="The response cache.")
    quantization: QuantizationChoice | None = Field(
        default=None,
        description="Number formats of the weights. Engines that cannot change them yet are reported in "
        "status.constraints as QuantizationNotAvailable.",
    )
