"""Linear layers in 8 bits by cuBLAS, for GPUs: weights scaled per output, activations per row while they run.

The interface is that of `int8_linear.py`, which is for CPUs. Plain operations around the product: each is a pass over
the activations, so that layers which are narrow, or see few rows, get slower. The search measures that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST = 1e-12  # a row of zeros has no scale
_FEWEST_ROWS = 17  # that cuBLAS multiplies in int8


class CublasLinear(nn.Module, ABC):
    """Computes x W^T + b of x [..., rows_in] in 8 bits; made from float layers, which stay as they are.

    Of several layers with one input the outputs come back side by side. The widths must be multiples of 16.
    """

    _largest: ClassVar[float]  # number of the format

    def __init__(self, *layers: nn.Linear) -> None:
        super().__init__()
        weight = torch.cat([layer.weight.detach().float() for layer in layers])
        self.out_features, self.in_features = weight.shape
        self._least = weight.new_full((1,), _LEAST)
        scales = self._scales_of(weight)
        self._weight = self._rounded(weight, scales)
        self._scales = scales.t()
        self._bias = torch.cat([_bias(layer) for layer in layers])
        self.weight_bytes = self._weight.nbytes + self._scales.nbytes

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs [..., rows_out] in the type of x."""
        rows = x.reshape(-1, self.in_features)
        scales = self._scales_of(rows)
        outputs = self._product(self._rounded(rows, scales), scales).to(x.dtype)
        return outputs.view(*x.shape[:-1], self.out_features)

    def _scales_of(self, rows: Tensor) -> Tensor:
        """Return what one step is worth in each row, [rows, 1]; the norm is the largest magnitude, in one pass."""
        largest = torch.linalg.vector_norm(rows, torch.inf, 1, True, dtype=torch.float32)
        return torch.add(self._least, largest, alpha=1.0 / self._largest)

    @abstractmethod
    def _rounded(self, rows: Tensor, scales: Tensor) -> Tensor:
        """Return rows in steps of their scales, as the nearest numbers of 8 bits."""

    @abstractmethod
    def _product(self, steps: Tensor, scales: Tensor) -> Tensor:
        """Return the outputs of rows of 8-bit numbers, [rows, rows_out]."""


class CublasFloat8Linear(CublasLinear):
    """In float8 (e4m3); needs compute capability 8.9 or newer."""

    _largest = 448.0

    def _rounded(self, rows: Tensor, scales: Tensor) -> Tensor:
        # Divided into bytes at once: one launch less than by way of floats.
        return torch.div(rows, scales, out=torch.empty_like(rows, dtype=torch.float8_e4m3fn))

    def _product(self, steps: Tensor, scales: Tensor) -> Tensor:
        # With a scale per row the result is bfloat16 only; its rounding is a sixteenth of what float8 loses.
        product = torch._scaled_mm(
            steps, self._weight.t(), scales, self._scales, out_dtype=torch.bfloat16, use_fast_accum=True
        )
        return product + self._bias


class CublasInt8Linear(CublasLinear):
    """In int8; the product comes back in 32 bits and is scaled in passes of its own: slower than float8."""

    _largest = 127.0

    def _rounded(self, rows: Tensor, scales: Tensor) -> Tensor:
        return torch.round(rows / scales).to(torch.int8)

    def _product(self, steps: Tensor, scales: Tensor) -> Tensor:
        padded = functional.pad(steps, (0, 0, 0, max(0, _FEWEST_ROWS - len(steps))))
        product = torch._int_mm(padded, self._weight.t())[: len(steps)]
        return torch.addcmul(self._bias, product * self._scales, scales)


def _bias(layer: nn.Linear) -> Tensor:
    return layer.weight.new_zeros(layer.out_features).float() if layer.bias is None else layer.bias.detach().float()
