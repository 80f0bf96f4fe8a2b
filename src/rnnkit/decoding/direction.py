"""Models that say the target from its end, alone or together with models that say it from its beginning.

    score(y) = (F log p_F(y | x) + B log p_B(reversed y | x)) / (F + B)

of F models from left to right and B from right to left, where p_F and p_B are means over the models of a direction, as
in every ensemble. Each direction searches for itself; what either found is scored by both, and ranked. Errors gather
towards the end of what is said, and the two have different ends (Liu et al. 2016, "Agreement on Target-bidirectional
LSTMs for Sequence-to-Sequence Learning", AAAI).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rnnkit.decoding.choice import Wish
from rnnkit.decoding.forced import force
from rnnkit.decoding.stepper import Hypothesis, SearchOptions, Stepper, score

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Way:
    """The models of one direction, which have read a batch.

    Attributes:
        stepper: They.
        right_to_left: Whether they say the target from its end.
        share: Their share of all models.
    """

    stepper: Stepper[Any]
    right_to_left: bool = False
    share: float = 1.0

    def turn(self, ids: Sequence[int]) -> Ids:
        """What is read as what is said, or the other way."""
        return tuple(reversed(ids)) if self.right_to_left else tuple(ids)

    def turn_wish(self, wish: Wish) -> Wish:
        """Phrases as they are said. Raises ValueError where models that begin at the end are asked for a beginning."""
        if not self.right_to_left or wish == Wish():
            return wish
        if wish.prefix:
            raise ValueError("a model that begins at the end was asked for a beginning")
        return Wish(phrases=tuple(map(self.turn, wish.phrases)))

    def turn_attention(self, attention_TS: Tensor) -> Tensor:
        """Attention in the order in which the output is read; that of the end symbol stays last."""
        return torch.cat([attention_TS[:-1].flip(0), attention_TS[-1:]]) if self.right_to_left else attention_TS

    def turn_hypothesis(self, hypothesis: Hypothesis) -> Hypothesis:
        """The output as it is read, and its attention with it."""
        if not self.right_to_left:
            return hypothesis
        look_TS = None if hypothesis.attention is None else self.turn_attention(hypothesis.attention)
        return replace(hypothesis, ids=self.turn(hypothesis.ids), attention=look_TS)


def agree(
    ways: Sequence[Way],
    found: Sequence[Sequence[Sequence[Hypothesis]]],
    options: SearchOptions,
    keep_attention: bool = False,
) -> list[list[Hypothesis]]:
    """Rank what all directions found by what all of them say of it.

    Args:
        ways: The directions; attention is that of the first that has any.
        found: For each of them, what its search found for each sentence, as it is read.
        options: Length penalty and n-best.
        keep_attention: Whether the hypotheses carry their attention.

    Returns:
        For each sentence its `nbest` best hypotheses, best first; log_p is the score above, before the length penalty.
    """
    outputs = [list(dict.fromkeys(one.ids for many in each for one in many)) for each in zip(*found, strict=True)]
    most = max(map(len, outputs))
    # Sentences with fewer outputs than others say their last again.
    level = [[*many, *[many[-1]] * (most - len(many))] for many in outputs]
    total_BK = torch.zeros(len(level), most, dtype=torch.float64)
    attending: tuple[Way, Tensor] | None = None
    for way in ways:
        log_p_BKT, look_BKTS = force(way.stepper, [[way.turn(ids) for ids in many] for many in level])
        total_BK += way.share * log_p_BKT.sum(-1)
        if keep_attention and attending is None and look_BKTS is not None:
            attending = way, look_BKTS
    results = []
    for row, many in enumerate(outputs):
        hypotheses = []
        for place, ids in enumerate(many):
            log_p, length = float(total_BK[row, place]), len(ids) + 1
            look_TS = None if attending is None else attending[0].turn_attention(attending[1][row, place, :length])
            hypotheses.append(Hypothesis(ids, log_p, score(log_p, length, options.alpha), look_TS))
        results.append(sorted(hypotheses, key=lambda one: -one.score)[: options.nbest])
    return results
