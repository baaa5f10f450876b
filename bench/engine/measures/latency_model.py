"""What the learned latency model is worth against constants, on a device that slows down meanwhile: simulated."""

from __future__ import annotations

from bench.batching.measures import ablation
from bench.engine.results import Result
from bench.engine.run import Run

_LOAD = "drift in time 0.7"
_SEEDS = (3, 4, 5)


def measure(run: Run) -> list[Result]:
    """Return the shares answered in time with the model that learns and with the one that does not."""
    rows = ablation(run.extent.drift_seconds, _SEEDS)
    shares = {str(row["rule"]): row["value"] for row in rows if row["measure"] == _LOAD}
    learned, constants = (share for name in ("learned", "constants") if isinstance(share := shares[name], float))
    return [
        Result(
            "ablation: answered in time, drifting device",
            trimtab=learned,
            best_rival=constants,
            rival="constants",
            note="simulation (python -m bench.batching), a device 1.6 times slower in the middle third",
            contenders={f"{row['measure']}, {row['rule']}": dict(row) for row in rows},
            quick=run.quick,
        )
    ]
