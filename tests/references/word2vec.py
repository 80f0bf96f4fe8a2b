"""The losses of word2vec as their equations: the reference that the compiled kernels are held to.

Each word has two vectors: v as context, on the input side, and u as the word predicted, on the output side. A hidden
vector h is made from the context of a window and scores output words, s_w = h . u_w:

    skip-gram    h = v_c for each context word c of the window, one after the other; their losses are summed
    CBOW         h = 1/n (v_1 + ... + v_n) over the n context words of the window

(Mikolov et al. 2013, arXiv:1301.3781). Which side of a pair is called the context does not matter to skip-gram over a
whole text, since each pair comes up both ways round; as it stands here, all rows of a window share their outputs. The
scores are trained in one of three ways:

    negative sampling   E = -(sum_pos log sigma(s_i) + sum_neg log sigma(-s_j))
    noise-contrastive   the same with s_w - log(k P_noise(w)) in place of s_w
    softmax             E = -log(exp(s_centre) / sum_w exp(s_w))

Negative sampling (Mikolov et al. 2013, arXiv:1310.4546) finds vectors, not probabilities. Noise-contrastive estimation
(Gutmann and Hyvärinen 2010; for words Mnih and Teh 2012, arXiv:1206.6426) with k noise words for each right one has its
least loss where exp(s_w) is the probability of w, and its gradient goes to the softmax's as k grows.

The mean in CBOW has 1/n in its gradient too: each v_i gets 1/n of what h gets. word2vec.c hands each the whole
(Irsoy, Benton and Stratos 2020, arXiv:2012.15332, who show that the true gradient closes the gap to skip-gram).

Beyond the legend of this package: B windows, C places in a context, O output words, the centre and the noise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def negative_sampling_loss(scores_BO: Tensor, labels_BO: Tensor) -> Tensor:
    """E = -(sum_pos log sigma(s_i) + sum_neg log sigma(-s_j)), in nats, summed.

    Args:
        scores_BO: Scores s of output words.
        labels_BO: True where the word is right, false where it is noise.
    """
    right_BO = torch.where(labels_BO.bool(), scores_BO, -scores_BO)
    # log sigma(s) as one function: the logarithm of a rounded sigma is -inf from about s = -104 on.
    return -nn.functional.logsigmoid(right_BO).sum()


def nce_loss(scores_BO: Tensor, labels_BO: Tensor, log_noise_BO: Tensor) -> Tensor:
    """Noise-contrastive estimation, in nats, summed.

    P(right | w) = exp(s_w) / (exp(s_w) + k P_noise(w)) = sigma(s_w - log(k P_noise(w))), then as negative sampling.

    Args:
        scores_BO: Scores s of output words, which learn to be log-probabilities.
        labels_BO: True where the word is right, false where it is noise.
        log_noise_BO: log(k P_noise(w)) of each word: k noise words are drawn for each right one.
    """
    return negative_sampling_loss(scores_BO - log_noise_BO, labels_BO)


def softmax_loss(scores_BV: Tensor, centre_B: Tensor) -> Tensor:
    """E = -log softmax(s)_centre, in nats, summed. For vocabularies so small that every word can be scored."""
    return -torch.log_softmax(scores_BV, dim=-1).gather(1, centre_B.unsqueeze(1)).sum()


class _TwoMatrices(nn.Module):
    """The vectors of both sides, and the loss of hidden vectors; the children say what a hidden vector is.

    Attributes:
        input_VD: Vectors v of words as context; small at first.
        output_VD: Vectors u of words as what is predicted; zero at first, so that nothing is likelier than anything.
    """

    def __init__(self, vocabulary_size: int, dimension: int) -> None:
        super().__init__()
        self.input_VD = nn.Parameter(torch.empty(vocabulary_size, dimension))
        self.output_VD = nn.Parameter(torch.zeros(vocabulary_size, dimension))
        nn.init.uniform_(self.input_VD, -0.5 / dimension, 0.5 / dimension)

    def hidden(self, context_BC: Tensor, real_BC: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden vectors (N, D), and the number of the window that each belongs to (N)."""
        raise NotImplementedError

    def forward(
        self,
        context_BC: Tensor,
        real_BC: Tensor,
        output_BO: Tensor,
        labels_BO: Tensor,
        log_noise_BO: Tensor | None = None,
    ) -> Tensor:
        """Loss of some windows, summed over windows, hidden vectors and output words.

        Args:
            context_BC: Ids of the context words; any id where there is none.
            real_BC: True where there is a context word. A window without any adds nothing.
            output_BO: Ids of the centre and of the noise words, one set for the whole window.
            labels_BO: True for the centre.
            log_noise_BO: log(k P_noise(w)) for noise-contrastive estimation; None for negative sampling.
        """
        hidden_ND, window_N = self.hidden(context_BC, real_BC)
        scores_NO = torch.einsum("nd,nod->no", hidden_ND, self.output_VD[output_BO[window_N]])
        if log_noise_BO is None:
            return negative_sampling_loss(scores_NO, labels_BO[window_N])
        return nce_loss(scores_NO, labels_BO[window_N], log_noise_BO[window_N])

    def full_loss(self, context_BC: Tensor, real_BC: Tensor, centre_B: Tensor) -> Tensor:
        """The softmax loss of some windows, every word of the vocabulary scored; arguments as for `forward`."""
        hidden_ND, window_N = self.hidden(context_BC, real_BC)
        return softmax_loss(hidden_ND @ self.output_VD.T, centre_B[window_N])


class SkipGram(_TwoMatrices):
    """Each context word alone predicts the centre: as many hidden vectors as context words."""

    def hidden(self, context_BC: Tensor, real_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Each context word's own: h = v_c."""
        return self.input_VD[context_BC[real_BC]], real_BC.nonzero()[:, 0]


class ContinuousBagOfWords(_TwoMatrices):
    """The context words together predict the centre: one hidden vector a window."""

    def hidden(self, context_BC: Tensor, real_BC: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of the context words: h = 1/n (v_1 + ... + v_n)."""
        window_N = real_BC.any(dim=1).nonzero()[:, 0]
        real_NC1 = real_BC[window_N].unsqueeze(-1).to(self.input_VD.dtype)
        return (real_NC1 * self.input_VD[context_BC[window_N]]).sum(1) / real_NC1.sum(1), window_N
