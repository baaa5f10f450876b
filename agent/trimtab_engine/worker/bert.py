"""A BERT encoder in plain torch, for checkpoints whose config says `model_type: bert`.

Importing transformers' BertModel costs about three times the CPU time of importing torch, which a pod with a third of
a core pays with twenty seconds of start-up. Parameter names are those of the checkpoint; the arithmetic is compared
with transformers in tests/contract/engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from trimtab_engine.worker.packed_linear import PackedLinear
from trimtab_engine.worker.packed_rows import PackedRows, pack, spread

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}


@dataclass(frozen=True, slots=True)
class BertShape:
    """The numbers of a BERT checkpoint."""

    vocabulary: int
    positions: int
    token_types: int
    width: int
    inner_width: int
    layers: int
    heads: int
    epsilon: float
    activation: str


def bert_shape(config: dict[str, Any]) -> BertShape | None:
    """Return the shape of a checkpoint that this encoder computes exactly, or None where transformers is needed."""
    known = (
        config.get("model_type") == "bert"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and config.get("hidden_act", "gelu") in _ACTIVATIONS
        and not config.get("is_decoder", False)
    )
    if not known:
        return None
    return BertShape(
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        token_types=config.get("type_vocab_size", 2),
        width=config["hidden_size"],
        inner_width=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        epsilon=config.get("layer_norm_eps", 1e-12),
        activation=config.get("hidden_act", "gelu"),
    )


class Weights:
    """Checkpoint tensors below a prefix, checked for presence and shape when they are taken."""

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
        self._tensors = tensors
        self._prefix = prefix

    def below(self, name: str) -> Weights:
        """Return the tensors of a submodule."""
        return Weights(self._tensors, f"{self._prefix}{name}.")

    def take(self, name: str, *shape: int) -> nn.Parameter:
        """Return one tensor as a float32 parameter without gradient.

        Raises:
            ValueError: it is missing or has another shape.
        """
        full_name = f"{self._prefix}{name}"
        tensor = self._tensors.get(full_name)
        if tensor is None or tensor.shape != shape:
            found = "missing" if tensor is None else f"of shape {tuple(tensor.shape)}"
            raise ValueError(f"weight {full_name} is {found}; the config asks for shape {shape}")
        return nn.Parameter(tensor.float(), requires_grad=False)


def load_bert(shape: BertShape, tensors: Mapping[str, Tensor]) -> BertEncoder:
    """Build the encoder on a checkpoint's weights; the pooler and saved position ids are not needed.

    Raises:
        ValueError: a weight is missing or has another shape.
    """
    return BertEncoder(shape, Weights({name.removeprefix("bert."): tensor for name, tensor in tensors.items()}))


class BertEncoder(nn.Module):
    """Token ids and mask to hidden states."""

    def __init__(self, shape: BertShape, weights: Weights) -> None:
        super().__init__()
        self.embeddings = _Embeddings(shape, weights.below("embeddings"))
        self.encoder = nn.Module()
        layers = weights.below("encoder").below("layer")
        self._layers = [_Layer(shape, layers.below(str(index))) for index in range(shape.layers)]
        self.encoder.layer = nn.ModuleList(self._layers)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return hidden states [rows, tokens, width] of ids and boolean mask [rows, tokens]."""
        rows = pack(mask)
        hidden = self.embeddings(ids.flatten()[rows.places], rows.places % ids.shape[1])
        for layer in self._layers:
            hidden = layer(hidden, rows)
        return spread(hidden, rows.places, mask.shape)


class _Embeddings(nn.Module):
    def __init__(self, shape: BertShape, weights: Weights) -> None:
        super().__init__()
        self.word_embeddings = _embedding(weights.below("word_embeddings"), shape.vocabulary, shape.width)
        self.position_embeddings = _embedding(weights.below("position_embeddings"), shape.positions, shape.width)
        self.token_type_embeddings = _embedding(weights.below("token_type_embeddings"), shape.token_types, shape.width)
        self.LayerNorm = _norm(weights.below("LayerNorm"), shape)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        total = self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + self.position_embeddings(positions)
        normed: Tensor = self.LayerNorm(total)
        return normed


class _SelfAttention(nn.Module):
    layers_of_one_input = ("query", "key", "value")

    def __init__(self, shape: BertShape, weights: Weights) -> None:
        super().__init__()
        self.query = _linear(weights.below("query"), shape.width, shape.width)
        self.key = _linear(weights.below("key"), shape.width, shape.width)
        self.value = _linear(weights.below("value"), shape.width, shape.width)
        self.joined: nn.Module | None = None
        self._heads, self._width = shape.heads, shape.width

    def join(self, joined: nn.Module) -> None:
        """Take one layer that gives query, key and value side by side, in their place."""
        for name in self.layers_of_one_input:
            delattr(self, name)
        self.joined = joined

    def forward(self, hidden: Tensor, rows: PackedRows) -> Tensor:
        if self.joined is None:
            projections = self.query(hidden), self.key(hidden), self.value(hidden)
        else:
            projections = self.joined(hidden).split(self._width, 1)
        return rows.attend(*(x.view(len(x), self._heads, -1) for x in projections)).flatten(1)


class _Output(nn.Module):
    """Linear, residual, norm: BERT's `output` block, used twice per layer."""

    def __init__(self, shape: BertShape, weights: Weights, width_in: int) -> None:
        super().__init__()
        self.dense = _linear(weights.below("dense"), width_in, shape.width)
        self.LayerNorm = _norm(weights.below("LayerNorm"), shape)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense(x) + residual)
        return normed


class _Layer(nn.Module):
    def __init__(self, shape: BertShape, weights: Weights) -> None:
        super().__init__()
        attention = weights.below("attention")
        self.attention = nn.ModuleDict(
            {
                "self": _SelfAttention(shape, attention.below("self")),
                "output": _Output(shape, attention.below("output"), shape.width),
            }
        )
        self.intermediate = nn.Module()
        inner = _linear(weights.below("intermediate").below("dense"), shape.width, shape.inner_width)
        self.intermediate.dense = inner
        self.output = _Output(shape, weights.below("output"), shape.inner_width)
        self._activation = _ACTIVATIONS[shape.activation]

    def forward(self, hidden: Tensor, rows: PackedRows) -> Tensor:
        hidden = self.attention["output"](self.attention["self"](hidden, rows), hidden)
        out: Tensor = self.output(self._activation(self.intermediate.dense(hidden)), hidden)  # type: ignore[operator]
        return out


# The modules are made tiny and given the checkpoint's tensors: torch's meta device, the usual way to skip the random
# initialisation, imports sympy and dynamo (4 s of CPU, 150 MB).


def _linear(weights: Weights, width_in: int, width_out: int) -> nn.Linear:
    linear = PackedLinear(1, 1)
    linear.in_features, linear.out_features = width_in, width_out
    linear.weight, linear.bias = weights.take("weight", width_out, width_in), weights.take("bias", width_out)
    return linear


def _norm(weights: Weights, shape: BertShape) -> nn.LayerNorm:
    norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
    norm.weight, norm.bias = weights.take("weight", shape.width), weights.take("bias", shape.width)
    return norm


def _embedding(weights: Weights, rows: int, width: int) -> nn.Embedding:
    return nn.Embedding(rows, width, _weight=weights.take("weight", rows, width))
