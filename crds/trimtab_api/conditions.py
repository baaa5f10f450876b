"""The closed list of conditions of a policy, and the closed list of reasons of each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field

from trimtab_api.base import ApiModel, Cel, cel


class ConditionStatus(StrEnum):
    """Whether a condition holds; Unknown where it cannot be told."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """What a policy reports about itself."""

    READY = "Ready"
    TARGET_RESOLVED = "TargetResolved"
    METRICS_TRUSTED = "MetricsTrusted"
    OBJECTIVES_MET = "ObjectivesMet"
    ENGINE_ATTACHED = "EngineAttached"
    PROGRESSING = "Progressing"
    CONFLICT = "Conflict"


class ReadyReason(StrEnum):
    """Whether the operator works on this policy."""

    OBSERVING = "Observing"
    OPTIMIZING = "Optimizing"
    PAUSED = "Paused"
    INVALID_SPEC = "InvalidSpec"
    TARGET_NOT_FOUND = "TargetNotFound"
    METRICS_UNTRUSTED = "MetricsUntrusted"
    CONFLICTED = "Conflicted"
    NOT_LEADER_YET = "NotLeaderYet"
    INTERNAL_ERROR = "InternalError"


class TargetResolvedReason(StrEnum):
    """Whether the workload and its serving container were found."""

    FOUND = "Found"
    NOT_FOUND = "NotFound"
    NOT_OWNED = "NotOwned"
    AMBIGUOUS_CONTAINER = "AmbiguousContainer"
    CONTAINER_NOT_FOUND = "ContainerNotFound"
    NO_PODS = "NoPods"
    UNKNOWN_RUNTIME = "UnknownRuntime"
    FORBIDDEN = "Forbidden"


class MetricsTrustedReason(StrEnum):
    """Whether the measurements may be acted on."""

    FRESH = "Fresh"
    COLLECTING = "Collecting"
    NO_DATA = "NoData"
    STALE = "Stale"
    PARTIAL = "Partial"
    QUERY_FAILED = "QueryFailed"
    LABEL_MISMATCH = "LabelMismatch"
    IMPLAUSIBLE = "Implausible"
    FIRST_BUCKET = "FirstBucket"
    INERT = "Inert"


class ObjectivesMetReason(StrEnum):
    """How the policy's own objectives stand."""

    ALL_MET = "AllMet"
    WILL_MISS = "WillMiss"
    VIOLATED = "Violated"
    BURNING = "Burning"
    NOT_MEASURED = "NotMeasured"
    NO_OBJECTIVES = "NoObjectives"


class EngineAttachedReason(StrEnum):
    """Whether the engines of the target take settings from the agents on their nodes."""

    NOT_REQUIRED = "NotRequired"
    ATTACHED = "Attached"
    ATTACHING = "Attaching"
    NO_TOKEN_VOLUME = "NoTokenVolume"  # noqa: S105 - a reason, not a secret
    AGENT_LOST = "AgentLost"
    AGENT_UNTRUSTED = "AgentUntrusted"


class ProgressingReason(StrEnum):
    """What is under way, or what holds it back."""

    STEADY = "Steady"
    BASELINE = "Baseline"
    SCALING = "Scaling"
    TRIAL_RUNNING = "TrialRunning"
    AWAITING_APPROVAL = "AwaitingApproval"
    ROLLING_OUT = "RollingOut"
    ROLLING_BACK = "RollingBack"
    FROZEN = "Frozen"
    PAUSED = "Paused"
    MAX_MODE_RECOMMEND = "MaxModeRecommend"
    RECOMMEND_ONLY = "RecommendOnly"
    UNSCHEDULABLE = "Unschedulable"
    METRICS_UNTRUSTED = "MetricsUntrusted"
    CONFLICTED = "Conflicted"
    WRITE_FAILED = "WriteFailed"


class ConflictReason(StrEnum):
    """Who else owns what this policy would change."""

    NONE = "None"
    TARGET_TAKEN = "TargetTaken"
    REPLICAS_IN_MANIFEST = "ReplicasInManifest"
    HORIZONTAL_POD_AUTOSCALER = "HorizontalPodAutoscaler"
    SCALED_OBJECT = "ScaledObject"
    FOREIGN_MANAGER = "ForeignManager"


REASONS: Mapping[ConditionType, type[StrEnum]] = MappingProxyType(
    {
        ConditionType.READY: ReadyReason,
        ConditionType.TARGET_RESOLVED: TargetResolvedReason,
        ConditionType.METRICS_TRUSTED: MetricsTrustedReason,
        ConditionType.OBJECTIVES_MET: ObjectivesMetReason,
        ConditionType.ENGINE_ATTACHED: EngineAttachedReason,
        ConditionType.PROGRESSING: ProgressingReason,
        ConditionType.CONFLICT: ConflictReason,
    }
)
"""The reasons that each condition may carry; the API server refuses any other."""


def _reason_rule(condition: ConditionType, reasons: type[StrEnum]) -> Cel:
    allowed = ", ".join(f"'{reason}'" for reason in reasons)
    return Cel(
        f"self.type != '{condition}' || self.reason in [{allowed}]",
        f"reason of condition {condition} must be one of {', '.join(reasons)}",
    )


class Condition(ApiModel):
    """One Kubernetes condition of a policy."""

    model_config = ConfigDict(
        json_schema_extra=cel(*(_reason_rule(each, reasons) for each, reasons in REASONS.items()))
    )

    type: ConditionType = Field(description="Which condition this is.")
    status: ConditionStatus = Field(description="True, False, or Unknown where it cannot be told.")
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z]+$")] = Field(
        description="Why, as one word of the closed list of this condition."
    )
    message: Annotated[str, Field(max_length=2048)] = Field(
        default="", description="Why, as a sentence that says what can be done about it."
    )
    last_transition_time: AwareDatetime = Field(description="When status last changed.")
    observed_generation: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = Field(
        default=None, description="The generation of the policy that this condition speaks about."
    )
