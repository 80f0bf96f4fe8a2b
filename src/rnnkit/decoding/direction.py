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
        texts = tuple(phrase.turned() for phrase in wish.texts)
        return Wish(phrases=tuple(map(self.turn, wish.phrases)), texts=texts, backwards=True)

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
        found: For each of them, what its search found for each sentence, as it is read, with attention if it is kept.
        options: Length penalty and n-best.
        keep_attention: Whether the hypotheses carry their attention.

    Returns:
        For each sentence its `nbest` best hypotheses, best first; log_p is the score above, before the length penalty.
    """
    outputs = [list(dict.fromkeys(one.ids for many in each for one in many)) for each in zip(*found, strict=True)]
    said = [_say(way, each, outputs, keep_attention) for way, each in zip(ways, found, strict=True)]
    results = []
    for row, many in enumerate(outputs):
        hypotheses = []
        for ids in many:
            by_each = [sentences[row][ids] for sentences in said]
            log_p = sum(way.share * one.log_p for way, one in zip(ways, by_each, strict=True))
            look_TS = next((one.attention for one in by_each if one.attention is not None), None)
            hypotheses.append(Hypothesis(ids, log_p, score(log_p, len(ids) + 1, options.alpha), look_TS))
        results.append(sorted(hypotheses, key=lambda one: -one.score)[: options.nbest])
    return results


def _say(
    way: Way,
    found: Sequence[Sequence[Hypothesis]],
    outputs: Sequence[Sequence[Ids]],
    keep_attention: bool,
) -> list[dict[Ids, Hypothesis]]:
    """What a direction says of each output of each sentence. Of what it found itself the search has said it."""
    said = [{one.ids: one for one in many} for many in found]
    missing = [[ids for ids in many if ids not in known] for many, known in zip(outputs, said, strict=True)]
    most = max(map(len, missing))
    if not most:
        return said
    # All have as many outputs; those that are made up are the shortest there are.
    level = [[*map(way.turn, many), *[()] * (most - len(many))] for many in missing]
    log_p_BKT, look_BKTS = force(way.stepper, level)
    for row, many in enumerate(missing):
        for place, ids in enumerate(many):
            look_TS = None
            if keep_attention and look_BKTS is not None:
                look_TS = way.turn_attention(look_BKTS[row, place, : len(ids) + 1])
            log_p = float(log_p_BKT[row, place].sum())
            said[row][ids] = Hypothesis(ids, log_p, log_p, look_TS)
    return said
