"""What a model's source names; a directory is described from its small JSON files, without torch or transformers."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trimtab_engine.errors import SettingError
from trimtab_engine.exported_archive import ARCHIVE_SUFFIX, ExportedModel, describe_archive
from trimtab_engine.model_sources import FIRST_VERSION

_PACKAGE_PREFIX = "package:"
_FACTORY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
_GENERATING = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
_POOLING_MODES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}

T = TypeVar("T")


class ModelDescription(msgspec.Struct, frozen=True, tag=True):
    """A text encoder with pooling, as its directory declares it."""

    name: str
    version: str
    directory: str
    model_type: str
    vocabulary_size: int
    width: int  # numbers per embedding
    max_tokens: int  # longer texts are truncated, longer token rows refused
    pooling: str  # mean | cls | max
    normalize: bool


class FactoryModel(msgspec.Struct, frozen=True, tag=True):
    """A model that a worker makes by calling `factory` (module:callable); only then is its signature known."""

    name: str
    version: str
    factory: str


Description = ModelDescription | FactoryModel | ExportedModel


def describe_model(source: str, name: str | None, version: str = FIRST_VERSION) -> Description:
    """Describe the model that `source` names: a directory, `package:NAME`, a `.pt2` archive or `module:factory`.

    A factory's module is not imported here: the front process runs no code of a model.

    Raises:
        SettingError: nothing usable is there.
    """
    if _FACTORY.fullmatch(source) and not source.startswith(_PACKAGE_PREFIX):
        return FactoryModel(name or source.rpartition(":")[2], version, source)
    if source.endswith(ARCHIVE_SUFFIX):
        return describe_archive(source, name, version)
    return describe_directory(source, name, version)


def describe_directory(source: str, name: str | None, version: str = FIRST_VERSION) -> ModelDescription:
    """Find and describe the text encoder in a directory, or in that of `package:NAME`.

    Raises:
        SettingError: nothing usable is there.
    """
    directory = _find_directory(source)
    config = _read_json(directory / "config.json", dict[str, Any])
    _refuse_generation(directory, config)
    if not (directory / "tokenizer.json").is_file():
        raise SettingError(f"the model is {source!r}; {directory} has no tokenizer.json, which the engine needs")
    pooling, normalize = _read_modules(directory)
    width, vocabulary = config.get("hidden_size", config.get("dim")), config.get("vocab_size")
    if not isinstance(width, int) or not isinstance(vocabulary, int):
        raise SettingError(f"{directory}/config.json has no hidden_size or vocab_size: it is not a text encoder")
    default_name = source.removeprefix(_PACKAGE_PREFIX) if source.startswith(_PACKAGE_PREFIX) else directory.name
    return ModelDescription(
        name=name or default_name,
        version=version,
        directory=str(directory),
        model_type=str(config.get("model_type", "")),
        vocabulary_size=vocabulary,
        width=width,
        max_tokens=_max_tokens(directory, config),
        pooling=pooling,
        normalize=normalize,
    )


def _refuse_generation(directory: Path, config: dict[str, Any]) -> None:
    """Refuse decoders, unless the directory says by its modules.json that they are used to embed."""
    architectures = [str(name) for name in config.get("architectures") or ()]
    generates = config.get("is_decoder") is True or any(name.endswith(_GENERATING) for name in architectures)
    if generates and not (directory / "modules.json").is_file():
        raise SettingError(
            f"{directory}/config.json describes a model that generates text ({', '.join(architectures) or 'decoder'}); "
            "this engine does not generate: serve it with vLLM"
        )


def _find_directory(source: str) -> Path:
    if not source.startswith(_PACKAGE_PREFIX):
        directory = Path(source).resolve()
        if not (directory / "config.json").is_file():
            raise SettingError(
                f"the model is {source!r}; accepted is a directory that holds a config.json, "
                "package:NAME, a .pt2 archive or module:factory"
            )
        return directory
    package = source.removeprefix(_PACKAGE_PREFIX)
    # find_spec of a top-level name reads its metadata and runs none of its code.
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for directory in _within(Path(root), depth=2):
            if (directory / "config.json").is_file() and (directory / "tokenizer.json").is_file():
                return directory
    raise SettingError(f"the model is {source!r}; no installed package of that name holds a model directory")


def _within(root: Path, depth: int) -> Iterator[Path]:
    yield root
    if depth > 0:
        for child in sorted(path for path in root.iterdir() if path.is_dir()):
            yield from _within(child, depth - 1)


def _read_json(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} cannot be read: {error}") from error


def _read_modules(directory: Path) -> tuple[str, bool]:
    """Pooling mode and normalisation; a directory without modules.json gets sentence-transformers' default, mean."""
    path = directory / "modules.json"
    if not path.is_file():
        return "mean", False
    pooling, normalize = "mean", False
    for module in _read_json(path, list[dict[str, Any]]):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            pooling = _pooling_mode(directory / str(module.get("path", "")) / "config.json")
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise SettingError(f"{path} has a module {kind!r}; accepted are Transformer, Pooling and Normalize")
    return pooling, normalize


def _pooling_mode(path: Path) -> str:
    config = _read_json(path, dict[str, Any])
    declared = config.get("pooling_mode")  # newer directories name the mode, older ones set one flag
    if isinstance(declared, str):
        modes = [declared]
    else:
        modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
        modes = [_POOLING_MODES.get(mode, mode) for mode in modes]
    if len(modes) != 1 or modes[0] not in _POOLING_MODES.values():
        raise SettingError(f"{path} asks for pooling {modes}; accepted is exactly one of mean, cls and max")
    return modes[0]


def _max_tokens(directory: Path, config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings", 512))
    declared = directory / "sentence_bert_config.json"
    length = _read_json(declared, dict[str, Any]).get("max_seq_length") if declared.is_file() else None
    return min(positions, length) if isinstance(length, int) and length > 0 else positions
