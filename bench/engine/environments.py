"""The rivals' virtual environments: made from their locks, kept outside the checkout, with our torch.

A rival's environment holds its own packages at its own versions. Behind them stands, by a `.pth` file, the
site-packages of the environment that runs the bench: torch (5 GB) is installed once and every contender runs the same.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path

from bench.engine.errors import BenchError
from bench.engine.progress import say
from dev.cluster.paths import REPOSITORY, default_paths

LOCKS = REPOSITORY / "requirements" / "rivals"
SECONDS = 900


def environment(rival: str) -> Path:
    """Return the `bin` folder of a rival's environment, made where it is not there. Raises BenchError."""
    lock = LOCKS / f"{rival}.txt"
    ours = sysconfig.get_path("purelib")
    pins = hashlib.sha256(lock.read_bytes() + ours.encode() + sys.version.encode()).hexdigest()[:16]
    folder = default_paths().cache / "rivals" / f"{rival}-{pins}"
    if not (folder / "complete").exists():
        say(f"environment of {rival}: installing {lock.relative_to(REPOSITORY)} into {folder}")
        _make(folder, lock, ours)
        (folder / "complete").touch()
    return folder / "bin"


def _make(folder: Path, lock: Path, ours: str) -> None:
    make = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)]
    install = [str(Path(sys.executable).with_name("uv")), "pip", "install", "-q", "--no-deps", "--require-hashes"]
    install += ["--python", str(folder / "bin" / "python"), "-r", str(lock)]
    for command in (make, install):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{lock.stem}: its environment was not made in {SECONDS} s") from error
        if done.returncode:
            raise BenchError(f"{lock.stem}: its environment cannot be made: {done.stderr.strip()[-500:]}")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "lib" / version / "site-packages" / "trimtab-behind.pth").write_text(f"{ours}\n")
