"""The settings of a serving engine that Trimtab may change while it runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trimtab_api.base import ApiModel
from trimtab_api.engine_knobs import Knob
from trimtab_api.quantities import BytesOrZero, DurationOrZero

__all__ = ["EngineSettings", "Knob"]


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
