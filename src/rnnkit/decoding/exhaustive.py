"""Exhaustive search: every sequence there is, for tiny vocabularies, tests and teaching.

With V tokens and a limit of T there are about V^T sequences; the search refuses more than a million.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.constraints.token_constraints import NO_CONSTRAINTS, BatchConstraints, ConstraintMask
from rnnkit.decoding.stepper import (
    Hypothesis,
    PartialHypotheses,
    SearchOptions,
    Stepper,
    coverage_penalty,
    normalized_score,
)
from rnnkit.errors import UsageError
from rnnkit.text import special_tokens

S = TypeVar("S")
MAX_SEQUENCES = 1_000_000


@dataclass
class _SentenceSearch(Generic[S]):
    """One sentence under search, and the outputs found so far."""

    stepper: Stepper[S]
    options: SearchOptions
    choice: ConstraintMask
    sentence_B: Tensor
    limit_B: Tensor
    found: list[Hypothesis] = field(default_factory=list)


@torch.inference_mode()
def exhaustive_search(
    stepper: Stepper[S], limit_B: Tensor, options: SearchOptions, terms: BatchConstraints = NO_CONSTRAINTS
) -> list[list[Hypothesis]]:
    """Find the best outputs of each sentence by looking at all of them.

    Args:
        stepper: The batch.
        limit_B: Most tokens of each output, the end symbol counted.
        options: `beam` is not used.
        terms: What the sentences ask for.

    Returns:
        For each sentence its `nbest` best hypotheses, best first, with attention where the model has any.

    Raises:
        UsageError: There are more than a million sequences.
    """
    choice, results = ConstraintMask(options, terms), []
    for index in range(len(limit_B)):
        one = _SentenceSearch(stepper, options, choice, torch.tensor([index]), limit_B[index : index + 1])
        start = stepper.select(stepper.start(), one.sentence_B, torch.tensor([[0]]))
        _extend(one, start, (), 0.0, ())
        one.found.sort(key=lambda hypothesis: -hypothesis.score)
        results.append(one.found[: options.nbest])
    return results


def _extend(
    one: _SentenceSearch[S], state: S, prefix: tuple[int, ...], log_p: float, attention: tuple[Tensor, ...]
) -> None:
    """Add every way to end `prefix`, then go on with every way to lengthen it."""
    ids_11T = torch.tensor([[[special_tokens.BOS, *prefix]]])
    log_p_11V, state, weights_11S = one.stepper.step(ids_11T[..., -1], state)
    if not prefix:
        _check_search_space(log_p_11V.shape[-1], int(one.limit_B))
    restricted_11V = one.choice.restrict(log_p_11V, PartialHypotheses(one.sentence_B, one.limit_B, ids_11T))
    if weights_11S is not None:
        attention = (*attention, weights_11S[0, 0].cpu())
    for token, value in enumerate(restricted_11V.squeeze().double().tolist()):
        if value == -torch.inf:
            continue
        if token == special_tokens.EOS:
            one.found.append(_make_hypothesis(one, prefix, log_p + value, attention))
        else:
            _extend(one, state, (*prefix, token), log_p + value, attention)


def _make_hypothesis(
    one: _SentenceSearch[S], ids: tuple[int, ...], log_p: float, attention: tuple[Tensor, ...]
) -> Hypothesis:
    reached = normalized_score(log_p, len(ids) + 1, one.options.alpha)
    attention_TS = torch.stack(attention) if attention else None
    if one.options.coverage and attention_TS is not None:
        words = one.choice.terms.words_B[int(one.sentence_B)]
        reached += coverage_penalty(attention_TS, words, one.options.coverage)
    return Hypothesis(ids, log_p, reached, attention_TS)


def _check_search_space(size: int, limit: int) -> None:
    if (size - 3) ** (limit - 1) > MAX_SEQUENCES:
        raise UsageError(
            f"exhaustive search over {size} tokens and {limit} places looks at more than a million outputs",
            hint="it is meant for tiny vocabularies; use --beam",
        )
