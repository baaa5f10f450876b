"""Every metric and label that our queries name is one that the engine or the agent exports."""

from __future__ import annotations

import re

import pytest

from trimtab_agent.metrics import TABLE as AGENT_METRICS
from trimtab_engine.metric_table import METRICS as ENGINE_METRICS
from trimtab_operator.runtimes.containers import CONTAINER_QUERIES
from trimtab_operator.runtimes.gpu import GPU_QUERIES
from trimtab_operator.runtimes.table import Query
from trimtab_operator.runtimes.trimtab import TRIMTAB

OURS = (*TRIMTAB.queries.values(), *CONTAINER_QUERIES, *GPU_QUERIES["agent"])
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "gaugehistogram": ("_bucket", "_gsum", "_gcount")}


def exported() -> dict[str, frozenset[str]]:
    labels = {row.name: frozenset(row.labels) for row in AGENT_METRICS}
    for spec in ENGINE_METRICS:
        names = [f"{spec.name}{suffix}" for suffix in SUFFIXES.get(spec.type, ("",))]
        labels |= {name: frozenset(spec.labels) | {"le"} for name in names}
    return labels


@pytest.mark.parametrize("query", OURS, ids=lambda query: str(query.signal))
def test_the_metrics_and_labels_of_our_queries_are_exported(query: Query) -> None:
    known = exported()
    for name, matchers in re.findall(r"(trimtab_\w+)(?:\{([^}]*)\})?", f"{query.promql} {query.by_gpu}"):
        assert name in known, f"{query.signal} reads {name}, which neither engine nor agent exports"
        for label in re.findall(r"(\w+)\s*[=!]~?\"", matchers):
            assert label in known[name], f"{name} has no label {label}"
    assert set(query.needs) <= set(known)


def test_the_companion_queries_read_a_metric_of_the_engine() -> None:
    for template in (TRIMTAB.freshness, TRIMTAB.scrape_interval, TRIMTAB.layer_time, TRIMTAB.error_reasons):
        assert set() < set(re.findall(r"trimtab_\w+", template)) <= set(exported())
