"""What every part of one engine process shares: made once at start, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab_engine.log import Log
from trimtab_engine.model_directory import Description
from trimtab_engine.settings import ProcessSettings


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, the models' descriptions, the environment for child processes, the log and our version."""

    settings: ProcessSettings
    descriptions: tuple[Description, ...]
    environ: Mapping[str, str]
    log: Log
    version: str
