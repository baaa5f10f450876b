"""Declared variants: smaller, pruned or distilled models that the user names, loaded only when one is wished for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.errors import SettingError
from trimtab_engine.model_directory import Description, ModelDescription, describe_model

_MAX_DECLARED = 8
_VARIABLE = "TRIMTAB_VARIANTS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class DeclaredSource:
    """One entry of the setting: a variant of `model`, "" where only one is served, and where it comes from."""

    name: str
    source: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """A model that may answer for `model`, under its name."""

    name: str
    model: str
    description: Description


def read_declared(text: str) -> tuple[DeclaredSource, ...]:
    """Read `name=source,model/name=source`; a source is what a model's is.

    Raises:
        ValueError: with what is accepted.
    """
    found = tuple(_read_entry(entry.strip()) for entry in text.split(","))
    if len(found) > _MAX_DECLARED:
        raise ValueError(f"1 to {_MAX_DECLARED} variants")
    if len({(each.model, each.name) for each in found}) != len(found):
        raise ValueError("each name once for a model")
    return found


def describe_declared(sources: Sequence[DeclaredSource], models: Sequence[Description]) -> tuple[Declared, ...]:
    """Find and describe every declared variant; what is known of it before it is loaded is compared with the original.

    Raises:
        SettingError: nothing usable is there, or it takes or gives something else than the original.
    """
    by_name = {model.name: model for model in models}
    return tuple(_describe(each, by_name) for each in sources)


def _read_entry(entry: str) -> DeclaredSource:
    named, _, source = entry.partition("=")
    model, _, name = named.rpartition("/")
    if not source or not _NAME.fullmatch(name) or name == BASE_VARIANT:
        raise ValueError(
            "NAME=SOURCE, or MODEL/NAME=SOURCE where several models are served, with commas between them; "
            f"a name is 1 to 63 letters, digits, '.', '_' or '-', and not {BASE_VARIANT}"
        )
    return DeclaredSource(name, source, model)


def _describe(declared: DeclaredSource, models: dict[str, Description]) -> Declared:
    model = declared.model or (next(iter(models)) if len(models) == 1 else "")
    if model not in models:
        raise SettingError(f"{_VARIABLE}: {declared.name} names the model {model!r}; served are {', '.join(models)}")
    try:
        description = describe_model(declared.source, declared.name)
    except SettingError as error:
        raise SettingError(f"{_VARIABLE}: {declared.name}: {error}") from None
    difference = _difference(models[model], description)
    if difference:
        raise SettingError(
            f"{_VARIABLE}: {declared.name} {difference}; accepted is a model that takes and gives the same"
        )
    return Declared(declared.name, model, description)


def _difference(original: Description, other: Description) -> str:
    """Return in words what a variant takes or gives otherwise, as far as its files tell; the rest is for the worker."""
    if not isinstance(original, ModelDescription) or not isinstance(other, ModelDescription):
        return ""
    if other.width != original.width:
        return f"gives {other.width} numbers per input, the original {original.width}"
    if other.vocabulary_size != original.vocabulary_size:
        return f"knows {other.vocabulary_size} tokens, the original {original.vocabulary_size}"
    if other.max_tokens < original.max_tokens:
        return f"takes {other.max_tokens} tokens at most, the original {original.max_tokens}"
    return ""
