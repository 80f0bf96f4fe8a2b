"""Model combination: ensembles, shallow fusion with language models, and decoding directions.

    ensemble         p(v) = 1/N sum_n p_n(v)
    shallow fusion   log s(v) = log p(v) + sum_m weight_m log q_m(v)     (Gulcehre et al. 2015, arXiv:1503.03535)

Each combination is a stepper made of steppers, so every search works with it; a step costs the sum of their steps.
Scores of shallow fusion are not probabilities: they do not sum to one over the vocabulary. They never exceed log p, so
they decrease as an output grows, which is all that the searches need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.constraints import Constraints
from rnnkit.decoding.stepper import AnyStepper, SearchHypothesis, Stepper
from rnnkit.text import special_tokens

TokenSequence = tuple[int, ...]

S = TypeVar("S")

States = tuple[object, ...]
"""States of several steppers, in their order."""


class Ensemble:
    """Models that share source and vocabulary; their probabilities are averaged.

    Args:
        steppers: Steppers over the same batch. Attention weights, if any, are over the same source tokens.
    """

    def __init__(self, steppers: Sequence[AnyStepper]) -> None:
        self._steppers = tuple(steppers)

    def start(self) -> States:
        """See `Stepper.start`."""
        return tuple(stepper.start() for stepper in self._steppers)

    def step(self, token_BK: Tensor, state: States) -> tuple[Tensor, States, Tensor | None]:
        """See `Stepper.step`. Attention is the mean over the models that have it."""
        results = [stepper.step(token_BK, one) for stepper, one in zip(self._steppers, state, strict=True)]
        total_BKV = results[0][0]
        for log_p_BKV, _, _ in results[1:]:
            total_BKV = torch.logaddexp(total_BKV, log_p_BKV.to(total_BKV))
        if len(results) > 1:
            total_BKV -= math.log(len(results))
        attention = [weights_BKS for _, _, weights_BKS in results if weights_BKS is not None]
        mean_BKS = torch.stack([each.to(attention[0]) for each in attention]).mean(0) if attention else None
        return total_BKV, tuple(one for _, one, _ in results), mean_BKS

    def select(self, state: States, sentence_B: Tensor, row_BK: Tensor) -> States:
        """See `Stepper.select`."""
        return _select_states(self._steppers, state, sentence_B, row_BK)


class ShallowFusion:
    """A translation model combined with language models of its target.

    Args:
        stepper: The translation model.
        fusion_models: Steppers of the language models, with empty prompts.
        weights: Weights of the language models, above 0.
    """

    def __init__(self, stepper: AnyStepper, fusion_models: Sequence[AnyStepper], weights: Sequence[float]) -> None:
        self._steppers = (stepper, *fusion_models)
        self._weights = tuple(weights)

    def start(self) -> States:
        """See `Stepper.start`."""
        return tuple(stepper.start() for stepper in self._steppers)

    def step(self, token_BK: Tensor, state: States) -> tuple[Tensor, States, Tensor | None]:
        """See `Stepper.step`. Attention is the translation model's."""
        results = [stepper.step(token_BK, one) for stepper, one in zip(self._steppers, state, strict=True)]
        total_BKV, _, weights_BKS = results[0]
        for (log_q_BKV, _, _), weight in zip(results[1:], self._weights, strict=True):
            total_BKV = total_BKV + weight * log_q_BKV.to(total_BKV)
        return total_BKV, tuple(one for _, one, _ in results), weights_BKS

    def select(self, state: States, sentence_B: Tensor, row_BK: Tensor) -> States:
        """See `Stepper.select`."""
        return _select_states(self._steppers, state, sentence_B, row_BK)


