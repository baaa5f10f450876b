"""How changes of a policy's target are tried: what a person may say of its trials."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trimtab_api.base import ApiModel, Cel, cel
from trimtab_api.quantities import Duration, Ratio


class DesignRule(StrEnum):
    """By which design a change may be tried."""

    AUTO = "Auto"
    PAIRED_CANARY = "PairedCanary"
    SWITCHBACK = "Switchback"
    SURGE = "Surge"


class Approval(StrEnum):
    """Whether a person must approve a trial before it starts."""

    NONE = "None"
    REQUIRED = "Required"


class TrialRules(ApiModel):
    """How a change is tested before it is kept."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "duration(self.window) <= duration(self.maxWindow)",
                "window must not be longer than maxWindow: a trial that needs more than maxWindow ends Inconclusive",
                {"window": "self.window", "maxWindow": "self.maxWindow"},
            ),
            Cel(
                "self.maxViolatingTrials <= self.maxTrials",
                "maxViolatingTrials must not be larger than maxTrials: lower maxViolatingTrials or raise maxTrials",
            ),
        )
    )

    design: DesignRule = Field(
        default=DesignRule.AUTO,
        description="How changes may be tried: Auto, as change and pods allow; else only so: PairedCanary, Switchback "
        "or Surge.",
    )
    window: Duration = Field(default="5m", description="How long both arms are measured before a verdict is tried.")
    max_window: Duration = Field(
        default="30m", description="A trial without a clear answer after this time ends Inconclusive; nothing is kept."
    )
    min_requests: Annotated[int, Field(ge=50, le=10_000_000)] = Field(
        default=500, description="Fewest requests in each arm before a verdict, from 50 to 10000000."
    )
    min_effect: Ratio = Field(
        default="0.05",
        description='Smallest improvement of the goal that is worth a change, in quotes, such as "0.05".',
    )
    max_trials: Annotated[int, Field(ge=0, le=64)] = Field(
        default=8, description="Most trials of one search, from 0 (never try anything) to 64."
    )
    max_violating_trials: Annotated[int, Field(ge=0, le=64)] = Field(
        default=2, description="The search stops after this many trials that breached a guard, from 0 to 64."
    )
    approval: Approval = Field(
        default=Approval.NONE, description="Required: each trial waits until a person sets its spec.approval."
    )
