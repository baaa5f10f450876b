"""The API of Trimtab: the three kinds of group trimtab.dev as frozen pydantic models, and their CRDs.

The models are imported when they are first asked for: the engine needs `engine_knobs` and `wire` only, which are plain
data, and starts a second sooner without pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab_api.base import API_VERSION, GROUP, VERSION
    from trimtab_api.node_tuning import NodeTuning
    from trimtab_api.policy import OptimizationPolicy
    from trimtab_api.revision import SCHEMA_REVISION
    from trimtab_api.trial import OptimizationTrial

_HOMES = {
    "API_VERSION": "base",
    "GROUP": "base",
    "VERSION": "base",
    "NodeTuning": "node_tuning",
    "OptimizationPolicy": "policy",
    "SCHEMA_REVISION": "revision",
    "OptimizationTrial": "trial",
}

__all__ = [
    "API_VERSION",
    "GROUP",
    "SCHEMA_REVISION",
    "VERSION",
    "NodeTuning",
    "OptimizationPolicy",
    "OptimizationTrial",
]


def __getattr__(name: str) -> Any:
    """Import a model on first use. Raises AttributeError for what this package does not have."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
