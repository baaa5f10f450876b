"""The files in the repository are what the models say, and what the models say is complete and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from trimtab_api import SCHEMA_REVISION
from trimtab_api.generate import MAX_CRD_BYTES, generated_files, main, stale_files
from trimtab_api.kinds import KINDS, REVISION_ANNOTATION, Kind, crd_of
from trimtab_api.policy_status import Phase

ROOT = Path(__file__).parents[3]


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def schema_nodes(kind: Kind) -> list[tuple[str, dict[str, Any]]]:
    version = crd_of(kind)["spec"]["versions"][0]
    return list(nodes(version["schema"]["openAPIV3Schema"], kind.name))


def test_the_generated_files_are_fresh() -> None:
    assert stale_files(ROOT) == [], "run `make generate`"


def test_generating_twice_writes_nothing_the_second_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(generated_files()) == 4
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0
    assert capsys.readouterr().out == ""


def test_check_fails_and_names_the_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--root", str(tmp_path)])
    stale = tmp_path / "crds" / "nodetunings.yaml"
    stale.write_text(stale.read_text().replace("NodeTuning", "NodeTurning"))
    capsys.readouterr()
    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert capsys.readouterr().err == "crds/nodetunings.yaml is stale: run `make generate`\n"
    assert "NodeTurning" in stale.read_text()


def test_each_crd_carries_the_revision_and_stays_below_200_kib() -> None:
    crds = {path: text for path, text in generated_files().items() if path.suffix == ".yaml"}
    assert len(crds) == 3
    for text in crds.values():
        assert yaml.safe_load(text)["metadata"]["annotations"][REVISION_ANNOTATION] == SCHEMA_REVISION
        assert len(text.encode()) < MAX_CRD_BYTES
        assert "&id" not in text


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_has_a_description_that_is_a_sentence(kind: Kind) -> None:
    fields = [(path, node) for path, node in schema_nodes(kind) if not path.endswith(("[]", ".metadata"))]
    assert [path for path, node in fields if not str(node.get("description", "")).strip().endswith(".")] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_column_shows_a_field_that_is_required_or_has_a_default(kind: Kind) -> None:
    found = dict(schema_nodes(kind))
    for path in kind.columns.values():
        parent, name = f"{kind.name}{path}".rsplit(".", maxsplit=1)
        assert name in found[parent].get("required", ()) or "default" in found[f"{kind.name}{path}"], path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_rule_has_a_message_of_its_own(kind: Kind) -> None:
    for path, node in schema_nodes(kind):
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule["message"], path
            assert rule["rule"] not in rule["message"], path


def test_the_phases_are_the_life_cycle_of_the_design() -> None:
    life_cycle = ["Discovery", "Analysis", "Strategy", "Implementation", "Validation", "RollingBack"]
    assert list(Phase) == ["Unknown", *life_cycle]


def test_the_reference_page_starts_with_the_first_mistake_and_shows_every_field() -> None:
    page = generated_files()[Path("docs/reference/api.md")]
    assert "max: 0.01` is refused" in page.split("## ", maxsplit=1)[0]
    for kind in KINDS:
        for path, _ in schema_nodes(kind):
            field = path.removeprefix(f"{kind.name}.")
            if field.startswith(("spec.", "status.")) and not field.endswith("[]"):
                assert f"`{field}`" in page
