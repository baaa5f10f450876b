"""What an engine found in shadow: a change that alters answers, beside the unmodified model, before it answers one."""

from __future__ import annotations

from pydantic import Field

from trimtab_api.base import ApiModel
from trimtab_api.engine_knobs import Knob
from trimtab_api.quantities import PositiveDecimal, Ratio
from trimtab_api.texts import Count, Word


class ShadowedSetting(ApiModel):
    """A setting whose answers an engine compared with those of the unmodified model, on the same captured inputs."""

    setting: Knob = Field(description="The setting.")
    value: Word = Field(description="The value that was asked for.")
    accuracy_low: Ratio = Field(
        description="Lower end of the 95 % interval of the agreement with the unmodified model, where it agreed least."
    )
    min_accuracy: Ratio = Field(description="Least agreement that was asked for.")
    inputs: Count = Field(description="Captured inputs that both answered, and that the change was not chosen by.")
    speedup: PositiveDecimal | None = Field(
        default=None,
        description="How many times as fast as the unmodified model it was timed; absent without a timing.",
    )
