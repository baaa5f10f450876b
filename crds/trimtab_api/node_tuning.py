"""NodeTuning: the settings that one node's agent delivers to the engines on it, and what was applied."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field

from trimtab_api.base import API_VERSION, ApiModel, Cel, cel, list_map, list_set
from trimtab_api.conditions import ConditionStatus
from trimtab_api.engine_knobs import ChangeCost, Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.metadata import ObjectMeta
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.texts import UNKNOWN, Count, LabelName, ObjectName, Sentence, Summary, Uid, Word

MAX_ENGINES = 256
"""Engines on one node; a kubelet runs 110 pods by default."""


class EngineConditionType(StrEnum):
    """What an agent reports about one engine."""

    ATTACHED = "Attached"
    APPLIED = "Applied"


class EngineEntry(ApiModel):
    """The complete settings of one pod's engine; only entries of trials expire."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            Cel(
                "has(self.trial) == has(self.expiresAt) && has(self.trial) == has(self.fallback)",
                "trial, expiresAt and fallback go together: an entry under trial needs an end and a way back, "
                "a promoted entry has neither",
            )
        )
    )

    pod_uid: Uid = Field(description="Uid of the pod.")
    namespace: LabelName = Field(description="Namespace of the pod.")
    pod: ObjectName = Field(description="Name of the pod.")
    settings: EngineSettings = Field(description="What the engine shall run with.")
    trial: LabelName | None = Field(default=None, description="The trial under which these settings are tested.")
    expires_at: AwareDatetime | None = Field(
        default=None, description="When the engine goes back to fallback by itself; only under a trial."
    )
    fallback: EngineSettings | None = Field(
        default=None, description="What the engine goes back to; only under a trial."
    )


class NodeTuningSpec(ApiModel):
    """Written by the operator as a whole."""

    engines: Annotated[tuple[EngineEntry, ...], Field(max_length=MAX_ENGINES)] = Field(
        default=(), description="One entry for each tuned pod on the node.", json_schema_extra=list_map("podUid")
    )


class RefusedSetting(ApiModel):
    """A setting that the engine would not take."""

    setting: Knob = Field(description="The setting.")
    value: Word = Field(description="The value that was asked for.")
    reason: Sentence = Field(description="Why it was refused.")


class PendingSetting(ApiModel):
    """A setting whose effect takes time, and that the engine works on."""

    setting: Knob = Field(description="The setting.")
    value: Word = Field(description="The value that was asked for.")
    phase: Word = Field(description="Where the engine is with it, as one word, such as Searching or WaitingForInputs.")


class DeclaredKnob(ApiModel):
    """A knob as the engine itself declares it."""

    setting: Knob = Field(description="The setting.")
    low: Word | None = Field(default=None, description="Smallest value that the engine takes.")
    high: Word | None = Field(default=None, description="Largest value that the engine takes.")
    allowed: Annotated[tuple[Word, ...], Field(max_length=16)] = Field(
        default=(), description="The values that the engine takes, where they are words.", json_schema_extra=list_set()
    )
    cost: ChangeCost = Field(description="What a change takes: hot (between two batches), clone or restart.")


class EngineCondition(ApiModel):
    """One Kubernetes condition of an engine."""

    type: EngineConditionType = Field(description="Which condition this is.")
    status: ConditionStatus = Field(description="True, False, or Unknown where it cannot be told.")
    reason: Word = Field(description="Why, as one word.")
    message: Sentence = Field(default="", description="Why, as a sentence.")
    last_transition_time: AwareDatetime = Field(description="When status last changed.")


class EngineReport(ApiModel):
    """What one engine answered."""

    pod_uid: Uid = Field(description="Uid of the pod.")
    applied_hash: Word | None = Field(default=None, description="Hash of the settings that the engine runs with.")
    applied: EngineSettings | None = Field(default=None, description="Settings that the engine runs with.")
    refused: Annotated[tuple[RefusedSetting, ...], Field(max_length=8)] = Field(
        default=(), description="Settings that the engine would not take.", json_schema_extra=list_map("setting")
    )
    pending: Annotated[tuple[PendingSetting, ...], Field(max_length=4)] = Field(
        default=(), description="Settings that the engine works on.", json_schema_extra=list_map("setting")
    )
    shadowed: Annotated[tuple[ShadowedSetting, ...], Field(max_length=4)] = Field(
        default=(),
        description="Settings that the engine has in force or refused, by what it found in shadow.",
        json_schema_extra=list_map("setting"),
    )
    knobs: Annotated[tuple[DeclaredKnob, ...], Field(max_length=16)] = Field(
        default=(), description="What the engine lets be changed.", json_schema_extra=list_map("setting")
    )
    at: AwareDatetime = Field(description="When the engine answered.")
    conditions: Annotated[tuple[EngineCondition, ...], Field(max_length=4)] = Field(
        default=(), description="Conditions of this engine.", json_schema_extra=list_map("type")
    )


class NodeTuningStatus(ApiModel):
    """Written by the node's own agent."""

    observed_generation: Count | None = Field(default=None, description="Generation of spec that this speaks about.")
    summary: Summary = Field(default=UNKNOWN, description="Engines that run as asked, such as 2/3.")
    engines: Annotated[tuple[EngineReport, ...], Field(max_length=MAX_ENGINES)] = Field(
        default=(), description="One report for each attached engine.", json_schema_extra=list_map("podUid")
    )


class NodeTuning(ApiModel):
    """Settings for the engines of one node, named as the node."""

    api_version: Literal["trimtab.dev/v1alpha1"] = Field(default=API_VERSION, description="trimtab.dev/v1alpha1.")
    kind: Literal["NodeTuning"] = Field(default="NodeTuning", description="NodeTuning.")
    metadata: ObjectMeta = Field(description="Metadata; the name is the node's.")
    spec: NodeTuningSpec = Field(description="What the operator asks for.")
    status: NodeTuningStatus = Field(default_factory=NodeTuningStatus, description="What the agent reports.")
