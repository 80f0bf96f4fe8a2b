"""What decoding makes of a network's weights before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.models.step_maps import StepMap


@dataclass(frozen=True)
class Prepared:
    """Nothing, until a network is made ready for decoding.

    Attributes:
        products_VG: What a recurrent decoder's first layer makes of each target token, looked up instead of multiplied.
        output: What stands in for the output layer.
        encoding: Type of the encoder's products, which eight bits leave alone; float32 changes nothing.
    """

    products_VG: Tensor | None = None
    output: StepMap | None = None
    encoding: torch.dtype = torch.float32
