"""Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762), masks, KV cache, and positional encodings.

    Attention(Q, K, V) = softmax(Q K^T / sqrt(D) + M) V        M is 0 where a query may attend, else minus infinity
    MultiHead(x, m)    = [head_1; ...; head_N] W_O + b_O       head_i = Attention(x W_i^Q, m W_i^K, m W_i^V)

In self-attention the memory m is x itself, in cross-attention it is the encoder's output; `MultiHeadAttention` serves
both. `reference_attention` is the equation, `scaled_dot_product_attention` calls torch's fused kernel.

Masks are Boolean and follow torch: True where a query may attend to a key.

    sinusoidal   x_p + PE_p                            PE_{p,2i} = sin(p / 10000^(2i/E)),  PE_{p,2i+1} = cos(...)
    rotary       (R_p q) . (R_j k) = q . (R_{j-p} k)   R_p rotates the i-th pair of q by the angle p / 10000^(2i/D)

Sinusoidal (absolute) encodings are added to the embeddings. Rotary (relative) positions (RoPE; Su et al. 2021,
arXiv:2104.09864) rotate queries and keys, so that a score depends on the distance between two tokens only, however long
the text becomes.

Beyond the package's legend: N heads, D dimension of a head.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from rnnkit.errors import ConfigError

WAVELENGTH_BASE = 10_000.0
"""The longest wavelength is 2 pi times this many positions."""

MAX_CACHED_TABLES = 32

KVCache = tuple[Tensor, ...]
"""Keys and values of the preceding tokens, each (B, N, S, D)."""

MAX_CACHED_MASKS = 16


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
    """Rotate queries or keys by their positions: rotary positional encoding (RoPE).

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


