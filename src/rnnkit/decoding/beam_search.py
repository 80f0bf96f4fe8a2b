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

from rnnkit.decoding.beam_selection import (
    BeamCandidates,
    BeamSelection,
    dynamic_beam_allocation,
    select_best,
    select_best_ranked,
    select_diverse,
    topk_tokens,
)
from rnnkit.decoding.constraints.token_constraints import NO_CONSTRAINTS, BatchConstraints, ConstraintMask, check_finite
from rnnkit.decoding.stepper import (
    Hypothesis,
    PartialHypotheses,
    RankingStepper,
    SearchOptions,
    Stepper,
    coverage_penalty,
    normalized_score,
)
from rnnkit.text import special_tokens

S = TypeVar("S")


@dataclass
class _ActiveBeams(Generic[S]):
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
class _SearchContext(Generic[S]):
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
    ranker: RankingStepper[S] | None
    options: SearchOptions
    terms: BatchConstraints
    keep_attention: bool
    choice: ConstraintMask
    worst_B: Tensor
    finished: list[list[Hypothesis]] = field(default_factory=list)


@torch.inference_mode()
def beam_search(
    stepper: Stepper[S],
    limit_B: Tensor,
    options: SearchOptions,
    keep_attention: bool = False,
    terms: BatchConstraints = NO_CONSTRAINTS,
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
    batch = _SearchContext(
        stepper=stepper,
        ranker=stepper if isinstance(stepper, RankingStepper) else None,
        options=options,
        terms=terms,
        keep_attention=keep_attention or options.coverage > 0,
        choice=ConstraintMask(options, terms),
        worst_B=torch.full((sentences,), -torch.inf, dtype=torch.float64),
        finished=[[] for _ in range(sentences)],
    )
    front = _ActiveBeams(
        sentence_B=torch.arange(sentences),
        limit_B=limit_B,
        free_BG=torch.full((sentences, options.groups), options.beam // options.groups),
        log_p_BK=torch.zeros(sentences, 1, dtype=torch.float64),
        ids_BKT=torch.full((sentences, 1, 1), special_tokens.BOS),
        state=stepper.start(),
    )
    while len(front.sentence_B):
        front = _advance(batch, front)
    return [_rank_hypotheses(many, options.nbest) for many in batch.finished]


def _advance(batch: _SearchContext[S], front: _ActiveBeams[S]) -> _ActiveBeams[S]:
    """Lengthen every living hypothesis by a token, put aside those that end, and leave out sentences that are done."""
    chosen, state, weights_BKS = _expand(batch, front)
    every_B1 = torch.arange(len(front.sentence_B)).unsqueeze(1)
    ids_BKT = torch.cat([front.ids_BKT[every_B1, chosen.row_BK], chosen.token_BK.unsqueeze(-1)], dim=-1)
    attention_BKTS = _append_attention(front, weights_BKS, chosen.row_BK) if batch.keep_attention else None

    ends_BK = (chosen.token_BK == special_tokens.EOS) & (chosen.log_p_BK > -torch.inf)
    free_BG = front.free_BG
    if ends_BK.any():
        _collect_finished(batch, front.sentence_B, ids_BKT, chosen.log_p_BK, ends_BK, attention_BKTS)
        free_BG = free_BG - torch.unflatten(ends_BK, 1, (free_BG.shape[1], -1)).sum(-1)
    log_p_BK = chosen.log_p_BK.masked_fill(ends_BK, -torch.inf)
    # A row that does not go on takes the state of another, so that there are few different ones.
    row_BK = torch.where(
        log_p_BK > -torch.inf, chosen.row_BK, chosen.row_BK.gather(1, log_p_BK.argmax(1, keepdim=True))
    )

    keep_B = _may_improve(batch, front, log_p_BK)
    if keep_B.all():
        state = batch.stepper.select(state, every_B1.squeeze(1), row_BK)
        return _ActiveBeams(front.sentence_B, front.limit_B, free_BG, log_p_BK, ids_BKT, state, attention_BKTS)
    keep = keep_B.nonzero().squeeze(1)
    return _ActiveBeams(
        sentence_B=front.sentence_B[keep],
        limit_B=front.limit_B[keep],
        free_BG=free_BG[keep],
        log_p_BK=log_p_BK[keep],
        ids_BKT=ids_BKT[keep],
        state=batch.stepper.select(state, keep, row_BK[keep]),
        attention_BKTS=None if attention_BKTS is None else attention_BKTS[keep],
    )


def _expand(batch: _SearchContext[S], front: _ActiveBeams[S]) -> tuple[BeamSelection, S, Tensor | None]:
    """The hypotheses that fill the free places, the state behind all that there were, and what these looked at."""
    choice, token_BK = batch.choice, front.ids_BKT[:, :, -1]
    plain = batch.options.groups == 1 and choice.is_plain(front.limit_B, front.ids_BKT.shape[2])
    if batch.ranker is None or not plain:
        log_p_BKV, state, weights_BKS = batch.stepper.step(token_BK, front.state)
        return _select_candidates(batch, front, log_p_BKV), state, weights_BKS
    live_BK = front.log_p_BK > -torch.inf
    ranked = batch.ranker.rank(token_BK, front.state, batch.options.beam, choice.never, live_BK)
    log_p_BKN, token_BKN, state, weights_BKS = ranked
    check_finite(log_p_BKN)
    found = BeamCandidates(front.log_p_BK.unsqueeze(-1) + log_p_BKN.double(), token_BKN)
    return select_best_ranked(found, batch.options.beam, front.free_BG), state, weights_BKS


def _select_candidates(batch: _SearchContext[S], front: _ActiveBeams[S], log_p_BKV: Tensor) -> BeamSelection:
    """The hypotheses that fill the free places."""
    options, lexical = batch.options, batch.choice.lexical
    said = PartialHypotheses(front.sentence_B, front.limit_B, front.ids_BKT)
    log_p_BKV = batch.choice.restrict(log_p_BKV, said)
    if lexical is None and options.groups == 1:
        chosen = select_best(log_p_BKV, front.log_p_BK, options.beam, front.free_BG)
        check_finite(chosen.log_p_BK)
        return chosen
    step_BKN, token_BKN = topk_tokens(log_p_BKV, options.beam)
    found = BeamCandidates(front.log_p_BK.unsqueeze(-1) + step_BKN.cpu().double(), token_BKN.cpu())
    check_finite(found.log_p_BKN)
    if lexical is None or options.groups > 1:
        return select_diverse(found, options.beam // options.groups, options.diversity, front.free_BG)
    return dynamic_beam_allocation(lexical, found, log_p_BKV, front.log_p_BK, said, options.beam, front.free_BG)


def _append_attention(front: _ActiveBeams[S], weights_BKS: Tensor | None, row_BK: Tensor) -> Tensor | None:
    if weights_BKS is None:
        return None
    every_B1 = torch.arange(len(front.sentence_B)).unsqueeze(1)
    new_BK1S = weights_BKS.cpu()[every_B1, row_BK].unsqueeze(2)
    if front.attention_BKTS is None:
        return new_BK1S
    return torch.cat([front.attention_BKTS[every_B1, row_BK], new_BK1S], dim=2)


def _collect_finished(
    batch: _SearchContext[S],
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
        reached = normalized_score(log_p, length, options.alpha)
        if options.coverage and attention_TS is not None:
            reached += coverage_penalty(attention_TS, batch.terms.words_B[sentence], options.coverage)
        many = batch.finished[sentence]
        many.append(Hypothesis(tuple(ids_BKT[place, rank, 1:-1].tolist()), log_p, reached, attention_TS))
        if len(many) >= options.nbest:
            batch.worst_B[sentence] = sorted((one.score for one in many), reverse=True)[options.nbest - 1]


def _rank_hypotheses(many: list[Hypothesis], count: int) -> list[Hypothesis]:
    """The best, each once: groups may have found the same."""
    once = {one.ids: one for one in sorted(many, key=lambda one: one.score)}
    return sorted(once.values(), key=lambda one: -one.score)[:count]


def _may_improve(batch: _SearchContext[S], front: _ActiveBeams[S], log_p_BK: Tensor) -> Tensor:
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
