"""Two runs in one cluster would remove each other's work: the second is refused, and says who has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dev.cluster.claim import claim
from dev.cluster.errors import ClusterError
from dev.cluster.paths import REPOSITORY, Paths

HOLDER = (
    "import sys; from pathlib import Path; from dev.cluster.claim import claim; from dev.cluster.paths import Paths;"
    "claim(Paths(Path(sys.argv[1]), Path(sys.argv[1]) / 'cluster', 'c')); print('held', flush=True); input()"
)


def test_a_cluster_in_use_is_refused_with_its_holder_until_that_process_ends(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "cluster", "c")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(ClusterError, match=rf"in use by `-c .*process {other.pid}: wait until that ends, or stop it"):
        claim(paths)
    other.kill()
    other.communicate()
    claim(paths)
    claim(paths)
