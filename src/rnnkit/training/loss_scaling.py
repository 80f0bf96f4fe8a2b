"""Dynamic loss scaling for float16 (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2).

    g = (d (s L) / d theta) / s

float16 has no values between 0 and 6e-8, and none above 65,504. Most gradients are small, so the loss is multiplied by
a scale s, a power of two that is as large as possible: if any value of the gradient is infinite or NaN, the step is
skipped and s is halved; after some thousand finite gradients s is doubled. Powers of two do not round a gradient.

This is `torch.amp.GradScaler` without torch and with a state that is saved exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

INITIAL_SCALE = 2.0**16
"""Scale of the first step; a run may skip a few steps at its beginning until the scale is low enough."""

GROWTH_INTERVAL = 2000
"""Consecutive finite gradients after which the scale is doubled."""

MIN_SCALE = 1.0
"""A gradient that overflows at a lower scale cannot be represented in float16."""


@dataclass
class LossScaler:
    """Scale of the next step's loss.

    Attributes:
        scale: Factor of the loss.
        finite_steps: Consecutive finite gradients since the scale changed.
    """

    scale: float = field(default_factory=lambda: INITIAL_SCALE)
    finite_steps: int = 0

    def update(self, finite: bool) -> None:
        """Adapt the scale, given whether the whole gradient of a step was finite."""
        self.finite_steps = self.finite_steps + 1 if finite else 0
        if not finite:
            self.scale /= 2
        elif self.finite_steps == GROWTH_INTERVAL:
            self.scale, self.finite_steps = self.scale * 2, 0

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        return {"value": np.array([self.scale]), "good": np.array([self.finite_steps])}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore a state from `state_dict`."""
        self.scale, self.finite_steps = float(state["value"][0]), int(state["good"][0])
