"""Beam search, batched over sentences and hypotheses, and greedy search.

Objects. A stepper scores the next tokens of all active hypotheses at once. Each sentence has a beam of K slots. At
every step the best extensions of its active hypotheses fill the free slots (`beam_selection.py` defines "best": by
log-probability, by group in diverse beam search, or by bank in dynamic beam allocation for lexical constraints). A
hypothesis that generates EOS keeps its slot and is finished. A sentence is finished when all its slots are, or when no
active hypothesis can still reach the n-best list. Finished sentences are removed from the batch.

Complexity. One call of the stepper per output position for B sentences of K hypotheses, O(B K V) per step for the
selection, without sorting the vocabulary; steppers that rank tokens themselves avoid the full distribution where no
constraint needs it. Memory is O(B K (V + T)), and O(B K T S) more with attention.

Limitations. The search is not exact: a hypothesis outside the beam is never recovered, although nothing but rank prunes
one, so that a beam which holds the whole space equals exhaustive search, and a beam of one equals greedy search.
Log-probabilities are summed in float64. The length penalty and the coverage penalty rank finished hypotheses only.

Greedy search takes the most probable token at every step: one hypothesis per sentence, one call of the stepper per
output position. Finished sentences stay in the batch until the last one ends. The result equals beam search with a beam
of one, without its bookkeeping; it ignores the coverage penalty and does not return attention.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.beam_selection import (
    ActiveConstraint,
    BeamCandidates,
    BeamSelection,
    dynamic_beam_allocation,
    select_best,
    select_best_ranked,
    select_diverse,
    topk_tokens,
)
from rnnkit.decoding.constraints import NO_CONSTRAINTS, BatchConstraints, ConstraintMask, check_not_nan
from rnnkit.decoding.stepper import (
    PartialHypotheses,
    RankingStepper,
    SearchHypothesis,
    SearchOptions,
    Stepper,
    coverage_penalty,
    normalized_score,
)
from rnnkit.text import special_tokens

S = TypeVar("S")


@dataclass
class _ActiveBeams(Generic[S]):
    """Beams of the sentences that are not finished.

    Attributes:
        sentence_B: Index of each sentence in the batch.
        limit_B: Maximum output length of each sentence.
        free_slots_BG: Slots of each group that no finished hypothesis occupies.
        log_p_BK: Log-probabilities in float64; minus infinity for slots that are finished or empty.
        ids_BKT: Tokens so far, BOS first.
        state: State of the stepper.
        attention_BKTS: Attention so far, if it is kept.
    """

    sentence_B: Tensor
    limit_B: Tensor
    free_slots_BG: Tensor
    log_p_BK: Tensor
    ids_BKT: Tensor
    state: S
    attention_BKTS: Tensor | None = None


@dataclass
class _SearchContext(Generic[S]):
    """What stays the same during the search of a batch, and the finished hypotheses.

    Attributes:
        stepper: The model.
        ranker: The stepper, if it can rank tokens itself.
        options: Search options.
        constraints: Constraints of each sentence.
        keep_attention: Whether hypotheses keep their attention weights.
        mask: The constraints as a mask over the vocabulary.
        worst_B: Score of the worst hypothesis in the n-best list of each sentence; minus infinity until it is full.
        finished: Finished hypotheses of each sentence.
    """

    stepper: Stepper[S]
    ranker: RankingStepper[S] | None
    options: SearchOptions
    constraints: BatchConstraints
    keep_attention: bool
    mask: ConstraintMask
    worst_B: Tensor
    finished: list[list[SearchHypothesis]] = field(default_factory=list)


@torch.inference_mode()
def beam_search(
    stepper: Stepper[S],
    limit_B: Tensor,
    options: SearchOptions,
    keep_attention: bool = False,
    constraints: BatchConstraints = NO_CONSTRAINTS,
) -> list[list[SearchHypothesis]]:
    """Decode a batch by beam search.

    Args:
        stepper: The model, over an encoded batch.
        limit_B: Maximum output length of each sentence, EOS included.
        options: Beam size, length penalty, n-best and so on.
        keep_attention: Whether to return attention weights.
        constraints: Constraints of each sentence.

    Returns:
        The `nbest` best hypotheses of each sentence, best first.

    Raises:
        FormatError: The model computes NaN.
    """
    sentences = len(limit_B)
    search = _SearchContext(
        stepper=stepper,
        ranker=stepper if isinstance(stepper, RankingStepper) else None,
        options=options,
        constraints=constraints,
        keep_attention=keep_attention or options.coverage > 0,
        mask=ConstraintMask(options, constraints),
        worst_B=torch.full((sentences,), -torch.inf, dtype=torch.float64),
        finished=[[] for _ in range(sentences)],
    )
    beams = _ActiveBeams(
        sentence_B=torch.arange(sentences),
        limit_B=limit_B,
        free_slots_BG=torch.full((sentences, options.groups), options.beam // options.groups),
        log_p_BK=torch.zeros(sentences, 1, dtype=torch.float64),
        ids_BKT=torch.full((sentences, 1, 1), special_tokens.BOS),
        state=stepper.start(),
    )
    while len(beams.sentence_B):
        beams = _advance(search, beams)
    return [_rank_hypotheses(hypotheses, options.nbest) for hypotheses in search.finished]


def _advance(search: _SearchContext[S], beams: _ActiveBeams[S]) -> _ActiveBeams[S]:
    """Extend each active hypothesis by one token, collect those that end, and drop finished sentences."""
    chosen, state, weights_BKS = _expand(search, beams)
    every_B1 = torch.arange(len(beams.sentence_B)).unsqueeze(1)
    ids_BKT = torch.cat([beams.ids_BKT[every_B1, chosen.row_BK], chosen.token_BK.unsqueeze(-1)], dim=-1)
    attention_BKTS = _append_attention(beams, weights_BKS, chosen.row_BK) if search.keep_attention else None

    ends_BK = (chosen.token_BK == special_tokens.EOS) & (chosen.log_p_BK > -torch.inf)
    free_slots_BG = beams.free_slots_BG
    if ends_BK.any():
        _collect_finished(search, beams.sentence_B, ids_BKT, chosen.log_p_BK, ends_BK, attention_BKTS)
        free_slots_BG = free_slots_BG - torch.unflatten(ends_BK, 1, (free_slots_BG.shape[1], -1)).sum(-1)
    log_p_BK = chosen.log_p_BK.masked_fill(ends_BK, -torch.inf)
    # Inactive slots share the parent of the best active one: fewer distinct parents make `select` cheaper.
    row_BK = torch.where(
        log_p_BK > -torch.inf, chosen.row_BK, chosen.row_BK.gather(1, log_p_BK.argmax(1, keepdim=True))
    )

    keep_B = ~_is_finished(search, beams, log_p_BK)
    if keep_B.all():
        state = search.stepper.select(state, every_B1.squeeze(1), row_BK)
        return _ActiveBeams(beams.sentence_B, beams.limit_B, free_slots_BG, log_p_BK, ids_BKT, state, attention_BKTS)
    keep = keep_B.nonzero().squeeze(1)
    return _ActiveBeams(
        sentence_B=beams.sentence_B[keep],
        limit_B=beams.limit_B[keep],
        free_slots_BG=free_slots_BG[keep],
        log_p_BK=log_p_BK[keep],
        ids_BKT=ids_BKT[keep],
        state=search.stepper.select(state, keep, row_BK[keep]),
        attention_BKTS=None if attention_BKTS is None else attention_BKTS[keep],
    )


def _expand(search: _SearchContext[S], beams: _ActiveBeams[S]) -> tuple[BeamSelection, S, Tensor | None]:
    """Select the extensions for the free slots; also return the next state and the attention of all hypotheses."""
    mask, token_BK = search.mask, beams.ids_BKT[:, :, -1]
    can_rank = search.options.groups == 1 and mask.is_static(beams.limit_B, beams.ids_BKT.shape[2])
    if search.ranker is None or not can_rank:
        log_p_BKV, state, weights_BKS = search.stepper.step(token_BK, beams.state)
        return _select_candidates(search, beams, log_p_BKV), state, weights_BKS
    live_BK = beams.log_p_BK > -torch.inf
    ranked = search.ranker.rank(token_BK, beams.state, search.options.beam, mask.forbidden, live_BK)
    log_p_BKN, token_BKN, state, weights_BKS = ranked
    check_not_nan(log_p_BKN)
    candidates = BeamCandidates(beams.log_p_BK.unsqueeze(-1) + log_p_BKN.double(), token_BKN)
    return select_best_ranked(candidates, search.options.beam, beams.free_slots_BG), state, weights_BKS


def _select_candidates(search: _SearchContext[S], beams: _ActiveBeams[S], log_p_BKV: Tensor) -> BeamSelection:
    """Select the extensions for the free slots from the whole distribution."""
    options, lexical = search.options, search.mask.lexical
    partial = PartialHypotheses(beams.sentence_B, beams.limit_B, beams.ids_BKT)
    log_p_BKV = search.mask.apply(log_p_BKV, partial)
    if lexical is None and options.groups == 1:
        chosen = select_best(log_p_BKV, beams.log_p_BK, options.beam, beams.free_slots_BG)
        check_not_nan(chosen.log_p_BK)
        return chosen
    step_BKN, token_BKN = topk_tokens(log_p_BKV, options.beam)
    candidates = BeamCandidates(beams.log_p_BK.unsqueeze(-1) + step_BKN.cpu().double(), token_BKN.cpu())
    check_not_nan(candidates.log_p_BKN)
    if lexical is None or options.groups > 1:
        return select_diverse(candidates, options.beam // options.groups, options.diversity, beams.free_slots_BG)
    return dynamic_beam_allocation(
        ActiveConstraint(lexical, partial), candidates, log_p_BKV, beams.log_p_BK, options.beam, beams.free_slots_BG
    )


def _append_attention(beams: _ActiveBeams[S], weights_BKS: Tensor | None, row_BK: Tensor) -> Tensor | None:
    """Append the attention of this step to that of the parents `row_BK`."""
    if weights_BKS is None:
        return None
    every_B1 = torch.arange(len(beams.sentence_B)).unsqueeze(1)
    new_BK1S = weights_BKS.cpu()[every_B1, row_BK].unsqueeze(2)
    if beams.attention_BKTS is None:
        return new_BK1S
    return torch.cat([beams.attention_BKTS[every_B1, row_BK], new_BK1S], dim=2)


def _collect_finished(
    search: _SearchContext[S],
    sentence_B: Tensor,
    ids_BKT: Tensor,
    log_p_BK: Tensor,
    ends_BK: Tensor,
    attention_BKTS: Tensor | None,
) -> None:
    """Score the hypotheses that end and add them to the finished ones."""
    options, length = search.options, ids_BKT.shape[2] - 1
    for index, slot in ends_BK.nonzero().tolist():
        sentence, log_p = int(sentence_B[index]), log_p_BK[index, slot].item()
        attention_TS = None if attention_BKTS is None else attention_BKTS[index, slot].clone()
        score = normalized_score(log_p, length, options.alpha)
        if options.coverage and attention_TS is not None:
            score += coverage_penalty(attention_TS, search.constraints.source_lengths_B[sentence], options.coverage)
        finished = search.finished[sentence]
        finished.append(SearchHypothesis(tuple(ids_BKT[index, slot, 1:-1].tolist()), log_p, score, attention_TS))
        if len(finished) >= options.nbest:
            scores = sorted((hypothesis.score for hypothesis in finished), reverse=True)
            search.worst_B[sentence] = scores[options.nbest - 1]


def _rank_hypotheses(hypotheses: list[SearchHypothesis], count: int) -> list[SearchHypothesis]:
    """Return the best hypotheses without duplicates, which groups may produce."""
    unique = {hypothesis.ids: hypothesis for hypothesis in sorted(hypotheses, key=lambda one: one.score)}
    return sorted(unique.values(), key=lambda one: -one.score)[:count]


def _is_finished(search: _SearchContext[S], beams: _ActiveBeams[S], log_p_BK: Tensor) -> Tensor:
    """Return whether no active hypothesis of each sentence can still reach the n-best list (B).

    Log-probabilities only decrease, outputs are at most as long as the limit, and the coverage penalty is not positive.
    Hence log p / limit^alpha bounds the score of a hypothesis from above; for negative alpha, the score at length 1
    does. Diverse beam search exists for outputs outside the plain n-best list, so its groups always fill their slots.
    """
    best_B = log_p_BK.max(dim=1).values
    if search.options.groups > 1:
        return ~(best_B > -torch.inf)
    alpha = search.options.alpha
    bound_B = best_B / beams.limit_B.double() ** alpha if alpha > 0 else best_B
    return ~((best_B > -torch.inf) & (bound_B > search.worst_B[beams.sentence_B]))


@torch.inference_mode()
def greedy_search(
    stepper: Stepper[S], limit_B: Tensor, options: SearchOptions, constraints: BatchConstraints = NO_CONSTRAINTS
) -> list[list[SearchHypothesis]]:
    """Decode a batch by greedy search.

    Args:
        stepper: The model, over an encoded batch.
        limit_B: Maximum output length of each sentence, EOS included.
        options: Search options; those of the beam and the coverage penalty are ignored.
        constraints: Constraints of each sentence.

    Returns:
        One hypothesis for each sentence.

    Raises:
        FormatError: The model computes NaN.
    """
    sentences, mask = len(limit_B), ConstraintMask(options, constraints)
    state, sentence_B = stepper.start(), torch.arange(sentences)
    ids_BT = torch.full((sentences, 1), special_tokens.BOS)
    log_p_B = torch.zeros(sentences, dtype=torch.float64)
    done_B = torch.zeros(sentences, dtype=torch.bool)
    while not done_B.all():
        if isinstance(stepper, RankingStepper) and mask.is_static(limit_B, ids_BT.shape[1]):
            ranked = stepper.rank(ids_BT[:, -1:], state, 1, mask.forbidden, ~done_B.unsqueeze(1))
            best_B11, token_B11, state, _ = ranked
            best_B, token_B = best_B11.flatten().double(), token_B11.flatten()
        else:
            log_p_B1V, state, _ = stepper.step(ids_BT[:, -1:], state)
            partial = PartialHypotheses(sentence_B, limit_B, ids_BT.unsqueeze(1))
            best, token = mask.apply(log_p_B1V, partial).squeeze(1).max(dim=-1)
            best_B, token_B = best.cpu().double(), token.cpu()
        check_not_nan(best_B)
        log_p_B += torch.where(done_B, 0.0, best_B)
        token_B = torch.where(done_B, special_tokens.EOS, token_B)
        ids_BT = torch.cat([ids_BT, token_B.unsqueeze(1)], dim=1)
        done_B = done_B | (token_B == special_tokens.EOS)
    pairs = zip(ids_BT[:, 1:].tolist(), log_p_B.tolist(), strict=True)
    return [_finish_greedy(ids, log_p, options) for ids, log_p in pairs]


def _finish_greedy(padded: list[int], log_p: float, options: SearchOptions) -> list[SearchHypothesis]:
    """Cut the ids at EOS and score them."""
    ids = tuple(padded[: padded.index(special_tokens.EOS)])
    return [SearchHypothesis(ids, log_p, normalized_score(log_p, len(ids) + 1, options.alpha))]
