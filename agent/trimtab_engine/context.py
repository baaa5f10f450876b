"""What every part of one engine process shares: made once at start, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab_engine.log import Log
from trimtab_engine.model_directory import Description
from trimtab_engine.settings import ProcessSettings
from trimtab_engine.variants.declared import Declared


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, descriptions of models and declared variants, the environment of child processes, log and version."""

    settings: ProcessSettings
    descriptions: tuple[Description, ...]
    environ: Mapping[str, str]
    log: Log
    version: str
    declared: tuple[Declared, ...] = ()
