"""The Transformer's parts (Vaswani et al. 2017, arXiv:1706.03762), and a layer of them that reads from left to right.

    Attention(Q, K, V) = softmax(Q K^T / sqrt(d_k) + M) V      M is minus infinity where looking is forbidden, else 0
    MultiHead(x, m)    = [head_1; ...; head_h] W_O + b_O,  head_i = Attention(x W_i^Q, m W_i^K, m W_i^V)
    FFN(x)             = max(0, x W_1 + b_1) W_2 + b_2

Around each sub-layer there are a residual and a layer norm (Ba et al. 2016, arXiv:1607.06450):

    pre    x + Sublayer(LayerNorm(x))     trains without a warm-up (Xiong et al. 2020, arXiv:2002.04745)
    post   LayerNorm(x + Sublayer(x))     as in the paper

In self-attention the memory m is x, in attention over an encoder it is what the encoder has made; `MultiHead` does not
mind. `reference_attention` is the equation, `attention` torch's fused kernel.

`TransformerLayer` lets each token look at itself and at the `memory` tokens before it, and what it remembers of a text
is the keys and values of so many tokens. That window is the same wherever a text is cut into pieces, so reading it
piece by piece is reading it at once; Transformer-XL (Dai et al. 2019, arXiv:1901.02860), each of whose segments sees
the whole cache, is not so. Positions are rotary because these are relative: keys are kept as they are and turned by
their distance from the first that is looked at, so that nobody needs to count how much has been read.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from rnnkit.errors import ConfigError
from rnnkit.nn import positions
from rnnkit.nn.kinds import Norm

Cache = tuple[Tensor, ...]
"""Keys and values of the tokens before, each (B, N, S, D), not turned."""

WINDOWS_KEPT = 16


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


def attention(
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
            found_BNTD = _fused(q_BNTD.float(), k_BNSD.float(), v_BNSD.float(), allowed, dropout, causal)
        return found_BNTD.to(q_BNTD.dtype)
    return _fused(q_BNTD, k_BNSD, v_BNSD, allowed, dropout, causal)


def _fused(
    q_BNTD: Tensor, k_BNSD: Tensor, v_BNSD: Tensor, allowed: Tensor | None, dropout: float, causal: bool
) -> Tensor:
    fused: Tensor = nn.functional.scaled_dot_product_attention(
        q_BNTD, k_BNSD, v_BNSD, attn_mask=allowed, dropout_p=dropout, is_causal=causal
    )
    return fused


def window(steps: int, keys: int, memory: int | None, device: torch.device) -> Tensor | None:
    """Which keys (T, S) the last T of S tokens may look at: themselves and `memory` before, or all before for None.

    Returns:
        None where it forbids nothing.
    """
    if steps == 1 and (memory is None or keys <= memory + 1):
        return None
    return _kept_window(steps, keys, memory, device)


@lru_cache(WINDOWS_KEPT)
def _kept_window(steps: int, keys: int, memory: int | None, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        place_T1 = torch.arange(keys - steps, keys, device=device).unsqueeze(1)
        distance_TS = place_T1 - torch.arange(keys, device=device)
        return (distance_TS >= 0) if memory is None else (distance_TS >= 0) & (distance_TS <= memory)


class MultiHead(nn.Module):
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
        self.query = _linear(size, size)
        self.key_value = _linear(size, 2 * size)
        self.output = _linear(size, size)

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
            q_BNTD = positions.rotate(q_BNTD, k_BNSD.shape[2] - q_BNTD.shape[2])
            k_BNSD = positions.rotate(k_BNSD)
        return self.join(attention(q_BNTD, k_BNSD, v_BNSD, allowed, self.dropout if self.training else 0.0))

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


class FeedForward(nn.Module):
    """Two affine maps with a ReLU between them.

    Args:
        size: Size of what comes in and goes out.
        inner: Size between.
    """

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.inner = _linear(size, inner)
        self.outer = _linear(inner, size)

    def forward(self, x_BTE: Tensor) -> Tensor:
        """The same for each token."""
        result: Tensor = self.outer(torch.relu(self.inner(x_BTE)))
        return result


class TransformerLayer(nn.Module):
    """Self-attention to the left and a feed-forward network.

    Args:
        size: Size E of tokens, in and out.
        heads: Heads of the attention.
        memory: Tokens before itself that each token may look at.
        inner: Size within the feed-forward network; four times E unless given.
        dropout: Share that training drops of what each sub-layer adds.
        attention_dropout: Share of the attention's weights that training drops.
        norm: Where the layer norms are.
        last: Of a stack with its norms in front nothing has normalised what comes out: the last layer does.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        memory: int,
        inner: int | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        norm: Norm = "pre",
        last: bool = False,
    ) -> None:
        super().__init__()
        self.memory = memory
        self.pre = norm == "pre"
        self.attention = MultiHead(size, heads, rotary=True, dropout=attention_dropout)
        self.feed_forward = FeedForward(size, inner or 4 * size)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.closing = nn.LayerNorm(size) if last and self.pre else nn.Identity()

    def forward(self, x_BTE: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Read on.

        Args:
            x_BTE: Tokens that follow those in the cache.
            cache: Keys and values of up to `memory` tokens before; of none, unless given.

        Returns:
            The tokens (B, T, E), and the cache for what follows. Gradients flow through a cache that is not detached.
        """
        x_BTE, after = self._attend(x_BTE, self.zero_state(x_BTE) if cache is None else cache)
        if self.pre:
            x_BTE = x_BTE + self.dropout(self.feed_forward(self.feed_forward_norm(x_BTE)))
        else:
            x_BTE = self.feed_forward_norm(x_BTE + self.dropout(self.feed_forward(x_BTE)))
        return self.closing(x_BTE), after

    def zero_state(self, like: Tensor) -> Cache:
        """The cache before anything was read, for a batch as large as `like`'s first dimension."""
        size = self.attention.query.in_features // self.attention.heads
        empty_BN0D = like.new_zeros(like.shape[0], self.attention.heads, 0, size)
        return empty_BN0D, empty_BN0D.clone()

    def _attend(self, x_BTE: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        read_BTE = self.attention_norm(x_BTE) if self.pre else x_BTE
        now = self.attention.keys_values(read_BTE)
        k_BNSD, v_BNSD = (torch.cat([old.to(new.dtype), new], dim=2) for old, new in zip(cache, now, strict=True))
        keys = k_BNSD.shape[2]
        allowed_TS = window(x_BTE.shape[1], keys, self.memory, x_BTE.device)
        x_BTE = x_BTE + self.dropout(self.attention(read_BTE, k_BNSD, v_BNSD, allowed_TS))
        forgotten = max(0, keys - self.memory)
        after = k_BNSD[:, :, forgotten:], v_BNSD[:, :, forgotten:]
        return (x_BTE if self.pre else self.attention_norm(x_BTE)), after


def _linear(size: int, result: int) -> nn.Linear:
    layer = nn.Linear(size, result)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
