"""Recordings: one JSON line holds a snapshot, the policy and the step that came of them. Floats keep every bit."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.model.action import Step
from trimtab_operator.model.snapshot import Snapshot

_SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)
_STEP: TypeAdapter[Step] = TypeAdapter(Step)


def record_line(snapshot: Snapshot, policy: OptimizationPolicy, step: Step) -> str:
    """Write one tick as one line of JSON (infinity as `Infinity`: the last bound of a histogram)."""
    return json.dumps(
        {
            "snapshot": _SNAPSHOT.dump_python(snapshot, mode="json"),
            "policy": policy.to_body(),
            "step": _STEP.dump_python(step, mode="json"),
        },
        separators=(",", ":"),
    )


def read_line(line: str) -> tuple[Snapshot, OptimizationPolicy, Step]:
    """Read what `record_line` wrote. Raises ValueError for anything else, naming what does not fit."""
    try:
        recorded: dict[str, Any] = json.loads(line)
        return (
            _SNAPSHOT.validate_python(recorded["snapshot"]),
            OptimizationPolicy.model_validate(recorded["policy"]),
            _STEP.validate_python(recorded["step"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise ValueError(f"not a recorded tick of this version: {error!r}") from error
