"""Which models a process serves: one, or several by name and version."""

from __future__ import annotations

import pytest

from trimtab_engine.errors import SettingError
from trimtab_engine.model_sources import ModelSource
from trimtab_engine.settings import read_settings


def models(**environ: str) -> tuple[ModelSource, ...]:
    return read_settings({f"TRIMTAB_{name}": value for name, value in environ.items()}).models


def test_several_models_have_names_of_their_own_and_version_1_unless_told() -> None:
    assert models(MODELS="minilm=package:m, rank@2024-06=my_models:load,big=/models/a=b") == (
        ModelSource("package:m", "minilm", "1"),
        ModelSource("my_models:load", "rank", "2024-06"),
        ModelSource("/models/a=b", "big", "1"),
    )


def test_one_model_takes_its_name_from_its_source_unless_told() -> None:
    assert models(MODEL="package:m") == (ModelSource("package:m", None, "1"),)
    assert models(MODEL="package:m", MODEL_NAME="x", MODELS="") == (ModelSource("package:m", "x", "1"),)


@pytest.mark.parametrize(
    "text",
    ["package:m", "=package:m", "a=", "a/b=package:m", "a=x,", "a=x,,b=y", "a@=x", "a@1/2=x", "*=x", f"{'a' * 129}=x"],
)
def test_a_list_that_cannot_be_read_is_refused_with_how_it_is_written(text: str) -> None:
    with pytest.raises(SettingError) as refusal:
        models(MODELS=text)
    assert str(refusal.value).startswith(f"TRIMTAB_MODELS is {text!r}; it accepts NAME=SOURCE or NAME@VERSION=SOURCE")


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(SettingError, match="it accepts each name once"):
        models(MODELS="a=x,a@2=y")


def test_more_models_than_one_process_serves_are_refused() -> None:
    assert len(models(MODELS=",".join(f"m{n}=x" for n in range(16)))) == 16
    with pytest.raises(SettingError, match="it accepts 1 to 16 models"):
        models(MODELS=",".join(f"m{n}=x" for n in range(17)))


@pytest.mark.parametrize("other", ["MODEL", "MODEL_NAME"])
def test_one_model_and_a_list_are_not_taken_together(other: str) -> None:
    with pytest.raises(SettingError, match=f"TRIMTAB_{other} is 'x' and TRIMTAB_MODELS is set too"):
        models(MODELS="a=package:m", **{other: "x"})


@pytest.mark.parametrize("environ", [{}, {"MODEL": ""}, {"MODEL_NAME": "x"}])
def test_without_any_model_the_refusal_says_what_is_accepted(environ: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=r"TRIMTAB_MODEL is not set; it accepts .* TRIMTAB_MODELS names several"):
        models(**environ)
