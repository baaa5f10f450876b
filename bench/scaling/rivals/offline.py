"""What a user finds out about one replica before setting a target."""

from __future__ import annotations

from bench.scaling.rival import Profile


def sequences_at_objective(profile: Profile) -> int:
    """Return the most sequences that run in one replica within the objective per token; at least one.

    What a load test of one replica finds. Time per token must not fall with more sequences.
    """
    within, beyond = 1, profile.max_sequences + 1
    while beyond - within > 1:
        middle = (within + beyond) // 2
        if profile.tpot_of_running(middle) <= profile.objectives.tpot_seconds:
            within = middle
        else:
            beyond = middle
    return within
