"""What decoding makes of a network's weights before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.nn.int8 import Int8Linear


@dataclass(frozen=True)
class Prepared:
    """Nothing, until a network is made ready for decoding.

    Attributes:
        products_VG: What a recurrent decoder's first layer makes of each target token, looked up instead of multiplied.
        output: The output layer in eight bits.
        encoding: Type of the encoder's products, which eight bits leave alone; float32 changes nothing.
    """

    products_VG: Tensor | None = None
    output: Int8Linear | None = None
    encoding: torch.dtype = torch.float32
