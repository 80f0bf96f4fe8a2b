"""Exhaustive search: every sequence there is, for tiny vocabularies, tests and teaching.

With V tokens and a limit of T there are about V^T sequences; the search refuses more than a million.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper, forbidden, score
from rnnkit.errors import UsageError
from rnnkit.text import special

S = TypeVar("S")
MOST_SEQUENCES = 1_000_000


@torch.inference_mode()
def exhaustive_search(stepper: Stepper[S], limit_B: Tensor, options: SearchOptions) -> list[list[Hypothesis]]:
    """Find the best outputs of each sentence by looking at all of them.

    Args:
        stepper: The batch.
        limit_B: Most tokens of each output, the end symbol counted.
        options: `beam` is not used.

    Returns:
        For each sentence its `nbest` best hypotheses, best first.

    Raises:
        UsageError: There are more than a million sequences.
    """
    return [_search_one(stepper, index, int(limit), options) for index, limit in enumerate(limit_B)]


def _search_one(stepper: Stepper[S], sentence: int, limit: int, options: SearchOptions) -> list[Hypothesis]:
    found: list[Hypothesis] = []
    start = stepper.select(stepper.start(), torch.tensor([sentence]), torch.tensor([[0]]))
    _extend(stepper, start, (), 0.0, limit, options, found)
    found.sort(key=lambda hypothesis: -hypothesis.score)
    return found[: options.nbest]


def _extend(
    stepper: Stepper[S],
    state: S,
    prefix: tuple[int, ...],
    log_p: float,
    limit: int,
    options: SearchOptions,
    found: list[Hypothesis],
) -> None:
    """Add every way to end `prefix`, then go on with every way to lengthen it."""
    last = prefix[-1] if prefix else special.BOS
    log_p_11V, state, _ = stepper.step(torch.tensor([[last]]), state)
    log_p_V = log_p_11V.squeeze().double().tolist()
    if not prefix and (len(log_p_V) - 3) ** (limit - 1) > MOST_SEQUENCES:
        raise UsageError(
            f"exhaustive search over {len(log_p_V)} tokens and {limit} places looks at more than a million outputs",
            hint="it is meant for tiny vocabularies; use --beam",
        )
    total = log_p + log_p_V[special.EOS]
    found.append(Hypothesis(prefix, total, score(total, len(prefix) + 1, options.alpha)))
    if len(prefix) + 1 >= limit:
        return
    for token in set(range(len(log_p_V))) - {special.EOS, *forbidden(options)}:
        if log_p_V[token] > -torch.inf:
            _extend(stepper, state, (*prefix, token), log_p + log_p_V[token], limit, options, found)
