"""The chart with the pinned Helm."""

from __future__ import annotations

import pytest
from harness.chart import Chart

from dev.cluster.binaries import HELM, build, go_version
from dev.cluster.paths import default_paths


@pytest.fixture(scope="session")
def chart() -> Chart:
    return Chart(helm=build(HELM, default_paths(), go_version()) / "helm")
