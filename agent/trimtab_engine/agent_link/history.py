"""Which states of which NodeTuning this engine has applied, so that an old or superseded one is not applied again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
from msgspec import Meta

_REMEMBERED_UIDS = 8
_LARGEST_GENERATION = (1 << 53) - 1  # what a report may hold


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version of a document: uid and generation of the NodeTuning, and the hash of the settings."""

    uid: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]
    generation: Annotated[int, Meta(ge=0, le=_LARGEST_GENERATION)]
    hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]


@dataclass(frozen=True, slots=True)
class History:
    """The newest version, and the uids of the NodeTunings before its own."""

    newest: Version | None = None
    superseded: tuple[str, ...] = ()

    def objection(self, version: Version) -> str | None:
        """Return why a version must not be applied, or None."""
        if version.uid in self.superseded:
            return f"Replayed: NodeTuning {version.uid[:36]} was superseded by a later one"
        newest = self.newest
        if newest is not None and version.uid == newest.uid and version.generation < newest.generation:
            return f"OutOfOrder: generation {newest.generation} is in force, {version.generation} is older"
        return None

    def after(self, version: Version) -> History:
        """Return the history once this version is in force."""
        if self.newest is None or self.newest.uid == version.uid:
            return replace(self, newest=version)
        return History(version, (*self.superseded, self.newest.uid)[-_REMEMBERED_UIDS:])
