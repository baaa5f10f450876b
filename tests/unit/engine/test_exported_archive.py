"""Archives of torch.export as a source: what is read of them without torch, and what is never loaded."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from trimtab_engine.errors import SettingError
from trimtab_engine.exported_archive import ExportedModel
from trimtab_engine.model_directory import describe_model
from trimtab_engine.signature import Signature, TensorSpec

WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
DECLARED = {
    "inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "dtype": "float32", "shape": []}],
    "max_length": 8,
}


def config(path_name: str, use_pickle: object = False) -> dict[str, object]:
    return {"config": {"layer.weight": {"path_name": path_name, "use_pickle": use_pickle}}}


def an_archive(folder: Path, files: Mapping[str, object] | None = None) -> Path:
    path = folder / "ranker.pt2"
    content: dict[str, object] = {
        "models/model.json": {},
        WEIGHTS: config("weight_0"),
        CONSTANTS: {"config": {}},
        **(files or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in content.items():
            if value is not None:
                archive.writestr(f"ranker/{name}", json.dumps(value))
    return path


def test_an_archive_is_named_after_its_file_unless_told(tmp_path: Path) -> None:
    path = an_archive(tmp_path)
    assert describe_model(str(path), None) == ExportedModel("ranker", "1", str(path), None)
    assert describe_model(str(path), "other", "7") == ExportedModel("other", "7", str(path), None)


def test_the_file_beside_it_names_its_tensors(tmp_path: Path) -> None:
    (tmp_path / "ranker.json").write_text(json.dumps(DECLARED))
    described = describe_model(str(an_archive(tmp_path)), None)
    assert isinstance(described, ExportedModel)
    x, y = TensorSpec("x", "float32", (-1, 3)), TensorSpec("y", "float32", ())
    assert described.declared == Signature((x,), (y,), 8)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({WEIGHTS: config("weight_0", use_pickle=True)}, "holds 'layer.weight' as a pickle"),
        ({WEIGHTS: config("weight_0", use_pickle=None)}, "cannot be read"),
        ({WEIGHTS: {"config": {"w": {"path_name": "weight_0"}}}}, "cannot be read"),
        ({CONSTANTS: config("custom_obj_0")}, "holds 'layer.weight' as a pickle"),
        ({CONSTANTS: config("opaque_obj_0")}, "holds 'layer.weight' as a pickle"),
        ({"data/aotinductor/model/a.so": ""}, "holds compiled code"),
        ({"models/model.json": None}, "with plain weights"),
        ({"models/other.json": {}}, "holds more than one program"),
        ({WEIGHTS: None, "data/weights/model.pt": ""}, "with plain weights"),
        ({WEIGHTS: {"config": 3}}, "cannot be read"),
        ({WEIGHTS: {}}, "cannot be read"),
        ({WEIGHTS: {"config": {"w": 3}}}, "cannot be read"),
    ],
)
def test_what_could_run_code_is_refused_before_anything_is_loaded(
    tmp_path: Path, files: Mapping[str, object], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        describe_model(str(an_archive(tmp_path, files)), None)


def test_a_second_folder_hides_nothing_that_torch_would_load(tmp_path: Path) -> None:
    path = an_archive(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"other/{CONSTANTS}", json.dumps(config("opaque_obj_0")))
        archive.writestr(f"third/{CONSTANTS}", json.dumps({"config": {}}))
    with pytest.raises(SettingError, match="holds more than one program"):
        describe_model(str(path), None)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read as an archive"):
        describe_model(str(tmp_path / "absent.pt2"), None)
    (tmp_path / "pickle.pt2").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(SettingError, match="cannot be read as an archive"):
        describe_model(str(tmp_path / "pickle.pt2"), None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": []}, "inputs is"),
        ({"inputs": [{"name": "x", "dtype": "FP32", "shape": [3]}]}, "dtype 'FP32'"),
        ({"max_length": None}, "max_length is None"),
        ({"size": 3}, "unknown field"),
    ],
)
def test_a_declaration_that_cannot_be_served_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    (tmp_path / "ranker.json").write_text(json.dumps({**DECLARED, **change}))
    with pytest.raises(SettingError, match=rf"ranker\.json cannot be served: .*{message}"):
        describe_model(str(an_archive(tmp_path)), None)
