"""The part of an object's metadata that Trimtab reads; the schema of it belongs to Kubernetes."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from trimtab_api.base import ApiModel


class OwnerReference(ApiModel):
    """Who owns an object."""

    api_version: str = Field(default="", description="API version of the owner.")
    kind: str = Field(default="", description="Kind of the owner.")
    name: str = Field(default="", description="Name of the owner.")
    uid: str = Field(default="", description="Uid of the owner.")
    controller: bool = Field(default=False, description="Whether the owner controls the object.")


class ObjectMeta(ApiModel):
    """Name, identity and version of an object."""

    name: str = Field(description="Name of the object.")
    namespace: str | None = Field(default=None, description="Namespace; absent on cluster-scoped objects.")
    uid: str = Field(default="", description="Identity, different after delete and create.")
    resource_version: str = Field(default="", description="Version to send with a write.")
    generation: int = Field(default=0, description="Counts changes of spec.")
    creation_timestamp: AwareDatetime | None = Field(default=None, description="When it was created.")
    deletion_timestamp: AwareDatetime | None = Field(default=None, description="When its deletion was asked for.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations.")
    owner_references: tuple[OwnerReference, ...] = Field(default=(), description="Owners.")
