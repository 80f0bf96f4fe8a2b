"""What stands around each sub-layer of a Transformer: a residual, a layer norm, dropout.

pre    x + drop(Sublayer(LayerNorm(x)))     trains without a warm-up (Xiong et al. 2020, arXiv:2002.04745)
post   LayerNorm(x + drop(Sublayer(x)))     as in the paper (Vaswani et al. 2017, arXiv:1706.03762)
"""

from __future__ import annotations

from torch import Tensor, nn

from rnnkit.nn.dropout import Dropout
from rnnkit.nn.kinds import Norm


class Residual(nn.Module):
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


def closing_norm(size: int, norm: Norm) -> nn.Module:
    """What ends a stack: with its norms in front, nothing has normalised what comes out."""
    return nn.LayerNorm(size) if norm == "pre" else nn.Identity()
