"""What the operator reports about a policy; written by the operator only."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from trimtab_api.base import ApiModel, list_map, list_set
from trimtab_api.conditions import Condition
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.findings import Baseline, Bottleneck, Constraint, Evidence, ObjectiveResult, Saving, ScorecardRow
from trimtab_api.quantities import SignedDecimal
from trimtab_api.texts import UNKNOWN, Count, LabelName, Replicas, Sentence, Summary, Uid, Word
from trimtab_api.trial import MAX_TRIAL_PODS

MAX_HISTORY = 20


class Phase(StrEnum):
    """Where the optimization stands; Unknown until the operator has first reported."""

    UNKNOWN = UNKNOWN
    DISCOVERY = "Discovery"
    ANALYSIS = "Analysis"
    STRATEGY = "Strategy"
    IMPLEMENTATION = "Implementation"
    VALIDATION = "Validation"
    ROLLING_BACK = "RollingBack"


class IntentKind(StrEnum):
    """What the operator is about to do."""

    SCALE = "Scale"
    START_TRIAL = "StartTrial"
    ROLL_OUT = "RollOut"
    ROLL_BACK = "RollBack"


class LedgerEvent(StrEnum):
    """What happened to a tuned field, or to the load that it was tuned for."""

    SCALED = "Scaled"
    TRIAL_STARTED = "TrialStarted"
    TRIAL_ENDED = "TrialEnded"
    ROLLED_OUT = "RolledOut"
    ROLLED_BACK = "RolledBack"
    FOREIGN_EDIT = "ForeignEdit"
    LOAD_CHANGED = "LoadChanged"


class ReplicasStatus(ApiModel):
    """The number of replicas: what is, what should be, and what would be without the guardrails."""

    current: Replicas | None = Field(default=None, description="Replicas that the target asks for now.")
    desired: Replicas | None = Field(default=None, description="Replicas after all guardrails.")
    uncapped: Replicas | None = Field(default=None, description="Replicas that the load needs, before guardrails.")
    reason: Sentence = Field(default="", description="Why this number.")
    at: AwareDatetime | None = Field(default=None, description="When it was reckoned.")


class Intent(ApiModel):
    """A write that is about to happen, stored before it is sent so that a restart neither loses nor repeats it."""

    id: Word = Field(description="Identity of the intent; the ledger entry of the write carries the same.")
    kind: IntentKind = Field(description="What will be written.")
    from_: Word = Field(alias="from", description="Value before the write.")
    to: Word = Field(description="Value after the write.")
    reason: Sentence = Field(description="Why.")
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=8)] = Field(
        default=(), description="The measurements behind it."
    )
    at: AwareDatetime = Field(description="When it was decided.")


class HistoryEntry(ApiModel):
    """One write of ours, one foreign edit of a tuned field, or one change of the load."""

    id: Word = Field(description="Identity of the entry; equal to the intent's id for our own writes.")
    at: AwareDatetime = Field(description="When it happened, or was noticed.")
    what: LedgerEvent = Field(description="What happened.")
    from_: Word = Field(alias="from", description="Value before.")
    to: Word = Field(description="Value after.")
    why: Sentence = Field(description="Why, or who.")
    requests_per_second: SignedDecimal | None = Field(
        default=None, description="Requests offered per second when it was decided; absent where not measured."
    )


class HistorySummary(ApiModel):
    """Entries that are older than those in history, counted."""

    count: Count = Field(description="How many entries left the history.")
    since: AwareDatetime = Field(description="Time of the first of them.")
    until: AwareDatetime = Field(description="Time of the last of them.")
    scaled: Count = Field(default=0, description="How many of them changed replicas.")
    rolled_out: Count = Field(default=0, description="How many of them rolled a change out.")
    rolled_back: Count = Field(default=0, description="How many of them took a change back.")
    foreign_edits: Count = Field(default=0, description="How many of them were made by others.")


class LastKnownGood(ApiModel):
    """The configuration to go back to."""

    settings: EngineSettings = Field(description="Engine settings.")
    trial: LabelName | None = Field(default=None, description="The trial that led to them; absent for the first ones.")
    at: AwareDatetime = Field(description="When they were last seen to meet the objectives.")


class SettingsChange(ApiModel):
    """Settings that only some of the pods have: those of a trial, or of a rollout that is under way."""

    trial: LabelName = Field(description="The trial.")
    settings: EngineSettings = Field(description="Complete settings of these pods.")
    pods: Annotated[tuple[Uid, ...], Field(max_length=MAX_TRIAL_PODS)] = Field(
        description="Uids of the pods.", json_schema_extra=list_set()
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="When these pods go back by themselves; absent once the change is rolled out."
    )


class Tuning(ApiModel):
    """Which engine settings each pod shall have: what NodeTunings are composed from."""

    settings: EngineSettings = Field(description="Settings of every pod that change does not name.")
    trial: LabelName | None = Field(default=None, description="The trial that led to them; absent for the first ones.")
    change: SettingsChange | None = Field(default=None, description="A change that not every pod has.")


class PolicyStatus(ApiModel):
    """Everything that the operator knows and can show about a policy."""

    observed_generation: Count | None = Field(default=None, description="Generation of spec that this speaks about.")
    phase: Phase = Field(default=Phase.UNKNOWN, description="Where the optimization stands.")
    phase_since: AwareDatetime | None = Field(default=None, description="Since when.")
    objectives_summary: Summary = Field(default=UNKNOWN, description="Objectives met of those asked for, such as 2/3.")
    bottleneck_summary: Summary = Field(default=UNKNOWN, description="What limits the target, in one word.")
    replicas_summary: Summary = Field(default=UNKNOWN, description="Replicas now and wanted, such as 2 or 2→4.")
    saving_summary: Summary = Field(default=UNKNOWN, description="Saving against the reference, such as 37%.")
    trusted_summary: Summary = Field(default=UNKNOWN, description="Whether the measurements are trusted, or why not.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=7)] = Field(
        default=(), description="The closed list of conditions.", json_schema_extra=list_map("type")
    )
    replicas: ReplicasStatus | None = Field(default=None, description="Replicas: current, desired and uncapped.")
    intent: Intent | None = Field(default=None, description="A write that is about to happen; absent at rest.")
    baseline: Baseline | None = Field(default=None, description="What is normal: the result of Discovery.")
    bottleneck: Bottleneck | None = Field(default=None, description="What limits the target: the result of Analysis.")
    constraints: Annotated[tuple[Constraint, ...], Field(max_length=32)] = Field(
        default=(), description="What may not change, and why.", json_schema_extra=list_map("name")
    )
    objectives: Annotated[tuple[ObjectiveResult, ...], Field(max_length=16)] = Field(
        default=(), description="The policy's own objectives, measured.", json_schema_extra=list_map("name")
    )
    scorecard: Annotated[tuple[ScorecardRow, ...], Field(max_length=16)] = Field(
        default=(), description="The measures that are taken for every policy.", json_schema_extra=list_map("measure")
    )
    saving: Saving | None = Field(default=None, description="What the policy saves; absent until it is measured.")
    tuning: Tuning | None = Field(
        default=None, description="Engine settings that the pods shall have; absent while they are left alone."
    )
    current_trial: LabelName | None = Field(default=None, description="Name of the trial under way.")
    last_known_good: LastKnownGood | None = Field(default=None, description="The configuration to go back to.")
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=MAX_HISTORY)] = Field(
        default=(), description="The last 20 writes and foreign edits, oldest first."
    )
    history_summary: HistorySummary | None = Field(default=None, description="Older entries, counted.")