def reference_attention(q_BNTD: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute scaled dot-product attention by its equation.

    Args:
        q_BNTD: Queries of N heads.
        k_BNSD: Keys.
        v_BNSD: Values.
        mask: True where a query may attend to a key; any shape that broadcasts to (B, N, T, S). Each query must have
            at least one key. None allows all.

    Returns:
        Context vectors (B, N, T, D).
    """
    scores_BNTS = q_BNTD @ k_BNSD.transpose(-1, -2) / math.sqrt(q_BNTD.shape[-1])
    if mask is not None:
        bias = torch.zeros(mask.shape, dtype=scores_BNTS.dtype, device=mask.device)
        scores_BNTS = scores_BNTS + bias.masked_fill(~mask, -math.inf)
    return torch.softmax(scores_BNTS, dim=-1) @ v_BNSD


def scaled_dot_product_attention(
    q_BNTD: Tensor,
    k_BNSD: Tensor,
    v_BNSD: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """Compute `reference_attention` with torch's fused kernel, with dropout on the attention weights.

    On a CPU it runs in float32 even under autocast: torch's 16-bit gradient takes nine times as long.

    Args:
        q_BNTD: Queries.
        k_BNSD: Keys.
        v_BNSD: Values.
        mask: As for `reference_attention`.
        dropout: Dropout rate of the attention weights.
        causal: Let each query attend to its own position and the ones before it; needs T = S and no `mask`.
    """
    if q_BNTD.device.type == "cpu" and q_BNTD.dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", enabled=False):
            context_BNTD = _fused_attention(q_BNTD.float(), k_BNSD.float(), v_BNSD.float(), mask, dropout, causal)
        return context_BNTD.to(q_BNTD.dtype)
    return _fused_attention(q_BNTD, k_BNSD, v_BNSD, mask, dropout, causal)


def _fused_attention(
    q_BNTD: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, mask: Tensor | None, dropout: float, causal: bool
) -> Tensor:
    fused: Tensor = nn.functional.scaled_dot_product_attention(
        q_BNTD, k_BNSD, v_BNSD, attn_mask=mask, dropout_p=dropout, is_causal=causal
    )
    return fused


def causal_mask(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor | None:
    """Return the mask (T, S) of causal attention, with or without a sliding window.

    Args:
        queries: Number T of queries; they are the last T of the S tokens.
        keys: Number S of keys.
        window: Tokens before itself that a query may attend to; None for all.
        device: Device of the mask.

    Returns:
        The mask, or None where it would allow everything.
    """
    if queries == 1 and (window is None or keys <= window + 1):
        return None
    return _cached_mask(queries, keys, window, device)


@lru_cache(MAX_CACHED_MASKS)
def _cached_mask(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a mask made while decoding may be reused in training
        position_T1 = torch.arange(keys - queries, keys, device=device).unsqueeze(1)
        distance_TS = position_T1 - torch.arange(keys, device=device)
        return (distance_TS >= 0) if window is None else (distance_TS >= 0) & (distance_TS <= window)


class MultiHeadAttention(nn.Module):
    """Multi-head attention over given keys and values.

    Args:
        size: Size E of input and output.
        heads: Number N of heads, of E / N dimensions each.
        rotary: Use rotary positions (RoPE): scores depend on the distance between query and key.
        dropout: Dropout rate of the attention weights.

    Raises:
        ConfigError: `heads` does not divide `size`.
    """

    def __init__(self, size: int, heads: int, rotary: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or size % heads:
            raise ConfigError(
                f"the hidden size ({size}) is not divisible by the number of heads ({heads})",
                hint=f"possible numbers of heads: {', '.join(str(n) for n in range(1, size + 1) if size % n == 0)}",
                option="--heads",
            )
        self.heads = heads
        self.rotary = rotary
        self.dropout = dropout
        self.query = xavier_linear(size, size)
        self.key_value = xavier_linear(size, 2 * size)
        self.output = xavier_linear(size, size)

    def keys_values(self, memory_BSE: Tensor) -> tuple[Tensor, Tensor]:
        """Project the memory to keys and values (B, N, S, D), which can be cached as they depend on nothing else."""
        key_BSE, value_BSE = self.key_value(memory_BSE).chunk(2, dim=-1)
        return self._split_heads(key_BSE), self._split_heads(value_BSE)

    def queries(self, x_BTE: Tensor) -> Tensor:
        """Project x to queries (B, N, T, D)."""
        return self._split_heads(self.query(x_BTE))

    def forward(self, x_BTE: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from x to keys and values.

        Args:
            x_BTE: Input of the queries. With rotary positions, its tokens are the last T of the S tokens.
            k_BNSD: Keys from `keys_values`.
            v_BNSD: Values from `keys_values`.
            mask: As for `reference_attention`: `causal_mask`, `~padding_BS[:, None, None]`, or both combined.

        Returns:
            Output of all heads (B, T, E).
        """
        q_BNTD = self.queries(x_BTE)
        if self.rotary:
            q_BNTD = apply_rotary(q_BNTD, k_BNSD.shape[2] - q_BNTD.shape[2])
            k_BNSD = apply_rotary(k_BNSD)
        dropout = self.dropout if self.training else 0.0
        return self.merge_heads(scaled_dot_product_attention(q_BNTD, k_BNSD, v_BNSD, mask, dropout))

    def forward_with_weights(
        self, x_BTE: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, mask: Tensor | None = None, first_head: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Attend as `forward` does, without rotary positions or dropout, and return the attention weights too.

        Args:
            x_BTE: Input of the queries.
            k_BNSD: Keys.
            v_BNSD: Values.
            mask: As for `forward`.
            first_head: Return the weights of the first head, not the mean of all heads.

        Returns:
            Output (B, T, E) and weights (B, T, S).
        """
        q_BNTD = self.queries(x_BTE)
        scores_BNTS = (q_BNTD @ k_BNSD.transpose(-1, -2)).float() / math.sqrt(q_BNTD.shape[-1])
        if mask is not None:
            scores_BNTS = scores_BNTS.masked_fill(~mask, -math.inf)
        weights_BNTS = torch.softmax(scores_BNTS, dim=-1)
        output_BTE = self.merge_heads(weights_BNTS.to(v_BNSD.dtype) @ v_BNSD)
        return output_BTE, weights_BNTS[:, 0] if first_head else weights_BNTS.mean(1)

    def merge_heads(self, context_BNTD: Tensor) -> Tensor:
        """Concatenate the heads' contexts and apply the output projection; (B, T, E)."""
        output_BTE: Tensor = self.output(context_BNTD.transpose(1, 2).flatten(2))
        return output_BTE

    def _split_heads(self, x_BTE: Tensor) -> Tensor:
        return x_BTE.view(*x_BTE.shape[:2], self.heads, -1).transpose(1, 2)


class CausalAttention(nn.Module):
    """Causal self-attention of a decoder, with a KV cache.

        head_i(t) = Attention(R_t q_t, [R_1 k_1 ... R_t k_t], [v_1 ... v_t])

    R_p rotates by position p, or is the identity. Keys are cached after rotation: a decoder starts at the first token
    of its sentence and drops nothing from the cache, so the length of the cache is the position of the next token.

    Args:
        size: Size E of the tokens.
        heads: Number of heads.
        rotary: Use rotary positions.
    """

    def __init__(self, size: int, heads: int, rotary: bool) -> None:
        super().__init__()
        self.size = size
        self.rotary = rotary
        self.attention = MultiHeadAttention(size, heads)

    def forward(self, x_BTE: Tensor, cache: KVCache) -> tuple[Tensor, KVCache]:
        """Attend from tokens to themselves and to all tokens before them.

        Args:
            x_BTE: Tokens that follow those in the cache.
            cache: Keys and values of the preceding tokens.

        Returns:
            Output (B, T, E), and the cache extended by these tokens.
        """
        queries, past = x_BTE.shape[1], cache[0].shape[2]
        q_BNTD = self.attention.queries(x_BTE)
        k_BNTD, v_BNTD = self.attention.keys_values(x_BTE)
        if self.rotary:
            q_BNTD, k_BNTD = (apply_rotary(part, past) for part in (q_BNTD, k_BNTD))
        new = (k_BNTD, v_BNTD)
        if not past:
            return self.attention.merge_heads(scaled_dot_product_attention(q_BNTD, *new, causal=True)), new
        k_BNSD, v_BNSD = (torch.cat([old.to(add.dtype), add], dim=2) for old, add in zip(cache, new, strict=True))
        mask_TS = causal_mask(queries, past + queries, None, x_BTE.device)
        context_BNTD = scaled_dot_product_attention(q_BNTD, k_BNSD, v_BNSD, mask_TS)
        return self.attention.merge_heads(context_BNTD), (k_BNSD, v_BNSD)

    def zero_state(self, like: Tensor) -> KVCache:
        """Return an empty cache for the batch size of `like`, its first dimension."""
        heads = self.attention.heads
        empty_BN0D = like.new_zeros(like.shape[0], heads, 0, self.size // heads)
        return empty_BN0D, empty_BN0D.clone()


def xavier_linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer with Xavier-uniform weights and a zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
