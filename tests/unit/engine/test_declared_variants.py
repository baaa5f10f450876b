"""Declared variants: what may be written, and what is refused at start because it cannot stand in for the original."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trimtab_engine.errors import SettingError
from trimtab_engine.model_directory import Description, FactoryModel, describe_model
from trimtab_engine.settings import read_settings
from trimtab_engine.variants.declared import DeclaredSource, describe_declared, read_declared

CONFIG = {"model_type": "bert", "hidden_size": 384, "vocab_size": 30522, "max_position_embeddings": 512}


def a_directory(path: Path, **config: Any) -> str:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG | config))
    (path / "tokenizer.json").write_text("{}")
    return str(path)


@pytest.fixture
def original(tmp_path: Path) -> Description:
    return describe_model(a_directory(tmp_path / "original"), "big")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("small=/models/small", [DeclaredSource("small", "/models/small")]),
        ("small=package:m, big/t=a:b", [DeclaredSource("small", "package:m"), DeclaredSource("t", "a:b", "big")]),
        ("a/x=/m,b/x=/m", [DeclaredSource("x", "/m", "a"), DeclaredSource("x", "/m", "b")]),
    ],
)
def test_variants_are_declared_by_name_and_source(text: str, expected: list[DeclaredSource]) -> None:
    assert list(read_declared(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["small", "=/m", "small=", "base=/m", "a b=/m", "small=/m,small=/n", ",", ",".join(f"v{n}=/m" for n in range(9))],
)
def test_what_is_written_otherwise_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(SettingError, match=r"TRIMTAB_VARIANTS is .*; it accepts "):
        read_settings({"TRIMTAB_MODEL": "package:m", "TRIMTAB_VARIANTS": text})


def test_a_directory_that_takes_and_gives_the_same_is_a_variant_of_the_only_model(
    tmp_path: Path, original: Description
) -> None:
    sources = read_declared(f"small={a_directory(tmp_path / 'small', max_position_embeddings=1024)},made=models:tiny")
    small, made = describe_declared(sources, [original])
    assert (small.name, small.model, made.model) == ("small", "big", "big")
    assert made.description == FactoryModel("made", "1", "models:tiny")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"hidden_size": 128}, "small gives 128 numbers per input, the original 384"),
        ({"vocab_size": 1000}, "small knows 1000 tokens, the original 30522"),
        ({"max_position_embeddings": 128}, "small takes 128 tokens at most, the original 512"),
    ],
)
def test_a_directory_that_takes_or_gives_something_else_is_refused_at_start(
    tmp_path: Path, original: Description, config: dict[str, int], reason: str
) -> None:
    with pytest.raises(SettingError, match=f"TRIMTAB_VARIANTS: {reason}"):
        describe_declared(read_declared(f"small={a_directory(tmp_path / 'small', **config)}"), [original])


def test_a_variant_of_no_model_or_of_nothing_is_refused_at_start(original: Description) -> None:
    other = FactoryModel("other", "1", "m:f")
    for text, models, reason in (
        ("x/small=m:f", [original], "names the model 'x'; served are big"),
        ("small=m:f", [original, other], "names the model ''; served are big, other"),
        ("small=/no/such/place", [original], "small: the model is '/no/such/place'"),
    ):
        with pytest.raises(SettingError, match=reason):
            describe_declared(read_declared(text), models)
