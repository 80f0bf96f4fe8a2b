"""Linear-chain conditional random field (CRF) as the output layer of a tagger.

Lafferty, McCallum and Pereira 2001; over the outputs of a recurrent network Lample et al. 2016 (arXiv:1603.01360). With
emission scores s_t(k) of label k at position t and transition scores A,

    p(y) = exp(start(y_1) + sum_t s_t(y_t) + sum_t A(y_t-1, y_t) + end(y_n)) / Z

Z is the sum over all label sequences, those that a mask forbids aside. `crf_reference.py` has the algorithms as
equations. On the CPU they run as compiled kernels (`crf_autograd.py`) in float64. To the bit, their results for a
sentence do not depend on its batch or on the number of threads.

Letters beyond the package's legend: C labels, K best sequences.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import crf_kernels_apply
from rnnkit.nn import crf_reference
from rnnkit.nn.crf_reference import ChainScores


class ChainMask(NamedTuple):
    """What a label sequence may contain; true where allowed.

    Attributes:
        start_C: Whether each label may be the first one.
        end_C: Whether each label may be the last one.
        transition_CC: Whether label k may follow label j, in row j and column k.
    """

    start_C: Tensor
    end_C: Tensor
    transition_CC: Tensor


class LinearChainCRF(nn.Module):
    """Transition scores of a linear-chain CRF, and what follows from them and from emission scores.

    All methods take emissions `scores_BTC` (bfloat16 and float16 count as float32) with padding on the right, and
    `lengths_B`. Nothing in the padding is read. A sentence without labels has one label sequence, the empty one.

    Args:
        labels: C, number of labels.
        mask: What is allowed; by default everything. It is not a part of the state dictionary, but of the definition
            of the labels.
    """

    allowed_start_C: Tensor
    allowed_end_C: Tensor
    allowed_transition_CC: Tensor

    def __init__(self, labels: int, mask: ChainMask | None = None) -> None:
        super().__init__()
        self.start_C = nn.Parameter(torch.zeros(labels))
        self.end_C = nn.Parameter(torch.zeros(labels))
        self.transition_CC = nn.Parameter(torch.zeros(labels, labels))
        parts = mask or [torch.ones_like(part, dtype=torch.bool) for part in self.parameters()]
        for (name, parameter), part in zip(self.named_parameters(), parts, strict=True):
            if part.shape != parameter.shape:
                raise ValueError(f"{name} has shape {tuple(parameter.shape)}, its mask {tuple(part.shape)}")
            self.register_buffer(f"allowed_{name}", part.bool().clone(), persistent=False)

    def chain_scores(self) -> ChainScores:
        """Return the scores of first labels, last labels and transitions: -inf where forbidden."""
        return ChainScores(
            self.start_C.masked_fill(~self.allowed_start_C, -torch.inf),
            self.end_C.masked_fill(~self.allowed_end_C, -torch.inf),
            self.transition_CC.masked_fill(~self.allowed_transition_CC, -torch.inf),
        )

    def nll(
        self, scores_BTC: Tensor, lengths_B: Tensor, labels_BT: Tensor, label_weights_C: Tensor | None = None
    ) -> Tensor:
        """Compute the negative log-likelihood -log p(y) of each sentence, (B,), in nats.

        Given the text, the labels are a Markov chain, and -log p(y) is the sum over the tokens of -log p(y_t | y_t-1).
        With `label_weights_C`, each of these terms is multiplied by the weight of y_t. Every term is the cross-entropy
        of a normalized distribution, so that weights act as in a weighted softmax: the loss is 0 only where p(y) is 1,
        equal weights scale it, and a larger weight makes its label more probable.

        The loss of forbidden labels is inf, with gradient zero; `is_allowed` finds such sentences beforehand.

        Args:
            scores_BTC: Emissions.
            lengths_B: Number of labels in each sentence.
            labels_BT: Gold labels.
            label_weights_C: Weight of each label; all 1 by default.

        Raises:
            IndexError: A gold label is below 0, or at least C.
            ValueError: Shapes or lengths do not fit together.
        """
        chain = self.chain_scores()
        if label_weights_C is None:
            label_weights_C = torch.ones_like(chain.start_C)
        if labels_BT.shape != scores_BTC.shape[:2]:
            raise ValueError(f"labels have shape {tuple(labels_BT.shape)}, emissions {tuple(scores_BTC.shape)}")
        scores_BTC, lengths_B = self._prepare(scores_BTC, lengths_B)
        labels_BT = nn.functional.pad(labels_BT.to(torch.int64), (0, scores_BTC.shape[1] - labels_BT.shape[1]))
        loss_B: Tensor = _algorithms(scores_BTC).weighted_nll(chain, scores_BTC, lengths_B, labels_BT, label_weights_C)
        return loss_B

    @torch.no_grad()
    def is_allowed(self, lengths_B: Tensor, labels_BT: Tensor) -> Tensor:
        """Return whether the mask allows the labels of each sentence, (B,)."""
        position_T, length_B1 = torch.arange(labels_BT.shape[1], device=labels_BT.device), lengths_B.unsqueeze(1)
        labels_BT = labels_BT.masked_fill(position_T >= length_B1, 0)
        start_BT = self.allowed_start_C[labels_BT] | (position_T > 0) | (length_B1 == 0)
        end_BT = self.allowed_end_C[labels_BT] | (position_T != length_B1 - 1)
        into_BT = self.allowed_transition_CC[labels_BT[:, :-1], labels_BT[:, 1:]] | (position_T[1:] >= length_B1)
        return start_BT.all(1) & end_BT.all(1) & into_BT.all(1)

    @torch.no_grad()
    def marginals(self, scores_BTC: Tensor, lengths_B: Tensor) -> Tensor:
        """Compute p(y_t = k), (B, T, C), by the forward-backward algorithm; zero in the padding, without gradient."""
        steps = scores_BTC.shape[1]
        scores_BTC, lengths_B = self._prepare(scores_BTC, lengths_B)
        p_BTC: Tensor = _algorithms(scores_BTC).marginals(self.chain_scores(), scores_BTC, lengths_B)
        return p_BTC[:, :steps]

    @torch.no_grad()
    def viterbi(self, scores_BTC: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Find the most probable label sequence of each sentence.

        Returns:
            Labels (B, T), 0 in the padding, and the score of each sequence (B,): -inf if none is allowed, with labels
            0. On the CPU, of sequences with equal scores that with the lowest last labels is found.
        """
        steps = scores_BTC.shape[1]
        scores_BTC, lengths_B = self._prepare(scores_BTC, lengths_B)
        sequences_BKT, totals_BK = _algorithms(scores_BTC).k_best(self.chain_scores(), scores_BTC, lengths_B, 1)
        return sequences_BKT[:, 0, :steps], totals_BK[:, 0].to(scores_BTC.dtype)

    @torch.no_grad()
    def k_best(self, scores_BTC: Tensor, lengths_B: Tensor, best: int) -> tuple[Tensor, Tensor]:
        """Find the K most probable label sequences of each sentence.

        Returns:
            Labels (B, K, T), most probable first, 0 in the padding, and their log-probabilities (B, K): -inf beyond
            the last sequence that is allowed, with labels 0.
        """
        steps, chain = scores_BTC.shape[1], self.chain_scores()
        scores_BTC, lengths_B = self._prepare(scores_BTC, lengths_B)
        sequences_BKT, totals_BK = _algorithms(scores_BTC).k_best(chain, scores_BTC, lengths_B, best)
        log_z_B1 = _algorithms(scores_BTC).log_partition(chain, scores_BTC, lengths_B).unsqueeze(1)
        log_p_BK = totals_BK - log_z_B1.masked_fill(log_z_B1 == -torch.inf, 0)
        return sequences_BKT[:, :, :steps], log_p_BK.to(scores_BTC.dtype)

    def _prepare(self, scores_BTC: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Check shapes and lengths; return emissions of one step at least, in single or double precision, and lengths.

        Raises:
            ValueError: Shapes or lengths do not fit together.
        """
        batch, steps, labels = scores_BTC.shape
        if labels != len(self.start_C) or lengths_B.shape != (batch,):
            raise ValueError(
                f"emissions have shape {tuple(scores_BTC.shape)}, lengths {tuple(lengths_B.shape)}, "
                f"the CRF has {len(self.start_C)} labels"
            )
        if not lengths_B.is_cuda and batch and not 0 <= int(lengths_B.min()) <= int(lengths_B.max()) <= steps:
            raise ValueError(f"lengths must be from 0 to {steps}")
        if scores_BTC.dtype in (torch.bfloat16, torch.float16):
            scores_BTC = scores_BTC.float()
        if not steps:
            scores_BTC = nn.functional.pad(scores_BTC, (0, 0, 0, 1))
        return scores_BTC, lengths_B.to(torch.int64).contiguous()


def _algorithms(scores_BTC: Tensor) -> ModuleType:
    """Return the module that computes with these emissions; both have the same functions."""
    if not crf_kernels_apply(scores_BTC):
        return crf_reference
    from rnnkit.nn import crf_autograd

    return crf_autograd
