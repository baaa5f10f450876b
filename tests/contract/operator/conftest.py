"""Operator processes against a real API server, with a scripted Prometheus."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.kube_conformance import deployment_body, policy_body
from fakes.operator_process import Ground
from fakes.prometheus import FakePrometheus, serve


@pytest.fixture
def ground(api_server: Any, tmp_path: Path) -> Iterator[Ground]:
    mark = uuid.uuid4().hex[:8]
    targets, system = f"targets-{mark}", f"system-{mark}"
    for name in (targets, system):
        api_server.kubectl("create", "namespace", name)
    server = serve(FakePrometheus(list))
    made = Ground(api_server, targets, system, server, tmp_path)
    made.apply(deployment_body(targets, "a"))
    made.apply(policy_body(targets, "p"))
    yield made
    for each in made.started:
        each.end()
    server.close()
    for name in (targets, system):
        api_server.kubectl("delete", "namespace", name, "--wait=false")
