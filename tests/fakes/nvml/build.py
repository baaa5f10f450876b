"""Builds the simulated libnvidia-ml.so.1 with the local C compiler; `python -m fakes.nvml.build` prints its folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SONAME = "libnvidia-ml.so.1"
_HERE = Path(__file__).parent
_SOURCES = ("nvml.c", "readings.c")
_COMMAND = (
    "gcc",
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fPIC",
    "-shared",
    f"-Wl,-soname,{SONAME}",
    "-pthread",
)


def build(cache: Path | None = None) -> Path:
    """The folder that holds the library, for LD_LIBRARY_PATH; compiled only when the sources or the command changed."""
    cache = cache or Path(os.environ.get("TRIMTAB_CACHE", "~/.cache/trimtab")).expanduser()
    digest = hashlib.sha256(" ".join(_COMMAND).encode())
    for name in (*_SOURCES, "readings.h"):
        digest.update((_HERE / name).read_bytes())
    folder = cache / "fake-nvml" / digest.hexdigest()[:16]
    if not (folder / SONAME).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _compile(folder)
    return folder


def _compile(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / SONAME
        sources = [str(_HERE / name) for name in _SOURCES]
        subprocess.run([*_COMMAND, "-o", str(made), *sources], check=True, timeout=60)
        made.rename(folder / SONAME)


if __name__ == "__main__":
    sys.stdout.write(f"{build()}\n")
