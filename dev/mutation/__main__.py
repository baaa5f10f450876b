"""`python -m dev.mutation [ROOM | ROOM/MODULE ...]`: what share of small changes of the code its unit tests notice.

mutmut works in a throw-away tree under build/mutation that holds the package, the fakes and the unit tests of the
rooms, but for the closed loops and the properties; each change is tried by the tests that reach the changed function.
Results are kept there: without a module, only what has no result yet is tried; a module that is named is tried anew, as
after a new test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
STAGE = ROOT / "build" / "mutation"
ROOMS = ("decision", "trial")
COPIES = {
    "operator/trimtab_operator": "trimtab_operator",
    "tests/conftest.py": "tests/conftest.py",
    "tests/fakes": "tests/fakes",
    **{f"tests/unit/{room}": f"tests/unit/{room}" for room in ROOMS},
}
LEFT_OUT = ("__pycache__", "test_closed_loop.py", "test_properties.py")  # these took nearly all of the time of a try
LEAST_KILLED_RATIO = 0.85
NOTICED = ("killed", "timeout")
UNTRIED = "not checked"

PYPROJECT = f"""
[tool.mutmut]
source_paths = ["trimtab_operator"]
only_mutate = {[f"trimtab_operator/{room}/*" for room in ROOMS]}
pytest_add_cli_args_test_selection = {[f"tests/unit/{room}" for room in ROOMS]}
timeout_multiplier = 60.0
use_git_change_detection = false

[tool.pytest.ini_options]
pythonpath = ["tests", "."]
# Each change is tried by a pytest of its own: half of its time would go into collecting garbage to find what was lost.
addopts = ["--import-mode=importlib", "-p", "no:schemathesis", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
filterwarnings = ["error"]
"""


def main(wanted: list[str]) -> int:
    """Try what is wanted, print a table and the survivors; 0 where enough was noticed and nothing is left untried."""
    lay_out()
    named = [f"trimtab_operator.{each.replace('/', '.')}.*" for each in wanted if "/" in each]
    mutmut("run", "--max-children", "1", *named)
    rooms = {each.split("/")[0] for each in wanted} or set(ROOMS)
    rows = [(name, status) for name, status in results() if name.split(".")[1] in rooms]
    print(table(rows))
    (STAGE / "survivors.txt").write_text("".join(f"{name}\n" for name, status in rows if status not in NOTICED))
    counts = Counter(status for _, status in rows)
    return 0 if killed_ratio(counts) >= LEAST_KILLED_RATIO and not counts[UNTRIED] else 1


def lay_out() -> None:
    """Bring the throw-away tree up to date; a file that did not change keeps its time, and its results."""
    STAGE.mkdir(parents=True, exist_ok=True)
    for source, place in COPIES.items():
        for path in files(ROOT / source):
            copy = STAGE / place / path.relative_to(ROOT / source)
            if not copy.exists() or copy.read_bytes() != path.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    (STAGE / "pyproject.toml").write_text(PYPROJECT)


def files(source: Path) -> Iterator[Path]:
    """Yield the file itself, or those of a folder that are worth copying."""
    if source.is_file():
        yield source
    else:
        yield from (path for path in source.rglob("*") if path.is_file() and not set(LEFT_OUT).intersection(path.parts))


def mutmut(*arguments: str, output: int | None = None) -> str:
    """Run mutmut in the throw-away tree; answers what it printed, where that is asked for."""
    paths = [str(ROOT / "crds"), str(ROOT / "agent")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=STAGE, env=environment, stdout=output, text=True, check=False)
    return done.stdout or ""


def results() -> Iterator[tuple[str, str]]:
    """Yield every mutant, as `trimtab_operator.room.module.function__mutmut_number`, and how it ended."""
    for line in mutmut("results", "--all", "true", output=subprocess.PIPE).splitlines():
        name, colon, status = line.strip().partition(": ")
        if colon:
            yield name, status


def table(rows: list[tuple[str, str]]) -> str:
    """Return a line for each module and one for all."""
    modules: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, status in rows:
        modules["/".join(name.split(".")[1:3])][status] += 1
    modules["all"] = sum(modules.values(), Counter())
    lines = [f"{'module':28}{'tried':>8}{'noticed':>9}{'share':>8}{'untried':>9}"]
    for module, counts in modules.items():
        tried = counts.total() - counts[UNTRIED]
        share = f"{killed_ratio(counts):.1%}" if tried else "-"
        noticed = sum(counts[status] for status in NOTICED)
        lines.append(f"{module:28}{tried:8}{noticed:9}{share:>8}{counts[UNTRIED]:9}")
    return "\n".join(lines)


def killed_ratio(counts: Counter[str]) -> float:
    """Return the share of tried mutants that a test noticed; 0 where none was tried."""
    tried = counts.total() - counts[UNTRIED]
    return sum(counts[status] for status in NOTICED) / tried if tried else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