class RemappedStepper(Generic[S]):
    """A language model presented with the ids of another vocabulary.

    Args:
        stepper: The language model.
        id_V: Its id for each entry of the other vocabulary. Each of several entries that map to <unk> has the whole
            probability of <unk>.
    """

    def __init__(self, stepper: Stepper[S], id_V: Tensor) -> None:
        self._stepper = stepper
        self._id_V = id_V

    def start(self) -> S:
        """See `Stepper.start`."""
        return self._stepper.start()

    def step(self, token_BK: Tensor, state: S) -> tuple[Tensor, S, Tensor | None]:
        """See `Stepper.step`."""
        mapped_BK = self._id_V.to(token_BK.device)[token_BK]
        log_p_BKW, next_state, weights_BKS = self._stepper.step(mapped_BK, state)
        return log_p_BKW.index_select(-1, self._id_V.to(log_p_BKW.device)), next_state, weights_BKS

    def select(self, state: S, sentence_B: Tensor, row_BK: Tensor) -> S:
        """See `Stepper.select`."""
        return self._stepper.select(state, sentence_B, row_BK)


class ExtendedVocabularyStepper(Generic[S]):
    """A stepper over a vocabulary extended by the out-of-vocabulary tokens of each source.

    Each additional token has the probability of <unk>. Beside a translation model, which decides between these tokens,
    a language model can only score that an unknown word occurs.

    Args:
        stepper: Stepper over the vocabulary.
        size: Size of the vocabulary.
        oov: Number of additional tokens.
    """

    def __init__(self, stepper: Stepper[S], size: int, oov: int) -> None:
        self._stepper = stepper
        self._size = size
        self._oov = oov

    def start(self) -> S:
        """See `Stepper.start`."""
        return self._stepper.start()

    def step(self, token_BK: Tensor, state: S) -> tuple[Tensor, S, Tensor | None]:
        """See `Stepper.step`."""
        known_BK = token_BK.masked_fill(token_BK >= self._size, special_tokens.UNK)
        log_p_BKV, state, weights_BKS = self._stepper.step(known_BK, state)
        oov_BKX = log_p_BKV[..., special_tokens.UNK : special_tokens.UNK + 1].expand(-1, -1, self._oov)
        return torch.cat([log_p_BKV, oov_BKX], dim=-1), state, weights_BKS

    def select(self, state: S, sentence_B: Tensor, row_BK: Tensor) -> S:
        """See `Stepper.select`."""
        return self._stepper.select(state, sentence_B, row_BK)


def _select_states(steppers: Sequence[AnyStepper], state: States, sentence_B: Tensor, row_BK: Tensor) -> States:
    pairs = zip(steppers, state, strict=True)
    return tuple(stepper.select(one, sentence_B, row_BK) for stepper, one in pairs)


@dataclass(frozen=True)
class Direction:
    """The models that generate in one direction, over an encoded batch.

    The methods convert between reading order and generation order, which is reversed for right-to-left models.

    Attributes:
        stepper: The models, combined.
        right_to_left: Whether they generate the target from its end.
        weight: Their share of all models, from 0 to 1.
    """

    stepper: AnyStepper
    right_to_left: bool = False
    weight: float = 1.0

    def reorder(self, ids: Sequence[int]) -> TokenSequence:
        """Convert ids from reading order to generation order, or back."""
        return tuple(reversed(ids)) if self.right_to_left else tuple(ids)

    def reorder_constraints(self, constraints: Constraints) -> Constraints:
        """Convert constraints to generation order.

        Raises:
            ValueError: There is a prefix, and the direction is right to left.
        """
        if not self.right_to_left or constraints == Constraints():
            return constraints
        if constraints.prefix:
            raise ValueError("a right-to-left model cannot be constrained to a prefix")
        phrases = tuple(phrase.reverse() for phrase in constraints.phrases)
        return Constraints(
            sequences=tuple(map(self.reorder, constraints.sequences)), phrases=phrases, right_to_left=True
        )

    def reorder_attention(self, attention_TS: Tensor) -> Tensor:
        """Convert attention to reading order; the row of EOS stays last."""
        return torch.cat([attention_TS[:-1].flip(0), attention_TS[-1:]]) if self.right_to_left else attention_TS

    def reorder_hypothesis(self, hypothesis: SearchHypothesis) -> SearchHypothesis:
        """Convert a hypothesis and its attention to reading order."""
        if not self.right_to_left:
            return hypothesis
        attention_TS = None if hypothesis.attention is None else self.reorder_attention(hypothesis.attention)
        return replace(hypothesis, ids=self.reorder(hypothesis.ids), attention=attention_TS)
