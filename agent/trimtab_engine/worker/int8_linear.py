"""Linear layers in 8-bit integers by oneDNN: weights scaled per output, activations per row while they run.

Activations go in as unsigned bytes with zero point 128: oneDNN has no fast kernel here for signed ones (measured: a
thousand times slower). A scale per row costs as much as one per batch, because the row's scale is applied together
with the bias; and one row's outlier does not coarsen its neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ZERO_POINT = 128
_STEPS = 127.0
_LEAST = 1e-12  # an output of zeros has no scale
_ROUNDING = 1.5 * 2**23
"""Added to a float32 it leaves the nearest integer in the low bits: six times as fast as a conversion to bytes."""


class Int8Linear(nn.Module):
    """Computes x W^T + b of x [..., rows_in] in int8; made from float layers, which stay as they are.

    Of several layers with one input the outputs come back side by side: the input is quantized once for all of them.
    """

    def __init__(self, *layers: nn.Linear) -> None:
        super().__init__()
        weight = torch.cat([layer.weight.detach().float() for layer in layers])
        scales = weight.abs().amax(1).clamp(min=_LEAST) / _STEPS
        integers = torch.round(weight / scales[:, None]).to(torch.int8)
        self.out_features, self.in_features = weight.shape
        self.weight_bytes = integers.numel() + scales.numel() * 4
        self._packed = torch.ops.onednn.qlinear_prepack(integers, None)
        self._scales = scales
        self._zero_points = torch.zeros(len(scales), dtype=torch.int64)
        # As wide as a row: torch adds a scalar tensor four times more slowly than a vector.
        self._offset = torch.full((self.in_features,), _ROUNDING + _ZERO_POINT)
        self._bias = torch.cat([_bias(layer) for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        """Return float outputs [..., rows_out]."""
        rows = x.reshape(-1, self.in_features)
        largest = rows.abs().amax(1, keepdim=True)
        # Of a row of zeros the bytes are anything, and its scale of 0 makes nothing of them.
        steps = torch.addcmul(self._offset, rows, largest.reciprocal(), value=_STEPS)
        product = torch.ops.onednn.qlinear_pointwise(
            steps.view(torch.int32).to(torch.uint8), 1.0 / _STEPS, _ZERO_POINT, self._packed, self._scales,
            self._zero_points, None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        outputs = torch.addcmul(self._bias, product, largest, out=product)
        return outputs.view(*x.shape[:-1], self.out_features)


def _bias(layer: nn.Linear) -> Tensor:
    return torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach().float()
