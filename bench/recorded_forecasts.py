"""What Dynamo's own ARIMA and Prophet expected on the rate traces: `bench/data/dynamo`, made by `dev/rivals`.

They are fitted by libraries that Trimtab does not install, for hours.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.rate_traces import RateTrace
from trimtab_operator.model.arrays import Floats

FOLDER = Path(__file__).parent / "data" / "dynamo"
PREDICTORS = {
    "arima": "ARIMA (Dynamo)",
    "arima_warmed_up": "ARIMA, warmed up (Dynamo)",
    "prophet": "Prophet (Dynamo)",
}
"""The rivals by the name in their files."""
_SIGNIFICANT_DIGITS = 6


def write(folder: Path, predictor: str, trace: RateTrace, source: str, expected: Sequence[float | None]) -> None:
    """Write what is expected after each value, in the trace's unit; None where the predictor was not asked."""
    rounded = [None if each is None else float(f"{each:.{_SIGNIFICANT_DIGITS}g}") for each in expected]
    content = {"source": source, "trace_sha256": trace.file_sha256, "expected": rounded}
    line = json.dumps(content, separators=(",", ":")) + "\n"
    _path(folder, predictor, trace).write_bytes(gzip.compress(line.encode(), mtime=0))


def recorded(trace: RateTrace, folder: Path = FOLDER) -> dict[str, Floats]:
    """Return what each expected after each value, NaN where it was not asked; nothing of a file that they never saw."""
    found = {}
    for predictor, rival in PREDICTORS.items():
        path = _path(folder, predictor, trace)
        content = json.loads(gzip.decompress(path.read_bytes())) if path.exists() else None
        if content is not None and content["trace_sha256"] == trace.file_sha256:
            found[rival] = np.full(len(trace.demand), np.nan)
            found[rival][: len(content["expected"])] = np.array(content["expected"], dtype=np.float64)
    return found


def _path(folder: Path, predictor: str, trace: RateTrace) -> Path:
    return folder / f"{trace.name}.{predictor}.json.gz"
