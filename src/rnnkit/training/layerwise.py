"""Layer-wise fine-tuning of a pretrained network (Howard and Ruder 2018, arXiv:1801.06146, sections 3.2 and 3.3).

    rate(group d) = rate * decay^d                     discriminative fine-tuning
    trained in epoch e: groups 0 to e                  gradual unfreezing

Group 0 has the output layers, group 1 the last layer of the encoder, and so on down to the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class LayerwiseTraining:
    """How the layers of a network are trained.

    Attributes:
        groups: Parameters by depth, the output layers first.
        decay: Learning rate of a group relative to that of the one above it.
        steps_per_group: Steps of an epoch, each of which begins with one more group; 0 trains all from the start.
    """

    groups: Sequence[Sequence[nn.Parameter]]
    decay: float = 1.0
    steps_per_group: int = 0

    def optimizer_groups(self) -> list[dict[str, Any]]:
        """Return parameter groups for a torch optimizer; `scale` is the factor of the learning rate."""
        return [{"params": list(group), "scale": self.decay**depth} for depth, group in enumerate(self.groups) if group]

    def apply(self, step: int) -> None:
        """Freeze the groups that are not trained in a step, counted from 0; a frozen one gets no gradient."""
        trained = step // self.steps_per_group + 1 if self.steps_per_group else len(self.groups)
        for depth, group in enumerate(self.groups):
            for parameter in group:
                parameter.requires_grad_(depth < trained)
