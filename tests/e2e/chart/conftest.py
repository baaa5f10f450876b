"""Releases of the chart beside the one that the other scenarios use: their own namespace, nobody else's policies."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from harness.cluster import Cluster
from harness.releases import ForeignChart, Release


@pytest.fixture
def foreign(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignChart]:
    """The chart with kinds of its own, so that its definitions can be made and removed while others work."""
    chart = ForeignChart(cluster, tmp_path_factory.mktemp("charts"), f"e2e-chart-{secrets.token_hex(3)}")
    yield chart
    chart.remove()


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    """The chart as it is, watching one namespace, with both operators and the agent ready."""
    made = Release(cluster, "e2e-chart", "e2e-chart-apps")
    made.remove()
    made.install()
    yield made
    made.remove()
