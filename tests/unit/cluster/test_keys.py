"""What is built is named after everything that decides it, and after nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.cluster.base import mirror
from dev.cluster.binaries import MODULES, build_key
from dev.cluster.images import content_key

INPUTS = {
    "files": [b"mod", b"sum"],
    "flags": ["-trimpath"],
    "environment": {"CGO_ENABLED": "0", "A": "1"},
    "go_version": "go1.26.8 linux amd64",
}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"files": [b"mod2", b"sum"]}, id="go.mod"),
        pytest.param({"files": [b"mod", b"sum2"]}, id="go.sum"),
        pytest.param({"files": [b"mods", b"um"]}, id="border-between-files"),
        pytest.param({"flags": []}, id="flags"),
        pytest.param({"environment": {"CGO_ENABLED": "1", "A": "1"}}, id="environment"),
        pytest.param({"go_version": "go1.26.9 linux amd64"}, id="compiler"),
    ],
)
def test_every_input_of_a_build_changes_its_key(change: dict[str, object]) -> None:
    assert build_key(**{**INPUTS, **change}) != build_key(**INPUTS)  # type: ignore[arg-type]


def test_the_order_of_environment_variables_does_not_change_a_key() -> None:
    turned = {**INPUTS, "environment": {"A": "1", "CGO_ENABLED": "0"}}
    assert build_key(**turned) == build_key(**INPUTS)  # type: ignore[arg-type]


def test_every_module_pins_its_tools_and_their_hashes() -> None:
    for module in MODULES:
        assert "tool " in (module.directory / "go.mod").read_text()
        assert (module.directory / "go.sum").stat().st_size > 0


def tree(folder: Path) -> Path:
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one.py").write_text("1")
    return folder


def test_compiled_files_do_not_change_an_image_tag(tmp_path: Path) -> None:
    folder = tree(tmp_path / "source")
    before = content_key([folder])
    (folder / "a" / "__pycache__").mkdir()
    (folder / "a" / "__pycache__" / "one.pyc").write_bytes(b"x")
    assert content_key([folder]) == before


@pytest.mark.parametrize("change", ["content", "name", "new file"])
def test_every_change_of_a_source_changes_the_image_tag(tmp_path: Path, change: str) -> None:
    folder = tree(tmp_path / "source")
    before = content_key([folder])
    if change == "content":
        (folder / "a" / "one.py").write_text("2")
    elif change == "name":
        (folder / "a" / "one.py").rename(folder / "a" / "two.py")
    else:
        (folder / "b.py").write_text("")
    assert content_key([folder]) != before


DEB822 = """\
Types: deb
URIs: https://cloud.example/apt
Suites: cloud-bookworm
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
"""


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        pytest.param(DEB822, "http://mirror.example/debian", id="deb822"),
        pytest.param("deb http://old.example/debian bookworm main\n", "http://old.example/debian", id="one-line"),
        pytest.param("deb [signed-by=/k.gpg] http://old.example/d bookworm main", "http://old.example/d", id="options"),
        pytest.param("# deb http://old.example/debian bookworm main\n", None, id="comment"),
        pytest.param("deb http://x.example/debian trixie main\n", None, id="another-suite"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_mirror_is_the_one_of_the_machine(sources: str, expected: str | None) -> None:
    assert mirror(sources) == expected
