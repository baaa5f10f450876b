"""The definitions through the life of a release: who owns them, what goes backwards, what stays stored."""

from __future__ import annotations

import pytest
from harness.releases import PLURALS, ForeignChart


def test_installing_brings_the_definitions_and_uninstalling_leaves_them_and_what_is_stored(
    foreign: ForeignChart,
) -> None:
    chart = foreign.version("1.0.0")
    foreign.helm("install", chart)
    foreign.store_policy()
    stored = foreign.policy()["spec"]
    foreign.cluster.helm("uninstall", "first", "-n", foreign.namespace)
    assert all(foreign.definition(plural) for plural in PLURALS)
    assert foreign.policy()["spec"] == stored
    foreign.helm("install", chart)
    assert foreign.policy()["spec"] == stored


def test_a_rollback_loses_no_field_that_the_newer_definitions_store(foreign: ForeignChart) -> None:
    foreign.helm("install", foreign.version("1.0.0"))
    foreign.wait_guarded()
    foreign.helm("upgrade", foreign.version("1.1.0", spec_field="seasoning"))
    foreign.store_policy(seasoning="pepper")
    stored = foreign.policy()["spec"]
    assert stored["seasoning"] == "pepper"
    foreign.cluster.helm("rollback", "first", "1", "-n", foreign.namespace)
    foreign.write_status()
    assert foreign.policy()["spec"] == stored
    assert foreign.chart_version() == "1.1.0"


def test_after_a_rollback_the_next_version_can_be_installed(foreign: ForeignChart) -> None:
    foreign.helm("install", foreign.version("1.0.0"))
    foreign.wait_guarded()
    foreign.helm("upgrade", foreign.version("1.1.0", spec_field="seasoning"))
    foreign.cluster.helm("rollback", "first", "1", "-n", foreign.namespace)
    foreign.helm("upgrade", foreign.version("1.2.0", spec_field="sauce"))
    assert foreign.chart_version() == "1.2.0"
    foreign.store_policy(sauce="soy")
    assert foreign.policy()["spec"]["sauce"] == "soy"


def test_an_upgrade_to_an_older_chart_leaves_the_newer_definitions(foreign: ForeignChart) -> None:
    foreign.helm("install", foreign.version("1.1.0", spec_field="seasoning"))
    foreign.store_policy(seasoning="pepper")
    foreign.helm("upgrade", foreign.version("1.0.0"))
    foreign.write_status()
    assert foreign.chart_version() == "1.1.0"
    assert foreign.policy()["spec"]["seasoning"] == "pepper"


def test_definitions_that_somebody_applied_before_are_left_to_them(foreign: ForeignChart) -> None:
    chart = foreign.version("1.0.0")
    files = [argument for path in sorted((chart / "files" / "crds").glob("*.yaml")) for argument in ("-f", str(path))]
    foreign.cluster.kubectl("apply", "--server-side", *files)
    before = foreign.definition()
    foreign.helm("install", chart)
    manifest = foreign.cluster.helm("get", "manifest", "first", "-n", foreign.namespace)
    assert "kind: CustomResourceDefinition" not in manifest
    after = foreign.definition()
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    foreign.cluster.kubectl("apply", "--server-side", *files)


def test_a_second_release_leaves_the_definitions_to_the_first(foreign: ForeignChart) -> None:
    chart = foreign.version("1.0.0")
    foreign.helm("install", chart)
    refused = "exists and cannot be imported into the current release"
    # One namespace holds one operator; what Helm refuses is the second operator, not the definitions.
    with pytest.raises(AssertionError, match=refused) as failure:
        foreign.helm("install", chart, release="second")
    assert "CustomResourceDefinition" not in str(failure.value)
    definition = foreign.definition()
    assert definition is not None
    assert definition["metadata"]["annotations"]["meta.helm.sh/release-name"] == "first"
    assert definition["metadata"]["annotations"][f"{foreign.group}/chart-version"] == "1.0.0"
