"""What is normal: only once data covers the whole window."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.builders import NOW, a_distribution, a_policy, a_series, a_snapshot, buckets

from trimtab_api.findings import Measure
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.lookback import lookback_seconds, stabilization_seconds, window_seconds
from trimtab_operator.model.analysis import Attainment
from trimtab_operator.model.signals import Point, Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

RPS, QUEUE = Signal.REQUESTS_PER_SECOND, Signal.QUEUE_REQUESTS
POLICY = a_policy(objectives={"latency": {"max": "200ms"}})
OVER_WINDOW = {
    Signal.LATENCY_SECONDS: a_distribution(
        Signal.LATENCY_SECONDS, {"chat-0": buckets(36000.0, 0.1)}, window_seconds=1800.0
    )
}


def test_the_baseline_holds_means_peaks_with_times_and_the_objectives_over_the_window() -> None:
    series = a_series(QUEUE, 1.0)
    spiked = replace(series, points=(*series.points[:-2], Point(NOW - 15.0, 30.0), series.points[-1]))
    snapshot = a_snapshot(rps=40.0, history={QUEUE: spiked}, window_distributions=OVER_WINDOW)
    found = analyze(snapshot, POLICY).baseline
    assert found is not None
    assert (found.start, found.end, found.requests, found.samples) == (NOW - 1800.0, NOW, 72000, 121)
    peaks = {peak.signal: peak for peak in found.peaks}
    assert (peaks[QUEUE].value, peaks[QUEUE].at, peaks[QUEUE].unit) == (30.0, NOW - 15.0, "requests")
    assert set(peaks) == {RPS, QUEUE, Signal.BUSY_RATIO}
    assert found.means[RPS] == pytest.approx(40.0)
    (latency,) = found.objectives
    assert (latency.attainment, latency.samples) == (Attainment.MET, 36000)
    assert len(found.rows) == len(list(Measure))


def test_there_is_no_baseline_until_data_covers_the_window() -> None:
    young = a_snapshot(history={RPS: a_series(RPS, 40.0, seconds=900.0)})
    analysis = analyze(young, POLICY)
    assert analysis.baseline is None
    assert analysis.coverage_seconds == pytest.approx(915.0)


def test_there_is_no_baseline_of_measurements_that_are_not_trusted() -> None:
    assert analyze(a_snapshot(busy=9.0), POLICY).baseline is None


def test_without_the_load_the_devices_tell_when_data_was_there() -> None:
    gpu = Signal.GPU_UTILIZATION_RATIO
    snapshot = replace(a_snapshot(), history={gpu: a_series(gpu, 0.5)})
    found = analyze(snapshot, POLICY).baseline
    assert found is not None
    assert found.requests == 0


def test_without_any_series_nothing_is_covered() -> None:
    analysis = analyze(replace(a_snapshot(), history={}), POLICY)
    assert (analysis.baseline, analysis.coverage_seconds) == (None, 0.0)
    gone = analyze(Snapshot(now=NOW, target=TargetProblem("NotFound", "gone")), POLICY)
    assert (gone.baseline, gone.coverage_seconds, gone.bottleneck) == (None, 0.0, None)


def test_the_history_must_reach_back_for_the_longer_of_window_and_stabilisation() -> None:
    assert lookback_seconds(a_policy()) == 1800.0
    short = a_policy(observation={"interval": "5s", "window": "1m"})
    assert (window_seconds(short), stabilization_seconds(short), lookback_seconds(short)) == (60.0, 300.0, 300.0)
    assert stabilization_seconds(a_policy(scaling=None)) == 1800.0
