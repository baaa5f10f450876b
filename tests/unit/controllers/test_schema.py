"""Which definitions an operator can work with."""

from __future__ import annotations

import pytest

from trimtab_api import SCHEMA_REVISION
from trimtab_operator.controllers.schema import serves

REVISION, CHART = "trimtab.dev/schema-revision", "trimtab.dev/chart-version"


@pytest.mark.parametrize(
    ("annotations", "served"),
    [
        pytest.param({REVISION: SCHEMA_REVISION}, True, id="the same revision"),
        pytest.param({REVISION: "other", CHART: "0.2.0"}, True, id="a newer release, left by a rollback"),
        pytest.param({REVISION: "other", CHART: "0.1.0"}, False, id="the same release, another revision"),
        pytest.param({REVISION: "other", CHART: "0.0.9"}, False, id="an older release"),
        pytest.param({REVISION: "other"}, False, id="another revision, applied by hand"),
        pytest.param({}, False, id="somebody else's definitions"),
    ],
)
def test_definitions_of_this_revision_or_a_newer_release_serve(annotations: dict[str, str], served: bool) -> None:
    assert serves(annotations, "0.1.0") is served
