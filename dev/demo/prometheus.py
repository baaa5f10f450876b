"""Questions to the demo's Prometheus, asked through the API server so that it works from anywhere kubectl works."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from dev.demo.accuracy import Accuracy, accuracy_of
from dev.demo.agreement import ServedSide
from dev.demo.errors import DemoError
from dev.demo.exposition import Series, histogram, increase, rate
from dev.demo.kube import Json, Kube
from dev.demo.plan import MONITORING_NAMESPACE, NAMESPACE, SCRAPE_SECONDS

_PATH = f"/api/v1/namespaces/{MONITORING_NAMESPACE}/services/prometheus:9090/proxy/api/v1/query"
LOOKBACK_SECONDS = 3 * SCRAPE_SECONDS
"""How far before a start samples are fetched: what each counter held then. Nothing is sent for a scrape before it."""


@dataclass(frozen=True)
class Usage:
    """What the serving containers of some pods used between two times; None where it was not scraped twice."""

    cpu_cores: float | None
    cache_hits_per_second: float | None
    cache_misses_per_second: float | None


class Prometheus:
    """Instant queries; raises DemoError when Prometheus does not answer."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def scraped_pods(self, since_seconds: float) -> set[str]:
        """Return the pods of the demo whose engine metrics were scraped after a unix time."""
        query = f'timestamp(trimtab_engine_ready{{namespace="{NAMESPACE}"}})'
        return {str(row["metric"].get("pod")) for row in self._query(query) if float(row["value"][1]) >= since_seconds}

    def served(self, start_seconds: float, end_seconds: float) -> ServedSide:
        """Return what the engines counted between two unix times."""
        fetched_from = start_seconds - LOOKBACK_SECONDS
        answers = self._samples("trimtab_engine_requests_total", 'outcome="ok"', fetched_from, end_seconds)
        buckets = self._samples("trimtab_engine_request_seconds_bucket", "", fetched_from, end_seconds)
        return ServedSide(
            answered=sum(increase(series, start_seconds) for series in answers),
            requests=histogram(buckets, start_seconds),
        )

    def usage(self, pods: str, start_seconds: float, end_seconds: float) -> Usage:
        """Return what the pods whose names match a regular expression used between two unix times."""

        def total(metric: str, container: str = "") -> float | None:
            matcher = ",".join(filter(None, [f'pod=~"{pods}"', container]))
            rates = [rate(series) for series in self._samples(metric, matcher, start_seconds, end_seconds)]
            known = [each for each in rates if each is not None]
            return sum(known) if known else None

        return Usage(
            cpu_cores=total("trimtab_agent_container_cpu_seconds_total", 'container="server"'),
            cache_hits_per_second=total("trimtab_engine_cache_hits_total"),
            cache_misses_per_second=total("trimtab_engine_cache_misses_total"),
        )

    def accuracy(self, pods: str, at_seconds: float) -> Accuracy | None:
        """Return how well answers agreed with the unmodified model at a unix time; None where no pod said so."""
        matcher, time_text = f'namespace="{NAMESPACE}",pod=~"{pods}"', f"{at_seconds:.3f}"
        variants = self._query(f"trimtab_engine_variant{{{matcher}}}", time=time_text)
        agreements = self._query(f"trimtab_engine_accuracy_ratio{{{matcher}}}", time=time_text)
        return accuracy_of(variants, agreements)

    def _samples(self, metric: str, matcher: str, start_seconds: float, end_seconds: float) -> list[Series]:
        selector = ",".join(filter(None, [f'namespace="{NAMESPACE}"', matcher]))
        length = math.ceil(end_seconds - start_seconds)
        rows = self._query(f"{metric}{{{selector}}}[{length}s]", time=f"{end_seconds:.3f}")
        if not rows:
            raise DemoError(f"Prometheus holds no {metric} of namespace {NAMESPACE}: are the pods scraped?")
        return [Series(row["metric"], tuple((float(at), float(value)) for at, value in row["values"])) for row in rows]

    def _query(self, query: str, **parameters: str) -> list[Json]:
        answer = self._kube.get(_PATH, query=query, **parameters)
        if answer is None or answer.get("status") != "success":
            raise DemoError(f"Prometheus did not answer {query!r}: {answer}")
        return list(answer["data"]["result"])


def wait_scraped(
    prometheus: Prometheus, pods: Callable[[], set[str]], since_seconds: float, timeout_seconds: float = 40
) -> None:
    """Wait until every pod of the set, which may change meanwhile, was scraped after a unix time.

    Raises DemoError naming those that never were.
    """
    deadline = time.monotonic() + timeout_seconds
    while missing := pods() - prometheus.scraped_pods(since_seconds):
        if time.monotonic() > deadline:
            raise DemoError(
                f"Prometheus did not scrape {', '.join(sorted(missing))} within {timeout_seconds:g} s; look at its "
                f"targets: kubectl -n {MONITORING_NAMESPACE} port-forward svc/prometheus 9090"
            )
        time.sleep(0.5)
