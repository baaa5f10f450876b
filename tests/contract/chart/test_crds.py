"""The definitions in the chart are the generated ones, outlive the release, and never go backwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.chart import CHART, Chart

from charts.sync_crds import chart_copy, main, stale_files

ROOT = Path(__file__).parents[3]
MUTATING = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
POLICY = "MutatingAdmissionPolicy/trimtab-keep-newer-crds.trimtab-system"
# Whole numbers beyond this leave CEL as strings; the policy that keeps newer definitions copies them in CEL.
CEL_EXACT = 2**53 - 1


def test_the_copies_in_the_chart_are_fresh() -> None:
    assert stale_files(ROOT) == []


def test_the_chart_brings_every_generated_definition_unchanged_but_for_its_annotations(chart: Chart) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    rendered = {entry["metadata"]["name"]: entry for entry in chart.render().of("CustomResourceDefinition")}
    generated = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    assert set(rendered) == {crd["metadata"]["name"] for crd in generated}
    assert len(generated) == 3
    for crd in generated:
        annotations = rendered[crd["metadata"]["name"]]["metadata"]["annotations"]
        assert annotations.pop("helm.sh/resource-policy") == "keep"
        assert annotations.pop("trimtab.dev/chart-version") == version
        assert rendered[crd["metadata"]["name"]] == crd


def test_the_definitions_can_be_left_out(chart: Chart) -> None:
    rendered = chart.render({"crds": {"install": False}}, api_versions=[MUTATING])
    assert rendered.of("CustomResourceDefinition", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding") == []


def test_newer_definitions_are_guarded_where_the_server_can(chart: Chart) -> None:
    rendered = chart.render(api_versions=[MUTATING])
    names = {crd["metadata"]["name"] for crd in rendered.of("CustomResourceDefinition")}
    (rule,) = rendered[POLICY]["spec"]["matchConstraints"]["resourceRules"]
    assert set(rule["resourceNames"]) == names
    assert rule["operations"] == ["UPDATE"]
    binding = rendered["MutatingAdmissionPolicyBinding/trimtab-keep-newer-crds.trimtab-system"]
    assert binding["spec"]["policyName"] == rendered[POLICY]["metadata"]["name"]


@pytest.mark.parametrize(
    ("values", "api_versions"),
    [
        pytest.param({}, [], id="the server has no such policies"),
        pytest.param({"crds": {"keepNewer": False}}, [MUTATING], id="switched off"),
    ],
)
def test_the_guard_is_left_out(chart: Chart, values: dict[str, Any], api_versions: list[str]) -> None:
    assert POLICY not in chart.render(values, api_versions=api_versions)


def test_no_number_in_a_definition_is_too_large_for_the_guard_to_copy() -> None:
    def numbers(entry: object) -> Iterator[int | float]:
        if isinstance(entry, dict):
            for value in entry.values():
                yield from numbers(value)
        elif isinstance(entry, list):
            for value in entry:
                yield from numbers(value)
        elif isinstance(entry, int | float):
            yield entry

    for path in sorted((ROOT / "crds").glob("*.yaml")):
        large = {value for value in numbers(yaml.safe_load(path.read_text())) if abs(value) > CEL_EXACT}
        assert large == set(), path.name


def a_repository(root: Path) -> Path:
    (root / "crds").mkdir()
    (root / "charts" / "trimtab").mkdir(parents=True)
    (root / "charts" / "trimtab" / "Chart.yaml").write_text("name: trimtab\nversion: 1.2.3\n")
    (root / "crds" / "things.yaml").write_text("metadata:\n  annotations:\n    a: b\nspec: {}\n")
    return root


def test_syncing_copies_refreshes_and_removes_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    root = a_repository(tmp_path)
    folder = root / "charts" / "trimtab" / "files" / "crds"
    folder.mkdir(parents=True)
    (folder / "gone.yaml").write_text("old")
    assert stale_files(root) == ["gone.yaml", "things.yaml"]
    assert main(["--root", str(root), "--check"]) == 1
    assert main(["--root", str(root)]) == 0
    assert [path.name for path in folder.iterdir()] == ["things.yaml"]
    assert yaml.safe_load((folder / "things.yaml").read_text())["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep",
        "trimtab.dev/chart-version": "1.2.3",
        "a": "b",
    }
    assert main(["--root", str(root), "--check"]) == 0


def test_a_definition_without_annotations_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no metadata\.annotations"):
        chart_copy("metadata:\n  name: x\nspec:\n  a:\n  annotations:\n", "1.2.3")
