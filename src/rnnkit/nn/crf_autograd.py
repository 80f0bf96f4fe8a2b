"""Linear-chain CRF on the CPU: loss with gradients, marginals and search, by compiled kernels.

`kernels/crf_forward_backward.py` computes in float64 without logarithms. A sentence whose scores are too far apart for
that is computed by `crf_reference.py`, alone, so that its result does not depend on its batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnnkit.kernels import crf_forward_backward, crf_viterbi, threads
from rnnkit.nn import crf_reference
from rnnkit.nn.crf_reference import ChainScores

_NO_ADDRESS = 0


class _Posteriors(NamedTuple):
    """Outputs of the kernel `forward_backward`, and the exponentials of the transitions."""

    flow_BTC: Tensor
    ratio_BTC: Tensor
    gain_BTC: Tensor
    loss_B: Tensor
    log_z_B: Tensor
    status_B: Tensor
    transition_CC: Tensor


def weighted_nll(
    chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor, labels_BT: Tensor, label_weights_C: Tensor
) -> Tensor:
    """Compute `crf_reference.weighted_nll` of float32 scores on the CPU; arguments and result are the same.

    Raises:
        IndexError: A gold label is below 0, or at least C.
    """
    loss_B: Tensor = _WeightedNll.apply(  # type: ignore[no-untyped-call]
        *chain, scores_BTC, lengths_B, labels_BT.contiguous(), label_weights_C.float().contiguous()
    )
    return loss_B


@torch.no_grad()
def marginals(chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor) -> Tensor:
    """Compute `crf_reference.marginals` of float32 scores on the CPU, without gradient."""
    found = _run_forward_backward(chain, scores_BTC, lengths_B)
    for b, sentence in _unsafe_sentences(found, scores_BTC, lengths_B):
        double = ChainScores(*(part.double() for part in chain))
        found.flow_BTC[b, : lengths_B[b]] = crf_reference.marginals(double, *sentence)[0].float()
    return found.flow_BTC


@torch.no_grad()
def log_partition(chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor) -> Tensor:
    """Compute `crf_reference.log_partition` of float32 scores on the CPU in float64, without gradient."""
    found = _run_forward_backward(chain, scores_BTC, lengths_B)
    for b, sentence in _unsafe_sentences(found, scores_BTC, lengths_B):
        double = ChainScores(*(part.double() for part in chain))
        found.log_z_B[b] = crf_reference.log_partition(double, *sentence)[0]
    return found.log_z_B


@torch.no_grad()
def k_best(chain: ChainScores, scores_BTC: Tensor, lengths_B: Tensor, best: int) -> tuple[Tensor, Tensor]:
    """Compute `crf_reference.k_best` of float32 scores on the CPU; of equal sequences, lower labels come first."""
    batch, steps, labels = scores_BTC.shape
    sequences_BKT = torch.zeros(batch, best, steps, dtype=torch.int64)
    totals_BK = torch.empty(batch, best, dtype=torch.float64)
    prefixes = torch.empty(batch, steps, labels, best, dtype=torch.float64)
    pointers = torch.empty_like(prefixes, dtype=torch.int64) if best > 1 else prefixes
    fields: list[int | Tensor] = [batch, steps, labels, lengths_B, scores_BTC.contiguous(), best]
    fields += [*(part.double().contiguous() for part in chain), prefixes, pointers, sequences_BKT, totals_BK]
    threads.parallel_for(crf_viterbi.viterbi if best == 1 else crf_viterbi.k_best, fields, batch)
    return sequences_BKT, totals_BK


class _WeightedNll(torch.autograd.Function):
    """Loss, and in the same pass its derivative by the emissions; that by the transitions takes another."""

    @staticmethod
    def forward(
        context: Any,
        start_C: Tensor,
        end_C: Tensor,
        transition_CC: Tensor,
        scores_BTC: Tensor,
        lengths_B: Tensor,
        labels_BT: Tensor,
        label_weights_C: Tensor,
    ) -> Tensor:
        chain = ChainScores(start_C, end_C, transition_CC)
        found = _run_forward_backward(chain, scores_BTC, lengths_B, labels_BT, label_weights_C)
        if (found.status_B == crf_forward_backward.INVALID).any():
            raise IndexError(f"gold labels must be from 0 to {len(start_C) - 1}")
        counts = []
        for b, sentence in _unsafe_sentences(found, scores_BTC, lengths_B):
            gold = labels_BT[b : b + 1, : lengths_B[b]], label_weights_C
            loss, flow_1TC, count_CC = _differentiate_in_logarithms(chain, sentence, gold)
            found.loss_B[b], found.flow_BTC[b, : lengths_B[b]] = loss, flow_1TC[0].float()
            counts.append(count_CC)
        count_UCC = torch.stack(counts) if counts else transition_CC.new_empty(0, *transition_CC.shape)
        context.save_for_backward(
            found.flow_BTC, found.ratio_BTC, found.gain_BTC, found.transition_CC, found.status_B, count_UCC,
            lengths_B, labels_BT, label_weights_C,
        )  # fmt: skip
        return found.loss_B.float()

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_B: Tensor) -> tuple[Tensor | None, ...]:
        flow_BTC, ratio_BTC, gain_BTC, transition_CC, status_B, count_UCC, *batch = context.saved_tensors
        lengths_B, labels_BT, label_weights_C = batch
        factor_B, is_unsafe_B = grad_B.double(), status_B == crf_forward_backward.UNSAFE
        grad_scores_BTC = flow_BTC * grad_B.view(-1, 1, 1)
        last_BC = grad_scores_BTC[torch.arange(len(lengths_B)), (lengths_B - 1).clamp(min=0)]
        count_CC = torch.zeros_like(transition_CC)
        fields: list[int | Tensor] = [*flow_BTC.shape, lengths_B.masked_fill(is_unsafe_B, 0), ratio_BTC, gain_BTC]
        fields += [transition_CC, labels_BT, label_weights_C, factor_B.contiguous(), count_CC]
        tasks = -(-len(count_CC) // crf_forward_backward.ROWS)
        threads.parallel_for(crf_forward_backward.count_transitions, fields, tasks)
        if len(count_UCC):
            count_CC += (factor_B[is_unsafe_B].view(-1, 1, 1) * count_UCC).sum(0)
        grads = grad_scores_BTC[:, 0].sum(0), last_BC.sum(0), count_CC.float(), grad_scores_BTC
        return *grads, None, None, None


def _run_forward_backward(
    chain: ChainScores,
    scores_BTC: Tensor,
    lengths_B: Tensor,
    labels_BT: Tensor | None = None,
    label_weights_C: Tensor | None = None,
) -> _Posteriors:
    """Run the kernel `forward_backward`; without gold labels, the flow is the marginals."""
    batch, steps, labels = scores_BTC.shape
    parts = [part.double() for part in chain]
    tops = [part.amax().clamp(min=torch.finfo(part.dtype).min) for part in parts]
    start_C, end_C, transition_CC = ((part - top).exp() for part, top in zip(parts, tops, strict=True))
    flow_BTC, ratio_BTC = torch.zeros(batch, steps, labels), torch.empty(batch, steps, labels, dtype=torch.float64)
    loss_B, status_B = torch.empty(batch, dtype=torch.float64), torch.empty(batch, dtype=torch.int64)
    gain_BTC, log_z_B = torch.empty_like(ratio_BTC), torch.empty_like(loss_B)
    fields: list[int | Tensor] = [batch, steps, labels, lengths_B, scores_BTC.contiguous(), start_C, end_C]
    fields += [transition_CC, transition_CC.T.contiguous()]
    fields += [_NO_ADDRESS if part is None else part for part in (labels_BT, label_weights_C)]
    fields += [flow_BTC, ratio_BTC, gain_BTC, torch.empty(batch, labels, dtype=torch.float64)]
    threads.parallel_for(crf_forward_backward.forward_backward, [*fields, loss_B, log_z_B, status_B], batch)
    shift_B = tops[0] + tops[1] + tops[2] * (lengths_B - 1)
    log_z_B += shift_B.masked_fill(lengths_B == 0, 0)
    return _Posteriors(flow_BTC, ratio_BTC, gain_BTC, loss_B, log_z_B, status_B, transition_CC)


def _unsafe_sentences(
    found: _Posteriors, scores_BTC: Tensor, lengths_B: Tensor
) -> list[tuple[int, tuple[Tensor, Tensor]]]:
    """Return the index of each unsafe sentence, its emissions without padding in float64, and its length."""
    indices = (found.status_B == crf_forward_backward.UNSAFE).nonzero().flatten().tolist()
    return [(b, (scores_BTC[b : b + 1, : lengths_B[b]].double(), lengths_B[b : b + 1])) for b in indices]


def _differentiate_in_logarithms(
    chain: ChainScores, sentence: tuple[Tensor, Tensor], gold: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of a sentence and its derivatives by emissions and transitions, by the reference."""
    scores_1TC, length_1 = sentence
    with torch.inference_mode(False), torch.enable_grad():
        leaves = [part.detach().double().clone().requires_grad_() for part in (*chain, scores_1TC)]
        loss_1 = crf_reference.weighted_nll(ChainScores(*leaves[:3]), leaves[3], length_1.clone(), *gold)
        _, _, count_CC, flow_1TC = torch.autograd.grad(loss_1.sum(), leaves)
    return loss_1.detach()[0], flow_1TC, count_CC
