"""What torch.compile costs while a model serves: shapes that it has not met are compiled in the middle of a pass."""

from __future__ import annotations

import sys

_DYNAMO = "torch._dynamo.utils"
_WHOLE_COMPILATION = "_compile.compile_inner"  # of one frame, as torch itself times it


def compile_seconds() -> float | None:
    """Return the seconds that this process has compiled so far; None where nothing in it uses torch.compile."""
    dynamo = sys.modules.get(_DYNAMO)
    return None if dynamo is None else sum(dynamo.compilation_time_metrics.get(_WHOLE_COMPILATION, ()))
