"""The house keeps its shape: sizes, names, places, and what must never stand in a file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT_FOLDERS = ("operator", "agent", "crds", "charts")
GENERATED = {"podresources_pb2.py", "podresources_pb2_grpc.py"}
FORBIDDEN_NAME_PARTS = re.compile(r"(?:^|_)(?:manager|helpers?|utils?|service|processor|info)(?:_|$)")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def product_files() -> list[Path]:
    return [
        path
        for path in tracked("*.py")
        if path.relative_to(ROOT).parts[0] in PRODUCT_FOLDERS and path.name not in GENERATED
    ]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", ["operator", "agent", "crds", "charts", "tests/operator"])
def test_a_plain_folder_holds_no_package_marker(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_standard_librarys_operator_is_the_one_imported_from_the_root() -> None:
    code = "import operator, collections; print(operator.itemgetter(0)([7]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == "7", done.stderr


def test_no_product_file_is_longer_than_300_lines() -> None:
    long = [relative(path) for path in product_files() if len(path.read_text().splitlines()) > 300]
    assert long == []


def test_no_product_function_is_longer_than_40_lines() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > 40
    ]
    assert long == []


def test_every_product_module_says_what_it_is_for() -> None:
    silent = [relative(path) for path in product_files() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_no_product_file_has_a_name_that_means_nothing() -> None:
    vague = [relative(path) for path in product_files() if FORBIDDEN_NAME_PARTS.search(path.stem)]
    assert vague == []


def test_no_class_or_function_is_called_manager_helper_util_or_processor() -> None:
    word = re.compile(
        r"(?:Manager|Helper|Utils?|Processor)(?=[A-Z]|$)|(?:^|_)(manager|helper|util|utils|processor)(?:_|$)"
    )
    vague = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and word.search(node.name)
    ]
    assert vague == []


def test_no_file_defers_work_with_a_note() -> None:
    word = re.compile(r"\b(?:" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b")
    deferred = [
        f"{relative(path)}:{number}"
        for path in tracked("*.py", "*.go", "*.yaml", "*.md", "Makefile", "Dockerfile")
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if word.search(line)
    ]
    assert deferred == []


def test_a_lock_records_hashes_and_no_addresses() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        assert "--hash=sha256:" in text, path
        assert not re.search(r"https?://|--index-url|--find-links", text), path


def test_no_file_names_a_machine_path_or_a_package_registry() -> None:
    sources = ("*.py", "*.md", "*.toml", "*.yaml", "Makefile", "Dockerfile", ".ci/run", "*.mod")
    paths = ("ro" + "ot", "wo" + "rk", "ho" + "me")
    hosts = ("pypi.org", "pythonho" + "sted", "proxy.golang.org", "deb.debian.org")
    banned = re.compile("|".join([*(f"/{name}/" for name in paths), *map(re.escape, hosts)]))
    found = [
        f"{relative(path)}:{number} {line.strip()[:80]}"
        for path in tracked(*sources)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if banned.search(line)
    ]
    assert found == []


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
