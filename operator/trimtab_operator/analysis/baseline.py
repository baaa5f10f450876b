"""What is normal: the scorecard, objectives and means over the observation window, with the peaks and their times.

There is none until data covers the whole window. Latencies come from histograms over the window, which the snapshot
brings while the baseline is not yet in status.
"""

from __future__ import annotations

from dataclasses import replace

from trimtab_operator.analysis import lookback
from trimtab_operator.analysis.attainment import attain
from trimtab_operator.analysis.drift import lengths
from trimtab_operator.analysis.pods import QUERIES
from trimtab_operator.analysis.scorecard import scorecard
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.model import series
from trimtab_operator.model.analysis import Baseline, Peak
from trimtab_operator.model.signals import Point, Series, Signal
from trimtab_operator.model.snapshot import Snapshot

PEAKS = (
    Signal.REQUESTS_PER_SECOND,
    Signal.QUEUE_REQUESTS,
    Signal.BUSY_RATIO,
    Signal.GPU_UTILIZATION_RATIO,
    Signal.GPU_MEMORY_USED_RATIO,
    Signal.CPU_USED_CORES,
    Signal.MEMORY_USED_BYTES,
)


def coverage_seconds(seen: Seen) -> float:
    """Return how much of the observation window holds data of the load."""
    now = seen.snapshot.now
    return series.covered_seconds(_clock(seen.snapshot), now - lookback.window_seconds(seen.policy), now)


def baseline(seen: Seen) -> Baseline | None:
    """Take the baseline over the last observation window; None until data covers all of it."""
    snapshot, window = seen.snapshot, lookback.window_seconds(seen.policy)
    start = snapshot.now - window
    if not series.covers(_clock(snapshot), start, snapshot.now):
        return None
    over_window = replace(seen, distributions=snapshot.window_distributions)
    means = {
        signal: value
        for signal, each in snapshot.history.items()
        if (value := series.mean(series.points_since(each, start))) is not None
    }
    return Baseline(
        start=start,
        end=snapshot.now,
        requests=int(means.get(Signal.REQUESTS_PER_SECOND, 0.0) * window),
        rows=scorecard(over_window),
        peaks=_peaks(snapshot, start),
        objectives=attain(over_window),
        samples=len(series.points_since(_clock(snapshot), start)),
        means=means,
        lengths=lengths(snapshot, start),
    )


def _clock(snapshot: Snapshot) -> Series | None:
    """Return the series whose points tell when data was there: the load, else whatever is known of the devices."""
    for signal in (Signal.REQUESTS_PER_SECOND, Signal.GPU_UTILIZATION_RATIO, Signal.CPU_USED_CORES):
        if signal in snapshot.history:
            return snapshot.history[signal]
    return None


def _peaks(snapshot: Snapshot, start: float) -> tuple[Peak, ...]:
    found: list[Peak] = []
    for signal in PEAKS:
        highest: Point | None = series.peak(series.points_since(snapshot.history.get(signal), start))
        if highest is not None:
            found.append(Peak(signal=signal, value=highest.value, unit=QUERIES[signal].unit, at=highest.at))
    return tuple(found)
