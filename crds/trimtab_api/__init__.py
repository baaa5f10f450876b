"""The API of Trimtab: the three kinds of group trimtab.dev as frozen pydantic models, and their CRDs."""

from trimtab_api.base import API_VERSION, GROUP, VERSION
from trimtab_api.node_tuning import NodeTuning
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.revision import SCHEMA_REVISION
from trimtab_api.trial import OptimizationTrial

__all__ = [
    "API_VERSION",
    "GROUP",
    "SCHEMA_REVISION",
    "VERSION",
    "NodeTuning",
    "OptimizationPolicy",
    "OptimizationTrial",
]
