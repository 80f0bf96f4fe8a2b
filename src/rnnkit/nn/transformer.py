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

import torch
from torch import Tensor, nn

from rnnkit.nn.dropout import Dropout
from rnnkit.nn.kinds import Norm

"""Keys and values of the tokens before, each (B, N, S, D), not turned."""


class FeedForward(nn.Module):
    """Two affine maps with a ReLU between them.

    Args:
        size: Size of what comes in and goes out.
        inner: Size between.
    """

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.inner = xavier_linear(size, inner)
        self.outer = xavier_linear(inner, size)

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
        self.attention = MultiHeadAttention(size, heads, rotary=True, dropout=attention_dropout)
        self.feed_forward = FeedForward(size, inner or 4 * size)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.closing = nn.LayerNorm(size) if last and self.pre else nn.Identity()

    def forward(self, x_BTE: Tensor, cache: KVCache | None = None) -> tuple[Tensor, KVCache]:
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

    def zero_state(self, like: Tensor) -> KVCache:
        """The cache before anything was read, for a batch as large as `like`'s first dimension."""
        size = self.attention.query.in_features // self.attention.heads
        empty_BN0D = like.new_zeros(like.shape[0], self.attention.heads, 0, size)
        return empty_BN0D, empty_BN0D.clone()

    def _attend(self, x_BTE: Tensor, cache: KVCache) -> tuple[Tensor, KVCache]:
        read_BTE = self.attention_norm(x_BTE) if self.pre else x_BTE
        now = self.attention.keys_values(read_BTE)
        k_BNSD, v_BNSD = (torch.cat([old.to(new.dtype), new], dim=2) for old, new in zip(cache, now, strict=True))
        keys = k_BNSD.shape[2]
        allowed_TS = causal_mask(x_BTE.shape[1], keys, self.memory, x_BTE.device)
        x_BTE = x_BTE + self.dropout(self.attention(read_BTE, k_BNSD, v_BNSD, allowed_TS))
        forgotten = max(0, keys - self.memory)
        after = k_BNSD[:, :, forgotten:], v_BNSD[:, :, forgotten:]
        return (x_BTE if self.pre else self.attention_norm(x_BTE)), after


class ResidualConnection(nn.Module):
    """The two halves of the equation; the sub-layer itself stands between them.

    Args:
        size: Size of the tokens.
        norm: Where the layer norm is.
        dropout: Of what the sub-layer adds.
    """

    def __init__(self, size: int, norm: Norm, dropout: Dropout) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.pre = norm == "pre"
        self.dropout = dropout

    def before(self, x_BTE: Tensor) -> Tensor:
        """What the sub-layer reads."""
        read_BTE: Tensor = self.norm(x_BTE) if self.pre else x_BTE
        return read_BTE

    def after(self, x_BTE: Tensor, added_BTE: Tensor) -> Tensor:
        """What comes of x and what the sub-layer found."""
        sum_BTE = x_BTE + self.dropout(added_BTE)
        result_BTE: Tensor = sum_BTE if self.pre else self.norm(sum_BTE)
        return result_BTE


def final_norm(size: int, norm: Norm) -> nn.Module:
    """What ends a stack: with its norms in front, nothing has normalised what comes out."""
    return nn.LayerNorm(size) if norm == "pre" else nn.Identity()
