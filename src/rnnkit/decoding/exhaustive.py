"""Exhaustive search: scores every possible output, for tiny vocabularies, tests and teaching.

The search is exact: depth-first over all outputs, one sentence and one hypothesis at a time. With V tokens and a
maximum length of T there are about V^T outputs; it refuses to start with more than a million.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.constraints import NO_CONSTRAINTS, BatchConstraints, ConstraintMask
from rnnkit.decoding.stepper import (
    PartialHypotheses,
    SearchHypothesis,
    SearchOptions,
    Stepper,
    coverage_penalty,
    normalized_score,
)
from rnnkit.errors import UsageError
from rnnkit.text import special_tokens

S = TypeVar("S")

MAX_SEQUENCES = 1_000_000
"""Greatest number of outputs that the search scores."""


@dataclass
class _SentenceSearch(Generic[S]):
    """The search over the outputs of one sentence, with the hypotheses found so far."""

    stepper: Stepper[S]
    options: SearchOptions
    mask: ConstraintMask
    sentence_B: Tensor
    limit_B: Tensor
    found: list[SearchHypothesis] = field(default_factory=list)


@torch.inference_mode()
def exhaustive_search(
    stepper: Stepper[S], limit_B: Tensor, options: SearchOptions, constraints: BatchConstraints = NO_CONSTRAINTS
) -> list[list[SearchHypothesis]]:
    """Find the best outputs of each sentence by scoring all of them.

    Args:
        stepper: The model, over an encoded batch.
        limit_B: Maximum output length of each sentence, EOS included.
        options: Search options; `beam` is ignored.
        constraints: Constraints of each sentence.

    Returns:
        The `nbest` best hypotheses of each sentence, best first, with attention if the model has it.

    Raises:
        UsageError: There are more than a million outputs.
    """
    mask, results = ConstraintMask(options, constraints), []
    for index in range(len(limit_B)):
        search = _SentenceSearch(stepper, options, mask, torch.tensor([index]), limit_B[index : index + 1])
        state = stepper.select(stepper.start(), search.sentence_B, torch.tensor([[0]]))
        _extend(search, state, (), 0.0, ())
        search.found.sort(key=lambda hypothesis: -hypothesis.score)
        results.append(search.found[: options.nbest])
    return results


def _extend(
    search: _SentenceSearch[S], state: S, prefix: tuple[int, ...], log_p: float, attention: tuple[Tensor, ...]
) -> None:
    """Add every output that begins with `prefix`."""
    ids_11T = torch.tensor([[[special_tokens.BOS, *prefix]]])
    log_p_11V, state, weights_11S = search.stepper.step(ids_11T[..., -1], state)
    if not prefix:
        _check_search_space(log_p_11V.shape[-1], int(search.limit_B))
    masked_11V = search.mask.apply(log_p_11V, PartialHypotheses(search.sentence_B, search.limit_B, ids_11T))
    if weights_11S is not None:
        attention = (*attention, weights_11S[0, 0].cpu())
    for token, value in enumerate(masked_11V.squeeze().double().tolist()):
        if value == -torch.inf:
            continue
        if token == special_tokens.EOS:
            search.found.append(_make_hypothesis(search, prefix, log_p + value, attention))
        else:
            _extend(search, state, (*prefix, token), log_p + value, attention)


def _make_hypothesis(
    search: _SentenceSearch[S], ids: tuple[int, ...], log_p: float, attention: tuple[Tensor, ...]
) -> SearchHypothesis:
    """Score a complete output."""
    score = normalized_score(log_p, len(ids) + 1, search.options.alpha)
    attention_TS = torch.stack(attention) if attention else None
    if search.options.coverage and attention_TS is not None:
        source_length = search.mask.constraints.source_lengths_B[int(search.sentence_B)]
        score += coverage_penalty(attention_TS, source_length, search.options.coverage)
    return SearchHypothesis(ids, log_p, score, attention_TS)


def _check_search_space(size: int, limit: int) -> None:
    if (size - 3) ** (limit - 1) > MAX_SEQUENCES:
        raise UsageError(
            f"exhaustive search over {size:,} tokens and up to {limit:,} positions exceeds {MAX_SEQUENCES:,} outputs",
            hint="use --beam, or reduce --max-length; exhaustive search is meant for tiny vocabularies",
            option="--exhaustive",
        )
