"""Bounded strings and counts that several models share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trimtab_api.base import PATTERN_MESSAGE

Word = Annotated[str, Field(min_length=1, max_length=64)]
"""One word or a short value with its unit."""

Sentence = Annotated[str, Field(max_length=1024)]
"""Text for people."""

Query = Annotated[str, Field(max_length=4096)]
"""PromQL, as it was sent."""

Summary = Annotated[str, Field(min_length=1, max_length=128)]
"""What a printer column shows; `Unknown` until it is known."""

Uid = Annotated[str, Field(min_length=1, max_length=64)]
"""A Kubernetes object's uid."""

LabelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra={PATTERN_MESSAGE: "must be a name of lower-case letters, digits and '-', such as \"server\""},
    ),
]
"""A DNS label: containers, namespaces, trials."""

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
        json_schema_extra={
            PATTERN_MESSAGE: "must be a name of lower-case letters, digits, '-' and '.', such as \"llama-chat\""
        },
    ),
]
"""A DNS subdomain: Deployments, pods, nodes."""

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""How many."""

Replicas = Annotated[int, Field(ge=0, le=100_000)]
"""A number of replicas."""

UNKNOWN = "Unknown"
"""What a column shows before the operator has reported: blank is a bug."""
