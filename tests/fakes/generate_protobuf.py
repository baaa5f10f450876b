"""Compiles our two small .proto files into committed Python: `PYTHONPATH=tests python -m fakes.generate_protobuf`."""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path

from grpc_tools import protoc

_ROOT = Path(__file__).parents[2]
PROTOS = ((_ROOT / "agent", "trimtab_agent/podresources.proto"), (_ROOT / "tests", "fakes/deviceplugin.proto"))
_HEADER = "# ruff: noqa\n# fmt: off\n# mypy: ignore-errors\n"


def generate(include: Path, proto: str, output: Path) -> list[Path]:
    """Writes <proto>_pb2.py and .pyi below `output`; raises RuntimeError when protoc refuses the file."""
    common = str(importlib.resources.files("grpc_tools") / "_proto")
    arguments = ["protoc", f"-I{include}", f"-I{common}", f"--python_out={output}", f"--pyi_out={output}", proto]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc refused {proto}")
    written = [output / f"{proto.removesuffix('.proto')}_pb2.{suffix}" for suffix in ("py", "pyi")]
    for path in written:
        path.write_text(_HEADER + path.read_text())
    return written


if __name__ == "__main__":
    for folder, name in PROTOS:
        for made in generate(folder, name, folder):
            sys.stdout.write(f"{made.relative_to(_ROOT)}\n")
