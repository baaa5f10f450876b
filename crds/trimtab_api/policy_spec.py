"""What the user asks for: target, goal, mode, bounds and safety rules of an OptimizationPolicy."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from trimtab_api.base import PATTERN_MESSAGE, ApiModel, Cel, cel, immutable, list_set
from trimtab_api.knobs import Knobs
from trimtab_api.objectives import Objectives
from trimtab_api.quantities import Duration, PositiveDecimal
from trimtab_api.texts import LabelName, ObjectName
from trimtab_api.trial_rules import TrialRules


class TargetApiVersion(StrEnum):
    """API versions of targets."""

    APPS_V1 = "apps/v1"


class TargetKind(StrEnum):
    """Kinds of targets."""

    DEPLOYMENT = "Deployment"


class Mode(StrEnum):
    """How far the operator may go."""

    RECOMMEND = "Recommend"
    APPLY = "Apply"
    PAUSED = "Paused"


class Goal(StrEnum):
    """What to make better inside the objectives."""

    MINIMIZE_COST = "MinimizeCost"
    MAXIMIZE_THROUGHPUT = "MaximizeThroughput"
    MINIMIZE_LATENCY = "MinimizeLatency"
    MINIMIZE_ENERGY = "MinimizeEnergy"


class ScaleThrough(StrEnum):
    """How replicas are written."""

    SCALE = "Scale"


class Day(StrEnum):
    """Days of the week."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


class TargetRef(ApiModel):
    """The workload that the policy tunes, in the policy's own namespace."""

    api_version: TargetApiVersion = Field(description="API version of the target: apps/v1.")
    kind: TargetKind = Field(description="Kind of the target: Deployment.")
    name: ObjectName = Field(description="Name of the target.")
    container: LabelName | None = Field(
        default=None, description="The serving container; needed only where the pod has several and none is obvious."
    )


class Scaling(ApiModel):
    """Bounds and pace of the number of replicas."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas must not be larger than maxReplicas: lower minReplicas or raise maxReplicas",
            )
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="Fewest replicas, from 1 to 1000."
    )
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(description="Most replicas, from 1 to 1000.")
    stabilization: Duration = Field(
        default="5m", description="Scale down only to the largest number that was wanted within this time."
    )
    max_step: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4, description="Most replicas added or removed at once, from 1 to 100."
    )
    through: ScaleThrough = Field(
        default=ScaleThrough.SCALE, description="How replicas are written: Scale, the target's scale subresource."
    )


class Observation(ApiModel):
    """How often and over what time the target is measured."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "duration(self.window) >= " + " + ".join(["duration(self.interval)"] * 8),
                "window must be at least 8 times interval: lengthen window or shorten interval",
                {"window": "self.window", "interval": "self.interval"},
            ),
            Cel(
                "duration(self.interval) >= duration('1s')",
                "interval must be at least 1s: lengthen it",
                {"interval": "self.interval"},
            ),
        )
    )

    interval: Duration = Field(default="15s", description="Time between two looks at the target, at least 1s.")
    window: Duration = Field(default="30m", description="Time that a baseline spans; at least 8 times interval.")


_CLOCK_MESSAGE = 'must be a time of day in quotes from "00:00" to "24:00"'
ClockTime = Annotated[
    str,
    Field(
        min_length=5,
        max_length=5,
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        json_schema_extra={PATTERN_MESSAGE: _CLOCK_MESSAGE},
    ),
]


