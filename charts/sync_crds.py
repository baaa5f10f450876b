"""Copy crds/*.yaml into the chart, marked to outlive the release and with the chart version that they came with."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
KEEP = "helm.sh/resource-policy: keep"
VERSION_ANNOTATION = "trimtab.dev/chart-version"


def chart_copy(crd: str, chart_version: str) -> str:
    """Return the text of a CRD with the chart's two annotations.

    The text is kept, not parsed and written again: what `kubectl apply -f crds/` installs is what the chart installs.
    Raises ValueError where the CRD has no `metadata.annotations` to add to.
    """
    head, found, tail = crd.partition("\n  annotations:\n")
    if not found or "\nspec:\n" in head:
        raise ValueError("the CRD has no metadata.annotations; the generator writes at least the schema revision there")
    return f'{head}{found}    {KEEP}\n    {VERSION_ANNOTATION}: "{chart_version}"\n{tail}'


def chart_version(chart: Path) -> str:
    """Version in Chart.yaml. Raises ValueError where it is missing."""
    found = re.search(r"^version: (\S+)$", (chart / "Chart.yaml").read_text(), re.MULTILINE)
    if not found:
        raise ValueError("Chart.yaml has no version")
    return found[1]


def expected_files(root: Path) -> dict[str, str]:
    """Text of each file that belongs into files/crds of the chart, by name. Raises ValueError without any CRD."""
    sources = sorted((root / "crds").glob("*.yaml"))
    if not sources:
        raise ValueError("crds/ holds no CRD: run `make generate`")
    version = chart_version(root / "charts" / "trimtab")
    return {path.name: chart_copy(path.read_text(), version) for path in sources}


def stale_files(root: Path) -> list[str]:
    """Names under files/crds that are missing, differ, or belong to no CRD any more."""
    folder = root / "charts" / "trimtab" / "files" / "crds"
    expected = expected_files(root)
    present = {path.name: path.read_text() for path in folder.glob("*.yaml")}
    return sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all is well, 1 when --check found a stale copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a copy is stale")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the repository to work in")
    options = parser.parse_args(arguments)
    stale = stale_files(options.root)
    if options.check:
        for name in stale:
            sys.stderr.write(f"charts/trimtab/files/crds/{name} is stale: run `make generate`\n")
        return 1 if stale else 0
    expected = expected_files(options.root)
    folder = options.root / "charts" / "trimtab" / "files" / "crds"
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in expected:
            (folder / name).write_text(expected[name])
        else:
            (folder / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
