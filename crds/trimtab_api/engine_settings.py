"""The settings of a serving engine that Trimtab may change while it runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from trimtab_api.base import ApiModel
from trimtab_api.engine_knobs import Knob
from trimtab_api.quantities import BytesOrZero, Duration, DurationOrZero, Ratio, VariantName

__all__ = ["BatchingRule", "EngineSettings", "Eviction", "Knob", "Quantization"]


class BatchingRule(StrEnum):
    """Who decides when a batch goes."""

    MANUAL = "Manual"
    ADAPTIVE = "Adaptive"


class Eviction(StrEnum):
    """Which answers leave a full cache; Auto takes the rule that hits more often."""

    AUTO = "Auto"
    LRU = "LRU"
    S3FIFO = "S3FIFO"


class Quantization(StrEnum):
    """Number formats of a model's weights; None is the model as it was deployed."""

    NONE = "None"
    INT8 = "Int8"
    FP8 = "FP8"


class EngineSettings(ApiModel):
    """A complete set of engine settings; an absent one is left as the engine started with it."""

    max_batch_size: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, description="Largest number of requests that one model pass may take."
    )
    max_queue_delay: DurationOrZero | None = Field(
        default=None, description='Longest time that a request may wait for others to fill its batch, such as "5ms".'
    )
    cache_memory: BytesOrZero | None = Field(
        default=None, description='Memory budget of the response cache, such as "64Mi"; "0" turns it off.'
    )
    max_batch_tokens: Annotated[int, Field(ge=0, le=2**20)] | None = Field(
        default=None, description="Most tokens that one model pass may take, padding included; 0 sets no limit."
    )
    batching: BatchingRule | None = Field(
        default=None,
        description="Manual: batches go by maxBatchSize and maxQueueDelay. Adaptive: the engine decides within "
        "maxBatchSize and latencyTarget.",
    )
    latency_target: Duration | None = Field(
        default=None, description='Latency within which Adaptive batching may wait for more, such as "100ms".'
    )
    cache_eviction: Eviction | None = Field(
        default=None, description="Which answers leave a full response cache: Auto, LRU or S3FIFO."
    )
    quantization: Quantization | None = Field(
        default=None,
        description="Number format of the weights: None, Int8 or FP8. The engine takes it only where its answers agree "
        "with those of the unmodified model by minAccuracy or more.",
    )
    variant: VariantName | None = Field(
        default=None, description='Which of the models that the engine declares answers; "base" is the original.'
    )
    min_accuracy: Ratio | None = Field(
        default=None, description='Least agreement with the unmodified model for a format or variant, such as "0.98".'
    )
