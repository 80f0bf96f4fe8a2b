"""A recurrent encoder: layers, in one direction or both, whose top states are the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnkit.models.memory import Encoded, Source
from rnnkit.models.sequence_config import Config
from rnnkit.models.skips import Skips
from rnnkit.nn.bidirectional import EncoderLayer
from rnnkit.nn.cells import State
from rnnkit.nn.kinds import RecurrentArch


class RecurrentEncoder(nn.Module):
    """Fits `memory.Encoder`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [config.embedding] + [config.hidden] * (config.layers - 1)
        shape = config.hidden, config.bidirectional, config.reset_inside, config.weight_drop
        arch = cast(RecurrentArch, config.arch)
        self.layers = nn.ModuleList(EncoderLayer(arch, size, *shape) for size in sizes)
        self.skips = Skips(config.layers, config)
        self.want_last = config.bridge == "last"

    def forward(self, x_BSE: Tensor, lengths_B: Tensor, source: Source) -> Encoded:
        """See `memory.Encoder`; each sentence is read from its own first to its own last token."""
        last: list[State] = []
        for depth, layer in enumerate(cast(Sequence[EncoderLayer], self.layers)):
            states_BSH, state = layer(self.skips.before(depth, x_BSE), lengths_B, want_last=self.want_last)
            last.append(state)
            x_BSE = self.skips.after(depth, x_BSE, states_BSH)
        return Encoded(self.skips.close(x_BSE), tuple(last))
