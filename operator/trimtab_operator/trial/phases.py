"""The life cycle of an optimization, as one total match.

Discovery       what is normal now?        left when a baseline over the whole observation window exists.
Analysis        what limits it?            left when a trusted tick has named the bottleneck.
Validation      does it still hold?        steady: scaling goes on, as in every phase.
Strategy, Implementation, RollingBack      belong to trials; without a trial under way they lead to Validation.
"""

from __future__ import annotations

from trimtab_api.policy_status import Phase, PolicyStatus
from trimtab_operator.model.analysis import Analysis


def next_phase(phase: Phase | None, analysis: Analysis, status: PolicyStatus) -> Phase:
    """Return the phase after this tick."""
    match phase:
        case None | Phase.UNKNOWN:
            return Phase.DISCOVERY
        case Phase.DISCOVERY:
            known = status.baseline is not None or analysis.baseline is not None
            return Phase.ANALYSIS if known else Phase.DISCOVERY
        case Phase.ANALYSIS:
            return Phase.VALIDATION if analysis.bottleneck is not None else Phase.ANALYSIS
    return Phase.VALIDATION
