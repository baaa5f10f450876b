"""A `torch.export` archive as a model's source: what its files say, without torch.

An archive is a zip file. Newer ones hold weights as plain bytes; what is pickled or compiled code is refused here, and
the worker loads the rest with `weights_only`. That does not make a stranger's archive safe: torch evaluates the
expressions of the program's shapes by sympy, which runs what they say.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec

from trimtab_engine.errors import SettingError
from trimtab_engine.model_sources import FIRST_VERSION
from trimtab_engine.signature import Signature, TensorSpec, declare

ARCHIVE_SUFFIX = ".pt2"

_PROGRAMS = "models/"
_PROGRAM = f"{_PROGRAMS}model.json"
_CONFIGS = {
    "data/weights/model_weights_config.json": "weight_",
    "data/constants/model_constants_config.json": "tensor_",
}
_COMPILED = "data/aotinductor/"


class ExportedModel(msgspec.Struct, frozen=True, tag=True):
    """A program that `torch.export.save` wrote; `declared` names its tensors, None = as the program calls them."""

    name: str
    version: str
    archive: str
    declared: Signature | None


class _Payload(msgspec.Struct):
    path_name: str
    use_pickle: bool


class _Payloads(msgspec.Struct):
    config: dict[str, _Payload]


class _Declaration(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    max_length: int | None = None


def describe_archive(source: str, name: str | None, version: str = FIRST_VERSION) -> ExportedModel:
    """Describe an archive `x.pt2`, and what `x.json` beside it declares, where there is one.

    Raises:
        SettingError: there is no archive that may be loaded, or the declaration cannot be served.
    """
    path = Path(source).resolve()
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_code(path, archive)
    except SettingError:
        raise
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise SettingError(f"{path} cannot be read as an archive of torch.export.save: {error}") from error
    return ExportedModel(name or path.stem, version, str(path), _read_declaration(path.with_suffix(".json")))


def _refuse_code(path: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    files = {name.partition("/")[2]: name for name in names}
    if _PROGRAM not in files or not files.keys() >= _CONFIGS.keys():
        raise SettingError(f"{path} holds no {_PROGRAM} with plain weights; accepted is what torch.export.save writes")
    # torch loads every program, each with weights and constants of its own.
    if len(files) < len(names) or sum(name.startswith(_PROGRAMS) for name in files) > 1:
        raise SettingError(f"{path} holds more than one program; accepted is what torch.export.save writes")
    if any(name.startswith(_COMPILED) for name in files):
        raise SettingError(f"{path} holds compiled code; accepted is what torch.export.save writes")
    for name, prefix in _CONFIGS.items():
        for entry, payload in msgspec.json.decode(archive.read(files[name]), type=_Payloads).config.items():
            if payload.use_pickle or not payload.path_name.startswith(prefix):
                raise SettingError(f"{path} holds {entry[:80]!r} as a pickle; accepted are plain tensors")


def _read_declaration(path: Path) -> Signature | None:
    if not path.is_file():
        return None
    try:
        declared = msgspec.json.decode(path.read_bytes(), type=_Declaration)
        return declare(declared.inputs, declared.outputs, declared.max_length)
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} cannot be served: {error}") from error
