"""Positional encodings for attention: sinusoidal (absolute) and rotary (relative).

    sinusoidal   x_p + PE_p                            PE_{p,2i} = sin(p / 10000^(2i/E)),  PE_{p,2i+1} = cos(...)
    rotary       (R_p q) . (R_j k) = q . (R_{j-p} k)   R_p rotates the i-th pair of q by the angle p / 10000^(2i/D)

Sinusoidal encodings (Vaswani et al. 2017, arXiv:1706.03762) are added to the embeddings. Rotary positions (RoPE; Su et
al. 2021, arXiv:2104.09864) rotate queries and keys, so that a score depends on the distance between two tokens only,
however long the text becomes.

Beyond the package's legend: N heads, D dimension of a head.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

WAVELENGTH_BASE = 10_000.0
"""The longest wavelength is 2 pi times this many positions."""

MAX_CACHED_TABLES = 32


def sinusoidal_encoding(count: int, size: int, start: int = 0) -> Tensor:
    """Return sinusoidal encodings (count, size) of the positions from `start` on."""
    angles_TE = _angles(start, count, size)
    table_TE = torch.stack([angles_TE.sin(), angles_TE.cos()], dim=-1).flatten(1)
    return table_TE[:, :size].float()


class SinusoidalPositions(nn.Module):
    """Adds sinusoidal encodings to embeddings; the number of positions is not limited."""

    def forward(self, x_BTE: Tensor, start: int = 0) -> Tensor:
        """Add the encodings; `start` is the position of the first token."""
        return x_BTE + sinusoidal_encoding(x_BTE.shape[1], x_BTE.shape[2], start).to(x_BTE)


def apply_rotary(x_BNTD: Tensor, start: int = 0) -> Tensor:
    """Rotate queries or keys by their positions (RoPE).

    Element i forms a pair with element i + D // 2; with an odd D, the last element stays unchanged.

    Args:
        x_BNTD: Queries or keys of N heads.
        start: Position of the first token. Scores depend on differences of positions only.
    """
    count, size = x_BNTD.shape[-2:]
    half = size // 2
    cos_TD, sin_TD = (
        part[start : start + count].to(x_BNTD.dtype) for part in _rotary_table(start + count, half, x_BNTD.device)
    )
    left, right = x_BNTD[..., :half], x_BNTD[..., half : 2 * half]
    rotated = [left * cos_TD - right * sin_TD, right * cos_TD + left * sin_TD, x_BNTD[..., 2 * half :]]
    return torch.cat(rotated, dim=-1)


def _rotary_table(count: int, half: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of at least `count` positions, each (positions, half).

    Sizes are powers of two, so that a growing text needs few tables.
    """
    return _cached_rotary_table(1 << max(count - 1, 0).bit_length(), half, device)


@lru_cache(MAX_CACHED_TABLES)
def _cached_rotary_table(count: int, half: int, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # a table made while decoding may be reused in training
        angles_TD = _angles(0, count, 2 * half)
        return angles_TD.cos().float().to(device), angles_TD.sin().float().to(device)


def _angles(start: int, count: int, size: int) -> Tensor:
    """Return the angle p / 10000^(2i/size) of each position p and pair i, in float64."""
    position_T1 = torch.arange(start, start + count, dtype=torch.float64).unsqueeze(1)
    pair_E = torch.arange(0, size, 2, dtype=torch.float64)
    return position_T1 / WAVELENGTH_BASE ** (pair_E / max(size, 1))
