"""Which changes go through shadow first: a pure function of the change, whatever the design of its trial."""

from __future__ import annotations

from trimtab_api.engine_knobs import Knob
from trimtab_operator.decision.knob_space import QUALITY_KNOBS


def is_shadowed(knob: Knob) -> bool:
    """Say whether an engine compares a change's answers with the unmodified model's before it puts it in force."""
    return knob in QUALITY_KNOBS
