"""Beam search, batched over sentences and beams.

Each sentence has K places. At every step the best continuations of its living hypotheses fill the places that
are left; one that ends keeps its place for good and stops growing. A sentence is done when every place is taken
by a finished hypothesis, or when no living one can still come among the best. Nothing is ever pruned for a
reason other than rank, so a beam that holds the whole space is exhaustive search, and a beam of one is greedy.

How the places are given is `selection`'s part: to the best, to groups that keep clear of each other, or evenly over how
much of its phrases a hypothesis has met.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.choice import NOTHING, Choice, Terms, refuse_nan
from rnnkit.decoding.coverage import coverage_penalty
from rnnkit.decoding.likeliest import likeliest
from rnnkit.decoding.rules import Said
from rnnkit.decoding.selection import Candidates, Chosen, best, best_ranked, diverse, evenly
from rnnkit.decoding.stepper import Hypothesis, Ranker, SearchOptions, Stepper, score
from rnnkit.text import special_tokens

S = TypeVar("S")


@dataclass
class _Front(Generic[S]):
    """The living hypotheses of the sentences not yet done.

    Attributes:
        sentence_B: Their numbers in the batch.
        limit_B: Most tokens of each.
        free_BG: Places of each group that no finished hypothesis has taken.
        log_p_BK: In float64; minus infinity where a place is taken by a finished hypothesis or by none.
        ids_BKT: What was said, behind the start symbol.
        state: The stepper's.
        attention_BKTS: Where it is kept.
    """

    sentence_B: Tensor
    limit_B: Tensor
    free_BG: Tensor
    log_p_BK: Tensor
    ids_BKT: Tensor
    state: S
    attention_BKTS: Tensor | None = None


@dataclass
class _Batch(Generic[S]):
    """What does not change while a batch is decoded, and what it has finished.

    Attributes:
        stepper: The batch.
        ranker: The same, where it can rank.
        options: How to search.
        terms: What the sentences ask for.
        keep_attention: Whether attention is looked at.
        choice: What may be said.
        finished: For each sentence its finished hypotheses.
        worst_B: Score of each sentence's last one that would be returned; minus infinity until there are enough.
    """

    stepper: Stepper[S]
    ranker: Ranker[S] | None
    options: SearchOptions
    terms: Terms
    keep_attention: bool
    choice: Choice
    worst_B: Tensor
    finished: list[list[Hypothesis]] = field(default_factory=list)


@torch.inference_mode()
def beam_search(
    stepper: Stepper[S],
    limit_B: Tensor,
    options: SearchOptions,
    keep_attention: bool = False,
    terms: Terms = NOTHING,
) -> list[list[Hypothesis]]:
    """Decode a batch.

    Args:
        stepper: The batch.
        limit_B: Most tokens of each output, the end symbol counted.
        options: Beam, length penalty, n-best and so on.
        keep_attention: Whether the hypotheses carry their attention weights.
        terms: What the sentences ask for.

    Returns:
        For each sentence its `nbest` best hypotheses, best first.
    """
    sentences = len(limit_B)
    batch = _Batch(
        stepper=stepper,
        ranker=stepper if isinstance(stepper, Ranker) else None,
        options=options,
        terms=terms,
        keep_attention=keep_attention or options.coverage > 0,
        choice=Choice(options, terms),
        worst_B=torch.full((sentences,), -torch.inf, dtype=torch.float64),
        finished=[[] for _ in range(sentences)],
    )
    front = _Front(
        sentence_B=torch.arange(sentences),
        limit_B=limit_B,
        free_BG=torch.full((sentences, options.groups), options.beam // options.groups),
        log_p_BK=torch.zeros(sentences, 1, dtype=torch.float64),
        ids_BKT=torch.full((sentences, 1, 1), special_tokens.BOS),
        state=stepper.start(),
    )
    while len(front.sentence_B):
        front = _advance(batch, front)
    return [_ranked(many, options.nbest) for many in batch.finished]


def _advance(batch: _Batch[S], front: _Front[S]) -> _Front[S]:
    """Lengthen every living hypothesis by a token, put aside those that end, and leave out sentences that are done."""
    chosen, state, weights_BKS = _step(batch, front)
    every_B1 = torch.arange(len(front.sentence_B)).unsqueeze(1)
    ids_BKT = torch.cat([front.ids_BKT[every_B1, chosen.row_BK], chosen.token_BK.unsqueeze(-1)], dim=-1)
    attention_BKTS = _lengthen(front, weights_BKS, chosen.row_BK) if batch.keep_attention else None

    ends_BK = (chosen.token_BK == special_tokens.EOS) & (chosen.log_p_BK > -torch.inf)
    free_BG = front.free_BG
    if ends_BK.any():
        _finish(batch, front.sentence_B, ids_BKT, chosen.log_p_BK, ends_BK, attention_BKTS)
        free_BG = free_BG - torch.unflatten(ends_BK, 1, (free_BG.shape[1], -1)).sum(-1)
    log_p_BK = chosen.log_p_BK.masked_fill(ends_BK, -torch.inf)
    # A row that does not go on takes the state of another, so that there are few different ones.
    row_BK = torch.where(
        log_p_BK > -torch.inf, chosen.row_BK, chosen.row_BK.gather(1, log_p_BK.argmax(1, keepdim=True))
    )

    keep_B = _may_improve(batch, front, log_p_BK)
    if keep_B.all():
        state = batch.stepper.select(state, every_B1.squeeze(1), row_BK)
        return _Front(front.sentence_B, front.limit_B, free_BG, log_p_BK, ids_BKT, state, attention_BKTS)
    keep = keep_B.nonzero().squeeze(1)
    return _Front(
        sentence_B=front.sentence_B[keep],
        limit_B=front.limit_B[keep],
        free_BG=free_BG[keep],
        log_p_BK=log_p_BK[keep],
        ids_BKT=ids_BKT[keep],
        state=batch.stepper.select(state, keep, row_BK[keep]),
        attention_BKTS=None if attention_BKTS is None else attention_BKTS[keep],
    )


def _step(batch: _Batch[S], front: _Front[S]) -> tuple[Chosen, S, Tensor | None]:
    """The hypotheses that fill the free places, the state behind all that there were, and what these looked at."""
    choice, token_BK = batch.choice, front.ids_BKT[:, :, -1]
    plain = batch.options.groups == 1 and choice.is_plain(front.limit_B, front.ids_BKT.shape[2])
    if batch.ranker is None or not plain:
        log_p_BKV, state, weights_BKS = batch.stepper.step(token_BK, front.state)
        return _choose(batch, front, log_p_BKV), state, weights_BKS
    live_BK = front.log_p_BK > -torch.inf
    ranked = batch.ranker.rank(token_BK, front.state, batch.options.beam, choice.never, live_BK)
    log_p_BKN, token_BKN, state, weights_BKS = ranked
    refuse_nan(log_p_BKN)
    found = Candidates(front.log_p_BK.unsqueeze(-1) + log_p_BKN.double(), token_BKN)
    return best_ranked(found, batch.options.beam, front.free_BG), state, weights_BKS


def _choose(batch: _Batch[S], front: _Front[S], log_p_BKV: Tensor) -> Chosen:
    """The hypotheses that fill the free places."""
    options, lexical = batch.options, batch.choice.lexical
    said = Said(front.sentence_B, front.limit_B, front.ids_BKT)
    log_p_BKV = batch.choice.restrict(log_p_BKV, said)
    if lexical is None and options.groups == 1:
        chosen = best(log_p_BKV, front.log_p_BK, options.beam, front.free_BG)
        refuse_nan(chosen.log_p_BK)
        return chosen
    step_BKN, token_BKN = likeliest(log_p_BKV, options.beam)
    found = Candidates(front.log_p_BK.unsqueeze(-1) + step_BKN.cpu().double(), token_BKN.cpu())
    refuse_nan(found.log_p_BKN)
    if lexical is None or options.groups > 1:
        return diverse(found, options.beam // options.groups, options.diversity, front.free_BG)
    return evenly(lexical, found, log_p_BKV, front.log_p_BK, said, options.beam, front.free_BG)


def _lengthen(front: _Front[S], weights_BKS: Tensor | None, row_BK: Tensor) -> Tensor | None:
    if weights_BKS is None:
        return None
    every_B1 = torch.arange(len(front.sentence_B)).unsqueeze(1)
    new_BK1S = weights_BKS.cpu()[every_B1, row_BK].unsqueeze(2)
    if front.attention_BKTS is None:
        return new_BK1S
    return torch.cat([front.attention_BKTS[every_B1, row_BK], new_BK1S], dim=2)


def _finish(
    batch: _Batch[S],
    sentence_B: Tensor,
    ids_BKT: Tensor,
    log_p_BK: Tensor,
    ends_BK: Tensor,
    attention_BKTS: Tensor | None,
) -> None:
    """Put the hypotheses that end aside."""
    options, length = batch.options, ids_BKT.shape[2] - 1
    for place, rank in ends_BK.nonzero().tolist():
        sentence, log_p = int(sentence_B[place]), log_p_BK[place, rank].item()
        attention_TS = None if attention_BKTS is None else attention_BKTS[place, rank].clone()
        reached = score(log_p, length, options.alpha)
        if options.coverage and attention_TS is not None:
            reached += coverage_penalty(attention_TS, batch.terms.words_B[sentence], options.coverage)
        many = batch.finished[sentence]
        many.append(Hypothesis(tuple(ids_BKT[place, rank, 1:-1].tolist()), log_p, reached, attention_TS))
        if len(many) >= options.nbest:
            batch.worst_B[sentence] = sorted((one.score for one in many), reverse=True)[options.nbest - 1]


def _ranked(many: list[Hypothesis], count: int) -> list[Hypothesis]:
    """The best, each once: groups may have found the same."""
    once = {one.ids: one for one in sorted(many, key=lambda one: one.score)}
    return sorted(once.values(), key=lambda one: -one.score)[:count]


def _may_improve(batch: _Batch[S], front: _Front[S], log_p_BK: Tensor) -> Tensor:
    """Whether a living hypothesis of each sentence can still come among the n best.

    Its log-probability can only fall, no output is longer than the limit and no coverage penalty is above zero, so
    log p / limit^alpha is the best score it can reach (for alpha below zero, a length of one would be). Groups are
    there for what would not come among the best: they go on until their places are taken.
    """
    best_B = log_p_BK.max(dim=1).values
    if batch.options.groups > 1:
        return best_B > -torch.inf
    alpha = batch.options.alpha
    bound_B = best_B / front.limit_B.double() ** alpha if alpha > 0 else best_B
    return (best_B > -torch.inf) & (bound_B > batch.worst_B[front.sentence_B])