class FreezeWindow(ApiModel):
    """A time in the week in which nothing is changed except to restore safety."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "self.from < self.to",
                'from must be earlier than to: split a window that crosses midnight into two, the first until "24:00"',
                {"from": "self.from", "to": "self.to"},
            )
        )
    )

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)] = Field(
        description="Days on which the window applies: Mon, Tue, Wed, Thu, Fri, Sat, Sun.", json_schema_extra=list_set()
    )
    from_: ClockTime = Field(alias="from", description='Start of the window, in quotes, such as "16:00".')
    to: ClockTime = Field(description='End of the window, in quotes, up to "24:00".')
    time_zone: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$",
            json_schema_extra={PATTERN_MESSAGE: 'must be a time zone name such as "UTC" or "Europe/Berlin"'},
        ),
    ] = Field(default="UTC", description="IANA name of the time zone, such as Europe/Berlin.")


class Cost(ApiModel):
    """Prices by which the cost of the target is reckoned."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "has(self.perGpuHour) || has(self.perCpuHour)",
                'cost needs a price: set perGpuHour, perCpuHour or both, in quotes, such as "2.50"',
            )
        )
    )

    currency: Annotated[
        str,
        Field(
            min_length=3,
            max_length=3,
            pattern=r"^[A-Z]{3}$",
            json_schema_extra={PATTERN_MESSAGE: 'must be a currency code of three capital letters, such as "USD"'},
        ),
    ] = Field(default="USD", description="Currency of the prices, as an ISO 4217 code.")
    per_gpu_hour: PositiveDecimal | None = Field(
        default=None, description='Price of one GPU for one hour, in quotes, such as "2.50".'
    )
    per_cpu_hour: PositiveDecimal | None = Field(
        default=None, description='Price of one CPU core for one hour, in quotes, such as "0.04".'
    )


def _accuracy_before(knob: str, unmodified: str) -> Cel:
    """Rule that a knob which changes answers is turned only where the policy says how far they may differ."""
    listed = f"has(self.knobs.{knob}) && self.knobs.{knob}.allowed.exists(each, each != '{unmodified}')"
    return Cel(
        f"self.mode != 'Apply' || !(has(self.knobs) && {listed}) || "
        "(has(self.objectives) && has(self.objectives.accuracyRatio))",
        f"mode Apply with knobs.{knob} needs objectives.accuracyRatio: set objectives.accuracyRatio.min, "
        f'such as "0.98", or allow only {unmodified}, or use mode Recommend',
    )


class PolicySpec(ApiModel):
    """The user's intent."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            _accuracy_before("quantization", "None"),
            _accuracy_before("variants", "base"),
            Cel(
                "!has(self.objectives) || !has(self.objectives.costPerThousandRequests) || has(self.cost)",
                "objectives.costPerThousandRequests needs prices: set cost.perGpuHour or cost.perCpuHour",
            ),
            Cel(
                "duration(self.trial.window) >= " + " + ".join(["duration(self.observation.interval)"] * 8),
                "trial.window must be at least 8 times observation.interval: lengthen trial.window or shorten "
                "observation.interval",
                {"trial.window": "self.trial.window", "observation.interval": "self.observation.interval"},
            ),
        )
    )

    target_ref: TargetRef = Field(
        description="The workload to tune, in the policy's namespace. Immutable.",
        json_schema_extra=immutable("spec.targetRef", "delete this policy and create another for the other target"),
    )
    mode: Mode = Field(
        default=Mode.RECOMMEND,
        description="Recommend: publish, touch nothing. Apply: act. Paused: measure only.",
    )
    goal: Goal = Field(default=Goal.MINIMIZE_COST, description="What to make better inside the objectives.")
    objectives: Objectives | None = Field(
        default=None, description="What must hold; the goal is pursued only inside of it."
    )
    knobs: Knobs | None = Field(
        default=None,
        description="What may be turned, and how far. Absent: the runtime's safe set. Empty: nothing but replicas.",
    )
    scaling: Scaling | None = Field(
        default=None, description="Bounds of the number of replicas. Absent: replicas are left alone."
    )
    trial: TrialRules = Field(default_factory=TrialRules, description="How a change is tested before it is kept.")
    observation: Observation = Field(
        default_factory=Observation, description="How often and how long the target is measured."
    )
    freeze: Annotated[tuple[FreezeWindow, ...], Field(max_length=32)] = Field(
        default=(), description="Times in the week in which nothing is changed except to restore safety."
    )
    cost: Cost | None = Field(default=None, description="Prices; without them cost is NotMeasured.")
    rollback_to: LabelName | None = Field(
        default=None, description="Name of a trial of this policy whose settings are restored: the user's way back."
    )
