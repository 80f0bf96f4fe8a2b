"""Where a token stands, for networks that would not know otherwise.

Attention sees a set. Three ways to make a sequence of it, p being a token's place:

    sinusoidal   x_p + PE_p       PE_{p,2i} = sin(p / 10000^(2i/E)),  PE_{p,2i+1} = cos(p / 10000^(2i/E))
    learned      x_p + P_p        P a matrix with a row for each place that there may be
    rotary       (R_p q) . (R_j k) = q . (R_{j-p} k)   R_p turns the i-th pair of numbers by the angle p / 10000^(2i/D)

The first two (Vaswani et al. 2017, arXiv:1706.03762) are added to the embeddings and say where a token stands from the
start. Rotary positions (Su et al. 2021, arXiv:2104.09864) turn queries and keys, so that a score depends on how far
apart two tokens are and on nothing else: what was read long ago keeps its meaning, however long the text becomes.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from rnnkit.errors import DataError

WAVELENGTH_BASE = 10_000.0
"""The longest wave is this many places times 2 pi."""

MAX_CACHED_TABLES = 32


def sinusoidal_encoding(count: int, size: int, start: int = 0) -> Tensor:
    """Sines and cosines of places in turn (count, size), from the place `start` on."""
    angles_TE = _angles(start, count, size)
    table_TE = torch.stack([angles_TE.sin(), angles_TE.cos()], dim=-1).flatten(1)
    return table_TE[:, :size].float()


class SinusoidalPositions(nn.Module):
    """Adds `sinusoids`; any place has some."""

    def forward(self, x_BTE: Tensor, start: int = 0) -> Tensor:
        """Mark the places of x; `start` is the place of the first."""
        return x_BTE + sinusoidal_encoding(x_BTE.shape[1], x_BTE.shape[2], start).to(x_BTE)


class LearnedPositions(nn.Module):
    """Adds a learned row for each place.

    Args:
        most: How many places there are.
        size: Size of the embeddings.
    """

    def __init__(self, most: int, size: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(most, size))
        nn.init.normal_(self.rows, std=0.02)

    def forward(self, x_BTE: Tensor, start: int = 0) -> Tensor:
        """Mark the places of x; `start` is the place of the first.

        Raises:
            DataError: The text is longer than there are places.
        """
        end = start + x_BTE.shape[1]
        if end > len(self.rows):
            raise DataError(
                f"a text of {end:,} tokens is longer than the {len(self.rows):,} positions of the model",
                "learned positions have a row for each place and none beyond",
                hint="shorten the text, or train with more positions, or with rotary ones, which have no end",
            )
        return x_BTE + self.rows[start:end].to(x_BTE.dtype)


def apply_rotary(x_BNTD: Tensor, start: int = 0) -> Tensor:
    """Rotary positions: x_BNTD, queries or keys, turned as their places say.

    The i-th number makes a pair with the one half a vector on; of an odd D the last stays as it is.

    Args:
        x_BNTD: N heads of D numbers.
        start: Place of the first. Only differences of places count.
    """
    count, size = x_BNTD.shape[-2:]
    half = size // 2
    cos_TD, sin_TD = (
        part[start : start + count].to(x_BNTD.dtype) for part in _rotary_table(start + count, half, x_BNTD.device)
    )
    left, right = x_BNTD[..., :half], x_BNTD[..., half : 2 * half]
    turned = [left * cos_TD - right * sin_TD, right * cos_TD + left * sin_TD, x_BNTD[..., 2 * half :]]
    return torch.cat(turned, dim=-1)


def _rotary_table(count: int, half: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of at least so many places, each (count, half)."""
    return _cached_rotary_table(1 << max(count - 1, 0).bit_length(), half, device)


@lru_cache(MAX_CACHED_TABLES)
def _cached_rotary_table(count: int, half: int, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # a table made while decoding may serve in training
        angles_TD = _angles(0, count, 2 * half)
        return angles_TD.cos().float().to(device), angles_TD.sin().float().to(device)


def _angles(start: int, count: int, size: int) -> Tensor:
    """The angle p / 10000^(2i/size) of each place p and pair i, in float64."""
    place_T1 = torch.arange(start, start + count, dtype=torch.float64).unsqueeze(1)
    pair_E = torch.arange(0, size, 2, dtype=torch.float64)
    return place_T1 / WAVELENGTH_BASE ** (pair_E / max(size, 1))
