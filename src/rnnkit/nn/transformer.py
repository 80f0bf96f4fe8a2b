"""Transformer layers (Vaswani et al. 2017, arXiv:1706.03762): feed-forward network, residual connection, causal layer.

    FFN(x) = max(0, x W_1 + b_1) W_2 + b_2

Around each sub-layer stand a residual connection, dropout and a layer norm (Ba et al. 2016, arXiv:1607.06450):

    pre    x + drop(Sublayer(LayerNorm(x)))     trains without warm-up (Xiong et al. 2020, arXiv:2002.04745)
    post   LayerNorm(x + drop(Sublayer(x)))     as in the paper

Attention is in `multihead_attention.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnnkit.nn.dropout import Dropout
from rnnkit.nn.kinds import Norm
from rnnkit.nn.multihead_attention import KVCache, MultiHeadAttention, causal_mask, xavier_linear


class FeedForward(nn.Module):
    """Position-wise feed-forward network with a ReLU.

    Args:
        size: Size of input and output.
        inner: Size of the hidden layer.
    """

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.inner = xavier_linear(size, inner)
        self.outer = xavier_linear(inner, size)

    def forward(self, x_BTE: Tensor) -> Tensor:
        """Map each token (B, T, E) on its own."""
        output: Tensor = self.outer(torch.relu(self.inner(x_BTE)))
        return output


class ResidualConnection(nn.Module):
    """Residual connection with dropout and pre- or post-norm; the caller applies the sub-layer between its two halves.

    Args:
        size: Size of the tokens.
        norm: Position of the layer norm.
        dropout: Dropout of the sub-layer's output.
    """

    def __init__(self, size: int, norm: Norm, dropout: Dropout) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.pre = norm == "pre"
        self.dropout = dropout

    def sublayer_input(self, x_BTE: Tensor) -> Tensor:
        """Return the input of the sub-layer: x, normalized with pre-norm."""
        input_BTE: Tensor = self.norm(x_BTE) if self.pre else x_BTE
        return input_BTE

    def add(self, x_BTE: Tensor, output_BTE: Tensor) -> Tensor:
        """Add the sub-layer's output to x; with post-norm, normalize the sum."""
        sum_BTE = x_BTE + self.dropout(output_BTE)
        result_BTE: Tensor = sum_BTE if self.pre else self.norm(sum_BTE)
        return result_BTE


def final_norm(size: int, norm: Norm) -> nn.Module:
    """Return the module that ends a stack: a layer norm with pre-norm layers, whose sums are not normalized."""
    return nn.LayerNorm(size) if norm == "pre" else nn.Identity()


@dataclass(frozen=True)
class TransformerSettings:
    """Shape and dropout of a Transformer layer.

    Attributes:
        size: Size E of the tokens.
        heads: Number of attention heads.
        memory: Tokens before itself that each token may attend to.
        inner: Hidden size of the feed-forward network; four times E by default.
        dropout: Dropout rate of the sub-layers' outputs.
        attention_dropout: Dropout rate of the attention weights.
        norm: Position of the layer norms.
    """

    size: int
    heads: int
    memory: int
    inner: int | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    norm: Norm = "pre"


class TransformerLayer(nn.Module):
    """Causal self-attention over a sliding window, and a feed-forward network.

    Each token attends to itself and to the `memory` tokens before it, and the cache holds the keys and values of as
    many tokens. The window does not depend on how a text is cut into segments, so that processing it segment by segment
    equals processing it at once; this does not hold for Transformer-XL (Dai et al. 2019, arXiv:1901.02860), where every
    token of a segment sees the whole cache. Positions are rotary, hence relative: keys are cached without rotation and
    rotated by their distance from the first key of the window, and no absolute position needs to be kept.

    Args:
        settings: Shape and dropout of the layer.
        last: Whether this is the last layer of a stack; with pre-norm it then normalizes its output.
    """

    def __init__(self, settings: TransformerSettings, last: bool = False) -> None:
        super().__init__()
        size = settings.size
        self.memory = settings.memory
        self.pre = settings.norm == "pre"
        self.attention = MultiHeadAttention(size, settings.heads, rotary=True, dropout=settings.attention_dropout)
        self.feed_forward = FeedForward(size, settings.inner or 4 * size)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = nn.Dropout(settings.dropout)
        self.closing = nn.LayerNorm(size) if last and self.pre else nn.Identity()

    def forward(self, x_BTE: Tensor, cache: KVCache | None = None) -> tuple[Tensor, KVCache]:
        """Process the tokens that follow those in the cache.

        Args:
            x_BTE: Tokens.
            cache: Keys (not rotated) and values of up to `memory` preceding tokens; empty by default.

        Returns:
            Output (B, T, E), and the cache for the tokens that follow. Gradients flow through a cache that is not
            detached.
        """
        x_BTE, next_cache = self._attend(x_BTE, self.zero_state(x_BTE) if cache is None else cache)
        if self.pre:
            x_BTE = x_BTE + self.dropout(self.feed_forward(self.feed_forward_norm(x_BTE)))
        else:
            x_BTE = self.feed_forward_norm(x_BTE + self.dropout(self.feed_forward(x_BTE)))
        return self.closing(x_BTE), next_cache

    def zero_state(self, like: Tensor) -> KVCache:
        """Return an empty cache for the batch size of `like`, its first dimension."""
        size = self.attention.query.in_features // self.attention.heads
        empty_BN0D = like.new_zeros(like.shape[0], self.attention.heads, 0, size)
        return empty_BN0D, empty_BN0D.clone()

    def _attend(self, x_BTE: Tensor, cache: KVCache) -> tuple[Tensor, KVCache]:
        input_BTE = self.attention_norm(x_BTE) if self.pre else x_BTE
        new = self.attention.keys_values(input_BTE)
        k_BNSD, v_BNSD = (torch.cat([old.to(add.dtype), add], dim=2) for old, add in zip(cache, new, strict=True))
        keys = k_BNSD.shape[2]
        mask_TS = causal_mask(x_BTE.shape[1], keys, self.memory, x_BTE.device)
        x_BTE = x_BTE + self.dropout(self.attention(input_BTE, k_BNSD, v_BNSD, mask_TS))
        expired = max(0, keys - self.memory)
        next_cache = k_BNSD[:, :, expired:], v_BNSD[:, :, expired:]
        return (x_BTE if self.pre else self.attention_norm(x_BTE)), next_cache
