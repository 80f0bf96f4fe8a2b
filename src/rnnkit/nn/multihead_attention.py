"""Self-attention of a decoder: each token looks at itself and at all before it.

    head_i(t) = Attention(R_t q_t, [R_1 k_1 … R_t k_t], [v_1 … v_t])     R_p turns by the place p, or is the identity

A cache holds the keys and values of the tokens read, keys turned already: a decoder begins at its sentence's first
token and forgets nothing, so the size of its cache is the next token's place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnkit.nn import positional_encoding


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
        self.attention = MultiHeadAttention(size, heads)

    def forward(self, x_BTE: Tensor, cache: KVCache) -> tuple[Tensor, KVCache]:
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
            q_BNTD, k_BNTD = (positional_encoding.apply_rotary(part, before) for part in (q_BNTD, k_BNTD))
        if not before:
            return self.attention.join(scaled_dot_product_attention(q_BNTD, k_BNTD, v_BNTD, causal=True)), (
                k_BNTD,
                v_BNTD,
            )
        now = (k_BNTD, v_BNTD)
        k_BNSD, v_BNSD = (torch.cat([old.to(new.dtype), new], dim=2) for old, new in zip(cache, now, strict=True))
        allowed_TS = causal_mask(steps, before + steps, None, x_BTE.device)
        return self.attention.join(scaled_dot_product_attention(q_BNTD, k_BNSD, v_BNSD, allowed_TS)), (k_BNSD, v_BNSD)

    def zero_state(self, like: Tensor) -> KVCache:
        """The cache before anything was read, for a batch as large as `like`'s first dimension."""
        heads = self.attention.heads
        empty_BN0D = like.new_zeros(like.shape[0], heads, 0, self.size // heads)
        return empty_BN0D, empty_BN0D.clone()


KVCache = tuple[Tensor, ...]


MAX_CACHED_MASKS = 16


def reference_attention(q_BNTD: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention as its equation.

    Args:
        q_BNTD: Queries of N heads.
        k_BNSD: Keys.
        v_BNSD: Values.
        allowed: True where a query may look at a key, in any shape that can be expanded to (B, N, T, S); each query
            may look at one key at least. Everywhere, unless given.

    Returns:
        What each query found (B, N, T, D).
    """
    scores_BNTS = q_BNTD @ k_BNSD.transpose(-1, -2) / math.sqrt(q_BNTD.shape[-1])
    if allowed is not None:
        mask = torch.zeros(allowed.shape, dtype=scores_BNTS.dtype, device=allowed.device)
        scores_BNTS = scores_BNTS + mask.masked_fill(~allowed, -math.inf)
    return torch.softmax(scores_BNTS, dim=-1) @ v_BNSD


def scaled_dot_product_attention(
    q_BNTD: Tensor,
    k_BNSD: Tensor,
    v_BNSD: Tensor,
    allowed: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """The same as `reference_attention`, fused, with dropout on the weights.

    With `causal` and nothing in `allowed`, of as many keys as queries each query looks at its own and those before.
    On a CPU it runs in float32 whatever autocast says: torch's gradient in 16 bits takes nine times as long.
    """
    if q_BNTD.device.type == "cpu" and q_BNTD.dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", enabled=False):
            found_BNTD = _fused_attention(q_BNTD.float(), k_BNSD.float(), v_BNSD.float(), allowed, dropout, causal)
        return found_BNTD.to(q_BNTD.dtype)
    return _fused_attention(q_BNTD, k_BNSD, v_BNSD, allowed, dropout, causal)


def _fused_attention(
    q_BNTD: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, allowed: Tensor | None, dropout: float, causal: bool
) -> Tensor:
    fused: Tensor = nn.functional.scaled_dot_product_attention(
        q_BNTD, k_BNSD, v_BNSD, attn_mask=allowed, dropout_p=dropout, is_causal=causal
    )
    return fused


def causal_mask(steps: int, keys: int, memory: int | None, device: torch.device) -> Tensor | None:
    """Which keys (T, S) the last T of S tokens may look at: themselves and `memory` before, or all before for None.

    Returns:
        None where it forbids nothing.
    """
    if steps == 1 and (memory is None or keys <= memory + 1):
        return None
    return _cached_mask(steps, keys, memory, device)


@lru_cache(MAX_CACHED_MASKS)
def _cached_mask(steps: int, keys: int, memory: int | None, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        place_T1 = torch.arange(keys - steps, keys, device=device).unsqueeze(1)
        distance_TS = place_T1 - torch.arange(keys, device=device)
        return (distance_TS >= 0) if memory is None else (distance_TS >= 0) & (distance_TS <= memory)


class MultiHeadAttention(nn.Module):
    """Attention of several heads, each in a projected space of its own.

    Args:
        size: Size E of what comes in and goes out.
        heads: Heads N, each of E / N numbers.
        rotary: Whether scores depend on how far a key is from its query.
        dropout: Share of the weights that training drops.

    Raises:
        ConfigError: The heads do not divide the size.
    """

    def __init__(self, size: int, heads: int, rotary: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or size % heads:
            raise ConfigError(
                f"{heads} heads cannot share a hidden size of {size}",
                hint=f"numbers of heads that can: {', '.join(str(n) for n in range(1, size + 1) if size % n == 0)}",
            )
        self.heads = heads
        self.rotary = rotary
        self.dropout = dropout
        self.query = xavier_linear(size, size)
        self.key_value = xavier_linear(size, 2 * size)
        self.output = xavier_linear(size, size)

    def keys_values(self, memory_BSE: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, N, S, D) of what is looked at; they depend on that alone, so they can be kept."""
        key_BSE, value_BSE = self.key_value(memory_BSE).chunk(2, dim=-1)
        return self._split(key_BSE), self._split(value_BSE)

    def forward(self, x_BTE: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Look from x at keys and values.

        Args:
            x_BTE: What looks. With rotary positions its tokens are the last of those that the keys belong to.
            k_BNSD: Keys, from `keys_values`.
            v_BNSD: Values.
            allowed: As in `reference_attention`: `window`, or for padded keys `~padding_BS[:, None, None]`, or both.
        """
        q_BNTD = self.queries(x_BTE)
        if self.rotary:
            q_BNTD = positional_encoding.apply_rotary(q_BNTD, k_BNSD.shape[2] - q_BNTD.shape[2])
            k_BNSD = positional_encoding.apply_rotary(k_BNSD)
        return self.join(
            scaled_dot_product_attention(q_BNTD, k_BNSD, v_BNSD, allowed, self.dropout if self.training else 0.0)
        )

    def weigh(
        self, x_BTE: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, allowed: Tensor | None = None, first: bool = False
    ) -> tuple[Tensor, Tensor]:
        """`forward` without rotary positions or dropout, and weights (B, T, S): the heads' mean, or the first's."""
        q_BNTD = self.queries(x_BTE)
        scores_BNTS = (q_BNTD @ k_BNSD.transpose(-1, -2)).float() / math.sqrt(q_BNTD.shape[-1])
        if allowed is not None:
            scores_BNTS = scores_BNTS.masked_fill(~allowed, -math.inf)
        weights_BNTS = torch.softmax(scores_BNTS, dim=-1)
        return self.join(weights_BNTS.to(v_BNSD.dtype) @ v_BNSD), weights_BNTS[:, 0] if first else weights_BNTS.mean(1)

    def queries(self, x_BTE: Tensor) -> Tensor:
        """What looks, in each head's own space (B, N, T, D)."""
        return self._split(self.query(x_BTE))

    def join(self, found_BNTD: Tensor) -> Tensor:
        """What all heads found, as one (B, T, E)."""
        joined_BTE: Tensor = self.output(found_BNTD.transpose(1, 2).flatten(2))
        return joined_BTE

    def _split(self, x_BTE: Tensor) -> Tensor:
        return x_BTE.view(*x_BTE.shape[:2], self.heads, -1).transpose(1, 2)


def xavier_linear(size: int, result: int) -> nn.Linear:
    layer = nn.Linear(size, result)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
