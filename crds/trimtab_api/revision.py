"""The schema revision: a hash of all CRDs, stamped on each and compared by the operator with what is installed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from trimtab_api.kinds import KINDS, REVISION_ANNOTATION, crd_of


def _revision(crds: list[dict[str, Any]]) -> str:
    canonical = json.dumps(crds, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


SCHEMA_REVISION = _revision([crd_of(kind) for kind in KINDS])
"""Changes with any change of any schema; computed from the models."""


def stamped_crds() -> dict[str, dict[str, Any]]:
    """Return each CRD by its name, carrying the revision annotation. Raises SchemaError."""
    crds = {kind.crd_name: crd_of(kind) for kind in KINDS}
    for crd in crds.values():
        crd["metadata"]["annotations"][REVISION_ANNOTATION] = SCHEMA_REVISION
    return crds
