"""The losses of word2vec by their equations, the reference of the compiled kernels.

Each word has two vectors: an input vector v, as context, and an output vector u, as the predicted word. A hidden vector
h is computed from the context of a window and scores output words, s_w = h . u_w:

    skip-gram    h = v_c for each context word c of the window; the losses are summed
    CBOW         h = 1/n (v_1 + ... + v_n) over the n context words of the window

(Mikolov et al. 2013, arXiv:1301.3781). For skip-gram over a whole text it does not matter which side of a pair is
called the context, as each pair occurs in both directions; here, all rows of a window share their output words. There
are three losses:

    negative sampling   E = -(sum_pos log sigma(s_i) + sum_neg log sigma(-s_j))
    noise-contrastive   the same with s_w - log(k P_noise(w)) in place of s_w
    softmax             E = -log(exp(s_center) / sum_w exp(s_w))

Negative sampling (Mikolov et al. 2013, arXiv:1310.4546) learns vectors, not probabilities. Noise-contrastive estimation
(Gutmann and Hyvärinen 2010; for words Mnih and Teh 2012, arXiv:1206.6426) with k negatives per positive is minimal
where exp(s_w) is the probability of w, and its gradient approaches that of the softmax as k grows.

The mean in CBOW has 1/n in its gradient too: each v_i gets 1/n of the gradient of h. word2vec.c gives each the whole
gradient (Irsoy, Benton and Stratos 2020, arXiv:2012.15332, who show that the true gradient closes the gap to
skip-gram).

Beyond the legend of `rnnkit.nn`: B windows, C context positions, O output words (the center and the negatives).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def negative_sampling_loss(scores_BO: Tensor, labels_BO: Tensor) -> Tensor:
    """Compute E = -(sum_pos log sigma(s_i) + sum_neg log sigma(-s_j)), in nats, summed.

    Args:
        scores_BO: Scores s of output words.
        labels_BO: True for positives, false for negatives.
    """
    signed_BO = torch.where(labels_BO.bool(), scores_BO, -scores_BO)
    # One function for log sigma(s), as the logarithm of a rounded sigma is -inf from about s = -104 on.
    return -nn.functional.logsigmoid(signed_BO).sum()


def nce_loss(scores_BO: Tensor, labels_BO: Tensor, log_noise_BO: Tensor) -> Tensor:
    """Compute the loss of noise-contrastive estimation, in nats, summed.

    P(positive | w) = exp(s_w) / (exp(s_w) + k P_noise(w)) = sigma(s_w - log(k P_noise(w))), then as negative sampling.

    Args:
        scores_BO: Scores s of output words, which learn to be log-probabilities.
        labels_BO: True for positives, false for negatives.
        log_noise_BO: log(k P_noise(w)) of each word, with k negatives per positive.
    """
    return negative_sampling_loss(scores_BO - log_noise_BO, labels_BO)


def softmax_loss(scores_BV: Tensor, center_B: Tensor) -> Tensor:
    """Compute E = -log softmax(s)_center, in nats, summed, for small vocabularies."""
    return -torch.log_softmax(scores_BV, dim=-1).gather(1, center_B.unsqueeze(1)).sum()


class _Word2Vec(nn.Module):
    """Input and output vectors, and the loss of hidden vectors, which subclasses define.

    Attributes:
        input_VD: Input vectors v; initially small.
        output_VD: Output vectors u; initially zero, so that all words are equally probable.
    """

    def __init__(self, vocabulary_size: int, dimension: int) -> None:
        super().__init__()
        self.input_VD = nn.Parameter(torch.empty(vocabulary_size, dimension))
        self.output_VD = nn.Parameter(torch.zeros(vocabulary_size, dimension))
        nn.init.uniform_(self.input_VD, -0.5 / dimension, 0.5 / dimension)

    def hidden(self, context_BC: Tensor, real_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden vectors (N, D) and the index of the window of each (N)."""
        raise NotImplementedError

    def forward(
        self,
        context_BC: Tensor,
        real_BC: Tensor,
        output_BO: Tensor,
        labels_BO: Tensor,
        log_noise_BO: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss of windows, summed over windows, hidden vectors and output words.

        Args:
            context_BC: Ids of the context words; any id at padding.
            real_BC: True except at padding. A window without context words has no loss.
            output_BO: Ids of the center and of the negatives, one set for the whole window.
            labels_BO: True for the center.
            log_noise_BO: log(k P_noise(w)) for noise-contrastive estimation; None for negative sampling.
        """
        hidden_ND, window_N = self.hidden(context_BC, real_BC)
        scores_NO = torch.einsum("nd,nod->no", hidden_ND, self.output_VD[output_BO[window_N]])
        if log_noise_BO is None:
            return negative_sampling_loss(scores_NO, labels_BO[window_N])
        return nce_loss(scores_NO, labels_BO[window_N], log_noise_BO[window_N])

    def full_loss(self, context_BC: Tensor, real_BC: Tensor, center_B: Tensor) -> Tensor:
        """Compute the softmax loss of windows over the whole vocabulary; arguments as for `forward`."""
        hidden_ND, window_N = self.hidden(context_BC, real_BC)
        return softmax_loss(hidden_ND @ self.output_VD.T, center_B[window_N])


class SkipGram(_Word2Vec):
    """Each context word predicts the center: as many hidden vectors as context words."""

    def hidden(self, context_BC: Tensor, real_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Return h = v_c of each context word."""
        return self.input_VD[context_BC[real_BC]], real_BC.nonzero()[:, 0]


class ContinuousBagOfWords(_Word2Vec):
    """The context words together predict the center: one hidden vector per window."""

    def hidden(self, context_BC: Tensor, real_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Return h = 1/n (v_1 + ... + v_n) of each window."""
        window_N = real_BC.any(dim=1).nonzero()[:, 0]
        real_NC1 = real_BC[window_N].unsqueeze(-1).to(self.input_VD.dtype)
        return (real_NC1 * self.input_VD[context_BC[window_N]]).sum(1) / real_NC1.sum(1), window_N
