"""Affine maps with weights laid out for products of some rows, for decoding in float32 on the CPU.

    [x 1] [W b]^T = W x + b

The weights, a column for the bias among them, are packed into panels once (`kernels/products.py`), not at every step.
A result depends on nothing but its own row, however many there are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """Stands in for `nn.Linear` where no gradient is wanted, on processors that the kernels suit.

    Args:
        weight_OI: Weights, in float32 on the CPU.
        bias_O: Bias; none unless given.

    Attributes:
        weight_OI: Weights.
        bias_O: Bias.
        panels: Both, packed.
    """

    weight_OI: Tensor
    bias_O: Tensor
    panels: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None) -> None:
        super().__init__()
        from rnnkit.kernels import products  # brings the compiler along

        weight_OI = weight_OI.detach()
        bias_O = weight_OI.new_zeros(len(weight_OI)) if bias_O is None else bias_O.detach()
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("bias_O", bias_O)
        self.register_buffer("panels", products.pack(torch.cat([weight_OI, bias_O.unsqueeze(1)], dim=1), True))

    @property
    def in_features(self) -> int:
        """Size of the input, I."""
        return self.weight_OI.shape[1]

    def rows(self, ids_C: Tensor) -> PackedLinear:
        """The map to these outputs alone."""
        return PackedLinear(self.weight_OI[ids_C], self.bias_O[ids_C])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        from rnnkit.kernels import products

        x_NI = nn.functional.pad(x.reshape(-1, x.shape[-1]), (0, 1), value=1.0)
        y_NO = products.packed_product(x_NI, self.panels, len(self.weight_OI))
        return y_NO.view(*x.shape[:-1], len(self.weight_OI))

    def reference(self, x: Tensor) -> Tensor:
        """The same as its equation."""
        return nn.functional.linear(x, self.weight_OI, self.bias_O)
