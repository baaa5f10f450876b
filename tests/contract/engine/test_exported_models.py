"""Archives that torch.export.save wrote: found tensors, refusals, and two of them served by one engine."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract.engine.conftest import EngineFactory
from contract.engine.running_engine import v2_tensor
from torch import Tensor, nn
from torch.export import Dim, export, save

from trimtab_engine.exported_archive import describe_archive
from trimtab_engine.signature import Signature, TensorSpec
from trimtab_engine.worker.exported import load_program, signature_of

BATCH = Dim("batch")
LENGTH = Dim("length", max=50)


class Score(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("shift", torch.ones(2))
        self.constant = torch.tensor([2.0, 3.0])

    def forward(self, x: Tensor, scale: Tensor) -> dict[str, Tensor]:
        both = self.linear(x) * scale[:, None] * self.constant + self.shift
        return {"score": both.sum(1), "both": both}


class Words(nn.Module):
    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        ids, mask = inputs["ids"], inputs["mask"]
        return ids + 1, (ids * mask).sum(1).to(torch.float32)


def export_score(path: Path) -> Score:
    torch.manual_seed(3)
    model = Score().eval()
    shapes = {"x": {0: BATCH}, "scale": {0: BATCH}}
    save(export(model, (torch.rand(4, 3), torch.rand(4)), dynamic_shapes=shapes), path)
    return model


def words(length: Any = LENGTH) -> Any:
    example = {"ids": torch.ones(4, 7, dtype=torch.int64), "mask": torch.ones(4, 7, dtype=torch.bool)}
    return export(Words(), (example,), dynamic_shapes={"inputs": {name: {0: BATCH, 1: length} for name in example}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("archives")
    save(words(), made / "words.pt2")
    declaration = {
        "inputs": [
            {"name": "ids", "dtype": "int64", "shape": [-1]},
            {"name": "mask", "dtype": "bool", "shape": [-1]},
        ],
        "outputs": [
            {"name": "next", "dtype": "int64", "shape": [-1]},
            {"name": "sum", "dtype": "float32", "shape": []},
        ],
        "max_length": 20,
    }
    (made / "words.json").write_text(json.dumps(declaration))
    return made


def test_the_tensors_of_a_program_are_found_in_it() -> None:
    assert signature_of(words(), None) == Signature(
        (TensorSpec("inputs_ids", "int64", (-1,)), TensorSpec("inputs_mask", "bool", (-1,))),
        (TensorSpec("output_0", "int64", (-1,)), TensorSpec("output_1", "float32", ())),
        50,
    )


def row_sum(x: Tensor) -> Tensor:
    return x.sum(1)


class Call(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "example", "shapes", "message"),
    [
        (row_sum, torch.rand(4, 3), None, r"'x' has shape \[4, 3\] in the program; accepted is a dynamic first axis"),
        (row_sum, torch.rand(4, 3), {0: Dim("batch", max=32)}, "the batch axis accepts 0 to 32 rows"),
        (torch.sum, torch.rand(4, 3), {0: BATCH}, r"'output' has shape \[\] in the program"),
        (row_sum, torch.rand(4, 3, 5), {0: BATCH, 1: LENGTH, 2: Dim("other", max=9)}, "accepted is one beside"),
        (torch.sin, torch.rand(4, 3), {0: BATCH, 1: Dim("length")}, "no bound of the rows' length"),
        (row_sum, torch.rand(4, 3, dtype=torch.bfloat16), {0: BATCH}, "dtype 'bfloat16'; accepted are"),
    ],
    ids=["fixed batch", "short batch", "no batch in the output", "two lengths", "no bound", "dtype"],
)
def test_a_program_that_cannot_be_batched_is_refused_with_what_is_accepted(
    function: Callable[[Tensor], Tensor], example: Tensor, shapes: Any, message: str
) -> None:
    program = export(Call(function), (example,), dynamic_shapes=None if shapes is None else {"x": shapes})
    with pytest.raises(ValueError, match=message):
        signature_of(program, None)


def test_a_declaration_of_other_tensors_is_refused(folder: Path) -> None:
    declared = describe_archive(str(folder / "words.pt2"), None).declared
    assert declared is not None
    program = words()
    assert signature_of(program, declared) == declared
    swapped = Signature(declared.inputs[::-1], declared.outputs, 20)
    with pytest.raises(ValueError, match=r"declared are mask bool\[-1\].*has, in this order, inputs_ids int64\[-1\]"):
        signature_of(program, swapped)
    with pytest.raises(ValueError, match="max_length is 51; the program accepts 1 to 50"):
        signature_of(program, Signature(declared.inputs, declared.outputs, 51))


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["TRAP"],)


def test_a_pickle_in_the_place_of_the_sample_inputs_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_score(tmp_path / "good.pt2")
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    with zipfile.ZipFile(tmp_path / "good.pt2") as good, zipfile.ZipFile(tmp_path / "bad.pt2", "w") as bad:
        for name in good.namelist():
            trap = name.endswith("sample_inputs/model.pt")
            bad.writestr(name, pickle.dumps(Trap()) if trap else good.read(name))
    with pytest.raises(Exception, match=r"(?i)weights.only|unpickl|zip"):
        load_program(describe_archive(str(tmp_path / "bad.pt2"), None), torch.device("cpu"))
    assert not (tmp_path / "sprung").exists()


def test_two_archives_are_served_by_one_engine(start_engine: EngineFactory, folder: Path) -> None:
    model = export_score(folder / "score.pt2")
    engine = start_engine(TRIMTAB_MODELS=f"score={folder / 'score.pt2'},words@2={folder / 'words.pt2'}")
    x, scale = torch.rand(5, 3), torch.rand(5)
    tensors = [v2_tensor("x", "FP32", x.numpy()), v2_tensor("scale", "FP32", scale.numpy())]
    reply = engine.infer({"inputs": tensors}, model="score")
    assert reply.headers["trimtab-version"] == "1/base"
    outputs = {output["name"]: output["data"] for output in reply.json()["outputs"]}
    with torch.inference_mode():
        expected = model(x, scale)
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value.flatten().numpy(), rtol=1e-5)
    ids = v2_tensor("ids", "INT64", np.array([[1, 2, 3], [4, 5, 6]]))
    mask = v2_tensor("mask", "BOOL", np.array([[True, True, False], [True, True, True]]))
    shifted, total = engine.infer({"inputs": [ids, mask]}, model="words").json()["outputs"]
    assert (shifted["name"], shifted["data"], total["data"]) == ("next", [2, 3, 4, 5, 6, 7], [3.0, 15.0])
