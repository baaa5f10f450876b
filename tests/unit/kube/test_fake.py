"""The fake API server keeps the promises that the real one keeps (the same checks run there as contract tests)."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.kube import FakeKube
from fakes.kube_conformance import CHECKS, Check

from trimtab_operator.kube.resources import POLICIES, Resource


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_fake_behaves_like_an_api_server(check: Check) -> None:
    """Each check asserts one promise of an API server: fakes/kube_conformance.py."""
    kube = FakeKube(served={POLICIES})

    def create(resource: Resource, body: dict[str, Any]) -> None:
        kube.seed(resource, body)

    await check(kube, "here", create)
