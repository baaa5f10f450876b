"""OptimizationPolicy: what a user wants for one workload, and what the operator makes of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trimtab_api.base import API_VERSION, ApiModel
from trimtab_api.metadata import ObjectMeta
from trimtab_api.policy_spec import PolicySpec
from trimtab_api.policy_status import PolicyStatus

MAX_POLICY_NAME = 52
"""Trials are named after their policy, with room for a number within the 63 characters of a label."""


class OptimizationPolicy(ApiModel):
    """Finds, and keeps, the cheapest configuration of a workload that still meets its objectives."""

    api_version: Literal["trimtab.dev/v1alpha1"] = Field(default=API_VERSION, description="trimtab.dev/v1alpha1.")
    kind: Literal["OptimizationPolicy"] = Field(default="OptimizationPolicy", description="OptimizationPolicy.")
    metadata: ObjectMeta = Field(description="Metadata; the name has at most 52 characters.")
    spec: PolicySpec = Field(description="The user's intent.")
    status: PolicyStatus = Field(default_factory=PolicyStatus, description="What the operator reports.")
