"""Beam search, batched over sentences and beams.

Each sentence has K places. At every step the best continuations of its living hypotheses fill the places that
are left; one that ends keeps its place for good and stops growing. A sentence is done when every place is taken
by a finished hypothesis, or when no living one can still come among the best. Nothing is ever pruned for a
reason other than rank, so a beam that holds the whole space is exhaustive search, and a beam of one is greedy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper, forbidden, mask_last_step, score
from rnnkit.text import special

S = TypeVar("S")


@dataclass
class _Front(Generic[S]):
    """The living hypotheses of the sentences not yet done.

    `log_p_BK` is minus infinity where a place is taken by a finished hypothesis or by none.
    """

    sentence_B: Tensor
    limit_B: Tensor
    log_p_BK: Tensor
    ids_BKT: Tensor
    state: S
    attention_BKTS: Tensor | None = None


@dataclass
class _Finished:
    """What one sentence has finished so far."""

    hypotheses: list[Hypothesis] = field(default_factory=list)

    def best(self, count: int) -> list[Hypothesis]:
        return sorted(self.hypotheses, key=lambda hypothesis: -hypothesis.score)[:count]


@torch.inference_mode()
def beam_search(
    stepper: Stepper[S], limit_B: Tensor, options: SearchOptions, keep_attention: bool = False
) -> list[list[Hypothesis]]:
    """Decode a batch.

    Args:
        stepper: The batch.
        limit_B: Most tokens of each output, the end symbol counted.
        options: Beam, length penalty, n-best.
        keep_attention: Whether the hypotheses carry their attention weights.

    Returns:
        For each sentence its `nbest` best hypotheses, best first.
    """
    finished = [_Finished() for _ in range(len(limit_B))]
    front = _begin(stepper, limit_B)
    while len(front.sentence_B):
        front = _advance(stepper, front, finished, options, keep_attention)
        front = _drop_done(stepper, front, finished, options)
    return [one.best(options.nbest) for one in finished]


def _begin(stepper: Stepper[S], limit_B: Tensor) -> _Front[S]:
    sentences = len(limit_B)
    return _Front(
        sentence_B=torch.arange(sentences),
        limit_B=limit_B,
        log_p_BK=torch.zeros(sentences, 1),
        ids_BKT=torch.full((sentences, 1, 1), special.BOS),
        state=stepper.start(),
    )


def _advance(
    stepper: Stepper[S], front: _Front[S], finished: list[_Finished], options: SearchOptions, keep_attention: bool
) -> _Front[S]:
    """Lengthen every living hypothesis by one token, keep the best, and put aside those that end."""
    sentences = len(front.sentence_B)
    length = front.ids_BKT.shape[2]
    step_BKV, state, weights_BKS = stepper.step(front.ids_BKT[:, :, -1], front.state)
    step_BKV = step_BKV.cpu()
    step_BKV[..., forbidden(options)] = -torch.inf
    step_BKV = mask_last_step(step_BKV, front.limit_B, length)
    total_BN = (front.log_p_BK.unsqueeze(-1) + step_BKV).flatten(1)
    log_p_BK, index_BK = total_BN.topk(min(options.beam, total_BN.shape[1]), dim=-1)
    row_BK, token_BK = index_BK // step_BKV.shape[-1], index_BK % step_BKV.shape[-1]

    places_B = torch.tensor([options.beam - len(finished[index].hypotheses) for index in front.sentence_B.tolist()])
    taken_BK = torch.arange(log_p_BK.shape[1]).unsqueeze(0) >= places_B.unsqueeze(1)
    log_p_BK = log_p_BK.masked_fill(taken_BK, -torch.inf)

    every_B = torch.arange(sentences)
    ids_BKT = torch.cat([front.ids_BKT[every_B[:, None], row_BK], token_BK.unsqueeze(-1)], dim=-1)
    attention_BKTS = _lengthen_attention(front, weights_BKS, row_BK) if keep_attention else None
    ends_BK = (token_BK == special.EOS) & (log_p_BK > -torch.inf)
    for place, rank in ends_BK.nonzero().tolist():
        log_p = log_p_BK[place, rank].item()
        finished[int(front.sentence_B[place])].hypotheses.append(
            Hypothesis(
                ids=tuple(ids_BKT[place, rank, 1:-1].tolist()),
                log_p=log_p,
                score=score(log_p, length, options.alpha),
                attention=None if attention_BKTS is None else attention_BKTS[place, rank].clone(),
            )
        )
    return _Front(
        sentence_B=front.sentence_B,
        limit_B=front.limit_B,
        log_p_BK=log_p_BK.masked_fill(ends_BK, -torch.inf),
        ids_BKT=ids_BKT,
        state=stepper.select(state, every_B, row_BK),
        attention_BKTS=attention_BKTS,
    )


def _lengthen_attention(front: _Front[S], weights_BKS: Tensor | None, row_BK: Tensor) -> Tensor | None:
    if weights_BKS is None:
        return None
    every_B1 = torch.arange(len(front.sentence_B)).unsqueeze(1)
    new_BK1S = weights_BKS.cpu()[every_B1, row_BK].unsqueeze(2)
    if front.attention_BKTS is None:
        return new_BK1S
    return torch.cat([front.attention_BKTS[every_B1, row_BK], new_BK1S], dim=2)


def _drop_done(stepper: Stepper[S], front: _Front[S], finished: list[_Finished], options: SearchOptions) -> _Front[S]:
    """Leave out the sentences that are done; their rows would only cost time."""
    best_B = front.log_p_BK.max(dim=1).values.tolist()
    alive = [
        place
        for place, (index, log_p, limit) in enumerate(
            zip(front.sentence_B.tolist(), best_B, front.limit_B.tolist(), strict=True)
        )
        if _may_improve(finished[index], log_p, limit, options)
    ]
    if len(alive) == len(front.sentence_B):
        return front
    keep = torch.tensor(alive, dtype=torch.long)
    rows_BK = torch.arange(front.log_p_BK.shape[1]).expand(len(keep), -1)
    return _Front(
        sentence_B=front.sentence_B[keep],
        limit_B=front.limit_B[keep],
        log_p_BK=front.log_p_BK[keep],
        ids_BKT=front.ids_BKT[keep],
        state=stepper.select(front.state, keep, rows_BK),
        attention_BKTS=None if front.attention_BKTS is None else front.attention_BKTS[keep],
    )


def _may_improve(finished: _Finished, best_log_p: float, limit: int, options: SearchOptions) -> bool:
    """Whether a living hypothesis can still come among the n best.

    Its log-probability can only fall, and no output is longer than the limit, so log p / limit^alpha is the best
    score it can reach (for alpha below zero, a length of one would be).
    """
    if best_log_p == -torch.inf:
        return False
    if len(finished.hypotheses) < options.nbest:
        return True
    bound = score(best_log_p, limit if options.alpha > 0 else 1, options.alpha)
    return bound > finished.best(options.nbest)[-1].score
