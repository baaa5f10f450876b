"""OptimizationTrial: one change under test. The operator writes it, a person may approve it once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field

from trimtab_api.base import API_VERSION, ApiModel, Cel, cel, immutable, list_map, list_set
from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.findings import Measure
from trimtab_api.metadata import ObjectMeta
from trimtab_api.policy_spec import TargetRef
from trimtab_api.quantities import SignedDecimal
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.texts import UNKNOWN, Count, LabelName, ObjectName, Sentence, Summary, Uid, Word
from trimtab_api.trial_rules import TrialRules

MAX_TRIAL_PODS = 256
"""Pods that a trial may name, in both arms together."""

MAX_PERIODS = 64
"""Periods of a switchback."""

_LEDGER = "a trial is a ledger entry; the operator writes a new trial for another change"


class TrialDesign(StrEnum):
    """How the two arms are made."""

    PAIRED_CANARY = "PairedCanary"  # one pod has the change, others are measured beside it
    SWITCHBACK = "Switchback"  # one pod has the change in some periods and not in others
    SURGE = "Surge"  # a pod that was added for it has the change, those that served before are measured beside it


class TrialApproval(StrEnum):
    """A person's word on a trial."""

    APPROVED = "Approved"
    DENIED = "Denied"


class TrialPhase(StrEnum):
    """Where a trial stands."""

    UNKNOWN = UNKNOWN
    AWAITING_APPROVAL = "AwaitingApproval"
    STARTING = "Starting"
    SHADOW = "Shadow"
    RUN_IN = "RunIn"
    MEASURING = "Measuring"
    ROLLING_OUT = "RollingOut"
    VALIDATING = "Validating"
    REVERTING = "Reverting"
    FINISHED = "Finished"


class Verdict(StrEnum):
    """How a trial ended; Unknown until then."""

    UNKNOWN = UNKNOWN
    IMPROVED = "Improved"
    REGRESSED = "Regressed"
    INCONCLUSIVE = "Inconclusive"
    NOT_IDENTIFIABLE = "NotIdentifiable"
    NOT_COMPARABLE = "NotComparable"
    TARGET_CHANGED = "TargetChanged"
    FAILED_TO_START = "FailedToStart"
    DENIED = "Denied"


class Arm(StrEnum):
    """The two sides of a comparison."""

    CANARY = "Canary"
    STABLE = "Stable"


class TrialTarget(TargetRef):
    """The target as it was when the trial was made; any change of it ends the trial."""

    uid: Uid = Field(description="Uid of the target.")
    template_hash: Word = Field(description="Hash of the target's pod template.")


class Change(ApiModel):
    """The one setting that the trial changes."""

    knob: Knob = Field(description="The setting.")
    from_: Word = Field(alias="from", description="Its value before.")
    to: Word = Field(description="Its value under test.")


class Prediction(ApiModel):
    """What the change is expected to do to one measure."""

    measure: Measure = Field(description="The measure.")
    effect: SignedDecimal = Field(description="Expected relative change: 0.2 is 20 % more, -0.1 is 10 % less.")
    low: SignedDecimal | None = Field(default=None, description="Lower end of the expected range.")
    high: SignedDecimal | None = Field(default=None, description="Upper end of the expected range.")


class TrialPod(ApiModel):
    """A pod that takes part; pods added later stay outside of both arms."""

    uid: Uid = Field(description="Uid of the pod.")
    name: ObjectName = Field(description="Name of the pod.")
    node: ObjectName = Field(description="Node of the pod.")
    arm: Arm = Field(description="Canary: has the change, by turns in a Switchback. Stable: is measured beside it.")


class TrialPeriod(ApiModel):
    """A period of a switchback in which the engine was seen to run with the settings of an arm."""

    arm: Arm = Field(description="Canary: with the change. Stable: without it.")
    from_: AwareDatetime = Field(alias="from", description="When it was seen so for the first time in the period.")


