"""The committed protobuf code is what the .proto files compile to."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.generate_protobuf import PROTOS, generate


@pytest.mark.parametrize(("folder", "proto"), PROTOS, ids=[proto for _, proto in PROTOS])
def test_the_committed_code_is_fresh(folder: Path, proto: str, tmp_path: Path) -> None:
    for made in generate(folder, proto, tmp_path):
        committed = folder / made.relative_to(tmp_path)
        assert made.read_text() == committed.read_text(), "run PYTHONPATH=tests python -m fakes.generate_protobuf"
