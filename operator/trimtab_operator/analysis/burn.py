"""How fast the requests that may miss an objective are used up: the share of bad ones over the allowed share.

Two windows, as in chapter 5 of Google's Site Reliability Workbook (multiwindow burn rates): the long one tells that it
matters, the short one, a twelfth of it, that it still goes on. An objective here has no period over which a budget
lasts, so the rate that counts is 1: above it the objective is missed over the window. Of the pods that serve now.
"""

from __future__ import annotations

from trimtab_api.objectives import LatencyObjective, ObjectiveName, Objectives, SatisfactionObjective
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_duration_seconds, parse_ratio
from trimtab_operator.analysis import load, pods
from trimtab_operator.analysis.attainment import LATENCIES, Bad, latency_rules
from trimtab_operator.analysis.durations import apdex
from trimtab_operator.analysis.judgement import wilson
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.model import histogram
from trimtab_operator.model.analysis import BurnRate
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.model.snapshot import Snapshot

SHORT_SECONDS, LONG_SECONDS = 300.0, 3600.0


def burn_rates(seen: Seen) -> dict[ObjectiveName, BurnRate]:
    """Return the burn rate of each of the policy's objectives on a share of requests."""
    objectives = seen.policy.spec.objectives
    if objectives is None:
        return {}
    lasted = {each.name for each in seen.policy.status.objectives if each.burn_rate and each.burn_rate.lasting}
    return {
        name: _rate(short, long, name in lasted) for name, (short, long) in _windows(seen.snapshot, objectives).items()
    }


def spent_signals(policy: OptimizationPolicy) -> frozenset[Signal]:
    """Return the histograms that a snapshot must hold over both windows."""
    objectives = policy.spec.objectives
    satisfaction = {Signal.LATENCY_SECONDS} if objectives and objectives.satisfaction_ratio else set[Signal]()
    return frozenset({LATENCIES[name] for name, _ in latency_rules(objectives)} | satisfaction)


def _windows(snapshot: Snapshot, objectives: Objectives) -> dict[ObjectiveName, tuple[Bad | None, Bad | None]]:
    """Return what each objective's requests came to over the short and the long window; None where not measured."""
    found: dict[ObjectiveName, tuple[Bad | None, Bad | None]] = {}
    rules: list[tuple[ObjectiveName, LatencyObjective | SatisfactionObjective]] = [*latency_rules(objectives)]
    if objectives.satisfaction_ratio is not None:
        rules.append((ObjectiveName.SATISFACTION_RATIO, objectives.satisfaction_ratio))
    for name, rule in rules:
        signal = LATENCIES.get(name, Signal.LATENCY_SECONDS)
        merged = (pods.requests(table.get(signal), snapshot) for table in (snapshot.five_minutes, snapshot.hour))
        short, long = (_slow(buckets, rule) for buckets in merged)
        found[name] = (short, long)
    if objectives.error_ratio is not None:
        allowed = parse_ratio(objectives.error_ratio.max)
        found[ObjectiveName.ERROR_RATIO] = (_failed_lately(snapshot, allowed), _failed_in_hour(snapshot, allowed))
    return found


def _slow(buckets: Buckets | None, rule: LatencyObjective | SatisfactionObjective) -> Bad | None:
    if buckets is None or histogram.count(buckets) < load.MIN_REQUESTS:
        return None
    if isinstance(rule, SatisfactionObjective):
        share = 1.0 - apdex(buckets, parse_duration_seconds(rule.satisfied_within))
        allowed = 1.0 - parse_ratio(rule.min)
    else:
        share = histogram.share_over(buckets, parse_duration_seconds(rule.max))
        allowed = 1.0 - rule.percentile / 100.0
    return Bad(min(1.0, max(0.0, share)), allowed, histogram.count(buckets))


def _failed_lately(snapshot: Snapshot, allowed: float) -> Bad | None:
    offered = pods.recent(snapshot, Signal.REQUESTS_PER_SECOND)
    failed = pods.recent(snapshot, Signal.ERRORS_PER_SECOND)
    return None if offered is None or failed is None else _failed(failed, offered, SHORT_SECONDS, allowed)


def _failed_in_hour(snapshot: Snapshot, allowed: float) -> Bad | None:
    rates = None if snapshot.past is None else snapshot.past.hourly_rates()
    return None if rates is None else _failed(rates[1], rates[0], LONG_SECONDS, allowed)


def _failed(failed: float, offered: float, seconds: float, allowed: float) -> Bad | None:
    requests = offered * seconds
    return None if requests < load.MIN_REQUESTS else Bad(min(1.0, max(0.0, failed / offered)), allowed, requests)


def _rate(short: Bad | None, long: Bad | None, lasted: bool) -> BurnRate:
    both = [each for each in (short, long) if each is not None]
    lasting = len(both) == 2 and all(_exceeds(each, lasted) for each in both)
    return BurnRate(_ratio(short), _ratio(long), lasting)


def _ratio(bad: Bad | None) -> float | None:
    return None if bad is None or bad.allowed <= 0.0 else bad.share / bad.allowed


def _exceeds(bad: Bad, lasted: bool) -> bool:
    """Say whether more is bad than may be: by more than chance, or at all where it was so before."""
    share = bad.share if lasted else wilson(bad.share, bad.samples)[0]
    return share > bad.allowed