class TrialSpec(ApiModel):
    """What is tried and why; written before anything moves and never changed, but for the approval."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "!has(oldSelf.approval) || (has(self.approval) && self.approval == oldSelf.approval)",
                "spec.approval is write-once: it is already set; to take a change back set rollbackTo in the policy",
            ),
            Cel(
                "self.pods.exists(each, each.arm == 'Canary') && "
                "(self.design == 'Switchback' || self.pods.exists(each, each.arm == 'Stable'))",
                "pods needs at least one Canary and one Stable: a change is judged beside the running configuration; "
                "a Switchback needs one Canary, which is both by turns",
            ),
        )
    )

    policy: LabelName = Field(description="Name of the policy.", json_schema_extra=immutable("spec.policy", _LEDGER))
    target: TrialTarget = Field(
        description="The target when the trial was made.", json_schema_extra=immutable("spec.target", _LEDGER)
    )
    change: Change = Field(
        description="The one setting that changes.", json_schema_extra=immutable("spec.change", _LEDGER)
    )
    change_summary: Summary = Field(
        description="The change as the column shows it, such as maxBatchSize 1→8.",
        json_schema_extra=immutable("spec.changeSummary", _LEDGER),
    )
    hypothesis: Sentence = Field(
        description="Why this change should help.", json_schema_extra=immutable("spec.hypothesis", _LEDGER)
    )
    predicted: Annotated[tuple[Prediction, ...], Field(max_length=16)] = Field(
        description="What the change is expected to do.",
        json_schema_extra={**list_map("measure"), **immutable("spec.predicted", _LEDGER)},
    )
    predicted_summary: Summary = Field(
        description="The prediction as the column shows it, such as throughput +80%.",
        json_schema_extra=immutable("spec.predictedSummary", _LEDGER),
    )
    design: TrialDesign = Field(
        description="How the two arms are made: PairedCanary side by side, Switchback by turns on one pod, Surge on a "
        "pod that was added for it, beside the others.",
        json_schema_extra=immutable("spec.design", _LEDGER),
    )
    pods: Annotated[tuple[TrialPod, ...], Field(min_length=1, max_length=MAX_TRIAL_PODS)] = Field(
        description="Pods of both arms.",
        json_schema_extra={**list_map("uid"), **immutable("spec.pods", _LEDGER)},
    )
    canary: EngineSettings = Field(
        description="Complete settings of the canary arm.", json_schema_extra=immutable("spec.canary", _LEDGER)
    )
    stable: EngineSettings = Field(
        description="Complete settings of the stable arm, and the way back.",
        json_schema_extra=immutable("spec.stable", _LEDGER),
    )
    rules: TrialRules = Field(
        description="The policy's trial rules when the trial was made.",
        json_schema_extra=immutable("spec.rules", _LEDGER),
    )
    approval: TrialApproval | None = Field(
        default=None, description="A person's word: Approved or Denied. Write-once; the only field that users write."
    )


class Observed(ApiModel):
    """One measure in both arms over the same time."""

    measure: Measure = Field(description="The measure.")
    canary: SignedDecimal | None = Field(default=None, description="Value in the canary arm.")
    stable: SignedDecimal | None = Field(default=None, description="Value in the stable arm.")
    unit: Word = Field(description="Unit of the two values.")
    effect: SignedDecimal | None = Field(default=None, description="Relative change, canary against stable.")
    low: SignedDecimal | None = Field(default=None, description="Lower end of the interval of the effect.")
    high: SignedDecimal | None = Field(default=None, description="Upper end of the interval of the effect.")
    canary_samples: Count = Field(default=0, description="Requests or samples in the canary arm.")
    stable_samples: Count = Field(default=0, description="Requests or samples in the stable arm.")


class TrialStatus(ApiModel):
    """What was seen and how it ended."""

    observed_generation: Count | None = Field(default=None, description="Generation of spec that this speaks about.")
    phase: TrialPhase = Field(default=TrialPhase.UNKNOWN, description="Where the trial stands.")
    observed: Annotated[tuple[Observed, ...], Field(max_length=16)] = Field(
        default=(), description="What was measured.", json_schema_extra=list_map("measure")
    )
    observed_summary: Summary = Field(default=UNKNOWN, description="The observation as the column shows it.")
    verdict: Verdict = Field(default=Verdict.UNKNOWN, description="How the trial ended.")
    reason: Sentence = Field(default="", description="Why it ended so, or what it waits for.")
    violations: Count = Field(default=0, description="Guards that the canary breached while it was worse than stable.")
    changed: Annotated[tuple[Uid, ...], Field(max_length=MAX_TRIAL_PODS)] = Field(
        default=(), description="Uids of the pods that were given the change.", json_schema_extra=list_set()
    )
    changed_at: AwareDatetime | None = Field(
        default=None, description="When pods were last given or rid of it, or the canary was seen to run with it."
    )
    period_seconds: Annotated[int, Field(ge=1, le=86400)] | None = Field(
        default=None, description="Length of a period of a switchback, in seconds."
    )
    periods: Annotated[tuple[TrialPeriod, ...], Field(max_length=MAX_PERIODS)] = Field(
        default=(), description="Periods of a switchback, oldest first; one that the engine never reported is absent."
    )
    shadow: ShadowedSetting | None = Field(
        default=None, description="What the canary's engine found in shadow, where the change alters answers."
    )
    looks: Count = Field(default=0, description="How often a verdict was tried.")
    approved_by: Word | None = Field(default=None, description="Field manager that wrote the approval.")
    started_at: AwareDatetime | None = Field(default=None, description="When the canary was first asked to change.")
    measured_from: AwareDatetime | None = Field(default=None, description="When both arms had settled.")
    ended_at: AwareDatetime | None = Field(default=None, description="When the verdict was reached.")


class OptimizationTrial(ApiModel):
    """One change under test: what, why, predicted, observed, verdict."""

    api_version: Literal["trimtab.dev/v1alpha1"] = Field(default=API_VERSION, description="trimtab.dev/v1alpha1.")
    kind: Literal["OptimizationTrial"] = Field(default="OptimizationTrial", description="OptimizationTrial.")
    metadata: ObjectMeta = Field(description="Metadata; named after the policy, with a number.")
    spec: TrialSpec = Field(description="What is tried and why.")
    status: TrialStatus = Field(default_factory=TrialStatus, description="What was seen and how it ended.")
