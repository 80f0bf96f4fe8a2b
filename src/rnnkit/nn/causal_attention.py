"""Self-attention of a decoder: each token looks at itself and at all before it.

    head_i(t) = Attention(R_t q_t, [R_1 k_1 … R_t k_t], [v_1 … v_t])     R_p turns by the place p, or is the identity

A cache holds the keys and values of the tokens read, keys turned already: a decoder begins at its sentence's first
token and forgets nothing, so the size of its cache is the next token's place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnkit.nn import positions, transformer
from rnnkit.nn.transformer import Cache, MultiHead


class CausalAttention(nn.Module):
    """Reads tokens from left to right.

    Args:
        size: Size E of the tokens.
        heads: Heads, which share it.
        rotary: Whether scores depend on how far apart two tokens are.
    """

    def __init__(self, size: int, heads: int, rotary: bool) -> None:
        super().__init__()
        self.size = size
        self.rotary = rotary
        self.attention = MultiHead(size, heads)

    def forward(self, x_BTE: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Read on.

        Args:
            x_BTE: Tokens that follow those in the cache.
            cache: Keys and values of the tokens before.

        Returns:
            What each token found (B, T, E), and the cache with these tokens in it.
        """
        steps, before = x_BTE.shape[1], cache[0].shape[2]
        q_BNTD = self.attention.queries(x_BTE)
        k_BNTD, v_BNTD = self.attention.keys_values(x_BTE)
        if self.rotary:
            q_BNTD, k_BNTD = (positions.rotate(part, before) for part in (q_BNTD, k_BNTD))
        if not before:
            return self.attention.join(transformer.attention(q_BNTD, k_BNTD, v_BNTD, causal=True)), (k_BNTD, v_BNTD)
        now = (k_BNTD, v_BNTD)
        k_BNSD, v_BNSD = (torch.cat([old.to(new.dtype), new], dim=2) for old, new in zip(cache, now, strict=True))
        allowed_TS = transformer.window(steps, before + steps, None, x_BTE.device)
        return self.attention.join(transformer.attention(q_BNTD, k_BNSD, v_BNSD, allowed_TS)), (k_BNSD, v_BNSD)

    def zero_state(self, like: Tensor) -> Cache:
        """The cache before anything was read, for a batch as large as `like`'s first dimension."""
        heads = self.attention.heads
        empty_BN0D = like.new_zeros(like.shape[0], heads, 0, self.size // heads)
        return empty_BN0D, empty_BN0D.clone()
