"""A linear layer in 8-bit integers by oneDNN: weights scaled per output, activations per row while it runs.

Activations go in as unsigned bytes with zero point 128: oneDNN has no fast kernel here for signed ones (measured: a
thousand times slower). A scale per row costs as much as one per batch, because the row's scale is applied together
with the bias; and one row's outlier does not coarsen its neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ZERO_POINT = 128
_STEPS = 127.0
_LEAST = 1e-12  # a row or an output of zeros has no scale


class Int8Linear(nn.Module):
    """Computes x W^T + b of x [..., rows_in] in int8; made from a float layer, which stays as it is."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = weight.abs().amax(1).clamp(min=_LEAST) / _STEPS
        integers = torch.round(weight / scales[:, None]).to(torch.int8)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight_bytes = integers.numel() + scales.numel() * 4
        self._packed = torch.ops.onednn.qlinear_prepack(integers, None)
        self._scales = scales
        self._zero_points = torch.zeros(len(scales), dtype=torch.int64)
        self._offset = torch.tensor(_ZERO_POINT + 0.5)  # the half makes truncation round
        self._bias = torch.zeros(len(scales)) if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Return float outputs [..., rows_out]."""
        rows = x.reshape(-1, self.in_features)
        largest = rows.abs().amax(1, keepdim=True).clamp_(min=_LEAST)
        integers = torch.addcmul(self._offset, rows, _STEPS / largest).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(
            integers, 1.0, _ZERO_POINT, self._packed, self._scales, self._zero_points, None,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.addcmul(self._bias, product, largest * (1.0 / _STEPS)).view(*x.shape[:-1], self.out_features)
