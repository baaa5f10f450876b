"""Which models a process serves: each with name, version and where it comes from. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trimtab_engine.errors import SettingError

MAX_MODELS = 16
FIRST_VERSION = "1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_ACCEPTED_NAME = "1 to 128 letters, digits, '.', '_' or '-', starting with a letter or digit"
_NO_MODEL = (
    "TRIMTAB_MODEL is not set; it accepts the directory of a sentence-transformers or transformers model, "
    "package:NAME, a .pt2 archive or module:factory; TRIMTAB_MODELS names several"
)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A directory, `package:NAME`, a `.pt2` archive or `module:factory`; `name` None = that of the source."""

    source: str
    name: str | None = None
    version: str = FIRST_VERSION


def served_models(source: str | None, name: str | None, listed: tuple[ModelSource, ...]) -> tuple[ModelSource, ...]:
    """Return the models of TRIMTAB_MODEL and TRIMTAB_MODEL_NAME or those of TRIMTAB_MODELS: one of the two is set.

    Raises:
        SettingError: neither is, or both are.
    """
    if not listed:
        if source is None:
            raise SettingError(_NO_MODEL)
        return (ModelSource(source, name),)
    for variable, value in (("TRIMTAB_MODEL", source), ("TRIMTAB_MODEL_NAME", name)):
        if value is not None:
            raise SettingError(f"{variable} is {value!r} and TRIMTAB_MODELS is set too; accepted is one of them")
    return listed


def read_model_list(text: str) -> tuple[ModelSource, ...]:
    """Read `name=source,name@version=source`.

    Raises:
        ValueError: with what is accepted.
    """
    models = tuple(_read_entry(entry.strip()) for entry in text.split(","))
    if len(models) > MAX_MODELS:
        raise ValueError(f"1 to {MAX_MODELS} models")
    if len({model.name for model in models}) != len(models):
        raise ValueError("each name once")
    return models


def read_model_name(text: str) -> str:
    """Return the name of a model, as it may stand in a path and a label.

    Raises:
        ValueError: with what is accepted.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(_ACCEPTED_NAME)
    return text


def _read_entry(entry: str) -> ModelSource:
    named, _, source = entry.partition("=")
    name, has_version, version = named.partition("@")
    if not source or not _NAME.fullmatch(name) or (has_version and not _VERSION.fullmatch(version)):
        raise ValueError(f"NAME=SOURCE or NAME@VERSION=SOURCE, with commas between them; a name is {_ACCEPTED_NAME}")
    return ModelSource(source, name, version or FIRST_VERSION)
