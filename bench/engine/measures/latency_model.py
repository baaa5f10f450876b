"""What the learned latency model is worth against constants, on a device that slows down meanwhile: simulated."""

from __future__ import annotations

from bench.batching import measure as simulate
from bench.engine.results import Result
from bench.engine.run import Run


def measure(run: Run) -> list[Result]:
    """Return the shares answered in time with the model that learns and with the one that does not."""
    table = simulate(run.extent.drift_seconds)
    learned, constants = (table[name]["drift_in_time"] for name in ("learned", "constants"))
    return [
        Result(
            "ablation: answered in time, drifting device",
            trimtab=learned,
            best_rival=constants,
            rival="constants",
            note="simulation (python -m bench.batching), a device 1.6 times slower in the middle third",
            contenders={name: dict(figures) for name, figures in table.items()},
            quick=run.quick,
        )
    ]
