"""Write crds/*.yaml and docs/reference/api.md from the models; with --check only compare."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from trimtab_api.base import GROUP
from trimtab_api.reference import reference_page
from trimtab_api.revision import stamped_crds

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_CRD_BYTES = 200 * 1024
_HEADER = "# Generated from crds/trimtab_api by `make generate`; do not edit.\n"


class _PlainDumper(yaml.SafeDumper):
    """Writes shared parts out in full: anchors are for machines."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def generated_files() -> dict[Path, str]:
    """Return the text of every generated file by its path in the repository.

    Raises SchemaError where a model cannot be said as a CRD, ValueError where a CRD is too large.
    """
    files = {Path("docs/reference/api.md"): reference_page()}
    for name, crd in stamped_crds().items():
        text = _HEADER + yaml.dump(crd, Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True)
        if len(text.encode()) > MAX_CRD_BYTES:
            raise ValueError(f"{name} has {len(text.encode())} bytes, more than {MAX_CRD_BYTES}")
        files[Path("crds") / f"{name.removesuffix(f'.{GROUP}')}.yaml"] = text
    return files


def stale_files(root: Path) -> list[Path]:
    """Return the generated files under `root` that are missing or differ from what the models say."""
    return [path for path, text in generated_files().items() if not _holds(root / path, text)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all is well, 1 when --check found a stale file."""
    parser = argparse.ArgumentParser(prog="python -m trimtab_api.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the repository to write to")
    options = parser.parse_args(arguments)
    stale = stale_files(options.root)
    if options.check:
        for path in stale:
            sys.stderr.write(f"{path} is stale: run `make generate`\n")
        return 1 if stale else 0
    texts = generated_files()
    for path in stale:
        target = options.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(texts[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
