"""A policy that cannot be worked on says so in its condition Ready; one small patch, written only when it changes."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError

from trimtab_api import OptimizationPolicy
from trimtab_api.conditions import ConditionType, ReadyReason
from trimtab_operator.errors import InvalidPolicy
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import POLICIES

SHOWN_ERRORS = 3
MESSAGE_LIMIT = 1024


def parse_policy(body: Json) -> OptimizationPolicy:
    """Read a stored policy; a status that this version cannot read counts as none, and is written anew.

    Raises:
        InvalidPolicy: spec or metadata do not fit; the message names field, value and what is wrong.
    """
    try:
        return OptimizationPolicy.model_validate(body)
    except ValidationError as error:
        wrong = [row for row in error.errors() if not row["loc"] or row["loc"][0] != "status"]
        if not wrong:
            return OptimizationPolicy.model_validate({**body, "status": {}})
        shown = "; ".join(
            f"{'.'.join(map(str, row['loc']))}={row['input']!r}: {row['msg']}" for row in wrong[:SHOWN_ERRORS]
        )
        raise InvalidPolicy(shown[:MESSAGE_LIMIT]) from error


async def refuse(kube: Kube, body: Json, reason: ReadyReason, message: str, now: float) -> None:
    """Set Ready=False with the reason; nothing is sent when it already stands there.

    Raises:
        KubeError, LeadershipLost: the patch was not written.
    """
    metadata, stored = body["metadata"], list((body.get("status") or {}).get("conditions") or ())
    before = next((row for row in stored if row.get("type") == ConditionType.READY), None)
    since = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if before is not None and before.get("status") == "False":
        since = before.get("lastTransitionTime", since)
    row = {
        "type": ConditionType.READY.value,
        "status": "False",
        "reason": reason.value,
        "message": message[:MESSAGE_LIMIT],
        "lastTransitionTime": since,
        "observedGeneration": metadata.get("generation"),
    }
    if before == row:
        return
    conditions = [each for each in stored if each.get("type") != ConditionType.READY] + [row]
    patch = {"conditions": conditions}
    await kube.patch_status(POLICIES, metadata["namespace"], metadata["name"], patch, metadata["resourceVersion"])
