"""Scaling the loss, so that small gradients do not vanish in float16 (Micikevicius et al. 2018, arXiv:1710.03740).

    g = (d (s L) / d theta) / s

float16 knows nothing between 0 and 6e-8, and nothing above 65,504. What flows backwards is mostly small, so the loss is
multiplied by a scale s, as large a power of two as may be. It is found by trying (section 3.2 there): where any number
of the gradient is infinite or none at all, the weights stay as they are and the scale is halved; after some thousand
gradients without such a one it is doubled. Powers of two change no digit of a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

INITIAL_SCALE = 2.0**16
"""The first scale; a few steps at the beginning of a run may be spent on coming down from it."""

GROWTH_INTERVAL = 2000
"""Good gradients in a row after which the scale is doubled."""

MIN_SCALE = 1.0
"""A gradient that overflows when scaled by less has no room in float16."""


@dataclass
class LossScaler:
    """The scale of the next step.

    Attributes:
        value: What the loss is multiplied by.
        good: Gradients in a row that were numbers, since the scale was changed.
    """

    value: float = field(default_factory=lambda: INITIAL_SCALE)
    good: int = 0

    def update(self, finite: bool) -> None:
        """Hear whether a step's whole gradient was finite."""
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.value /= 2
        elif self.good == GROWTH_INTERVAL:
            self.value, self.good = self.value * 2, 0

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What a resumed run goes on with."""
        return {"value": np.array([self.value]), "good": np.array([self.good])}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take up where `state_dict` was made."""
        self.value, self.good = float(state["value"][0]), int(state["good"][0])
