"""Functions on arrays that are compiled to machine code at their first call (numba), and kept beside their source."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Compile a function of numbers, arrays and named tuples of them."""
    fast: Callable[Arguments, Result] = numba.njit(cache=True)(function)
    return fast
