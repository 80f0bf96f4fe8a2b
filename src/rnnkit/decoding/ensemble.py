"""Several models that choose together: the mean of their probabilities, and language models that have a say.

    ensemble   p(v) = 1/N sum_n p_n(v)
    fusion     log s(v) = log p(v) + sum_m weight_m log q_m(v)       shallow (Gulcehre et al. 2015, arXiv:1503.03535)

Both are steppers made of steppers. A fused score is no probability: it does not sum to one over the vocabulary, and
being below log p it only falls as an output grows, which is all that a search needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rnnkit.decoding.constraints.token_constraints import Constraints
from rnnkit.decoding.stepper import Hypothesis, Stepper
from rnnkit.text import special_tokens

TokenSequence = tuple[int, ...]

States = tuple[Any, ...]
"""The states of the steppers, in order."""


class Ensemble:
    """Models that read the same source and say the same tokens; of one, it is that model.

    Args:
        steppers: Of one batch. Their attention, where they have any, goes over the same source tokens.
    """

    def __init__(self, steppers: Sequence[Stepper[Any]]) -> None:
        self._steppers = tuple(steppers)

    def start(self) -> States:
        """The states before the first token."""
        return tuple(stepper.start() for stepper in self._steppers)

    def step(self, token_BK: Tensor, state: States) -> tuple[Tensor, States, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`. Attention is the mean of that of all."""
        results = [stepper.step(token_BK, one) for stepper, one in zip(self._steppers, state, strict=True)]
        total_BKV = results[0][0]
        for log_p_BKV, _, _ in results[1:]:
            total_BKV = torch.logaddexp(total_BKV, log_p_BKV.to(total_BKV))
        if len(results) > 1:
            total_BKV -= math.log(len(results))
        looks = [weights_BKS for _, _, weights_BKS in results if weights_BKS is not None]
        weights_BKS = torch.stack([look.to(looks[0]) for look in looks]).mean(0) if looks else None
        return total_BKV, tuple(one for _, one, _ in results), weights_BKS

    def select(self, state: States, sentence_B: Tensor, row_BK: Tensor) -> States:
        """The states of the chosen sentences, each with the chosen rows."""
        return _select_states(self._steppers, state, sentence_B, row_BK)


class ShallowFusion:
    """A model and language models of its target, which read what it says.

    Args:
        stepper: The model.
        speakers: A stepper of each language model, behind empty prompts.
        weights: Of the language models, above 0.
    """

    def __init__(self, stepper: Stepper[Any], speakers: Sequence[Stepper[Any]], weights: Sequence[float]) -> None:
        self._steppers = (stepper, *speakers)
        self._weights = tuple(weights)

    def start(self) -> States:
        """The states before the first token."""
        return tuple(stepper.start() for stepper in self._steppers)

    def step(self, token_BK: Tensor, state: States) -> tuple[Tensor, States, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`. Attention is the model's."""
        results = [stepper.step(token_BK, one) for stepper, one in zip(self._steppers, state, strict=True)]
        total_BKV, _, weights_BKS = results[0]
        for (log_q_BKV, _, _), weight in zip(results[1:], self._weights, strict=True):
            total_BKV = total_BKV + weight * log_q_BKV.to(total_BKV)
        return total_BKV, tuple(one for _, one, _ in results), weights_BKS

    def select(self, state: States, sentence_B: Tensor, row_BK: Tensor) -> States:
        """The states of the chosen sentences, each with the chosen rows."""
        return _select_states(self._steppers, state, sentence_B, row_BK)


class RemappedStepper:
    """A language model that numbers its tokens otherwise; to the search it has the rows of another vocabulary.

    Args:
        stepper: The language model.
        row_V: For each row of the other vocabulary, the model's own. Where several are the model's unknown word, each
            has the whole probability of it.
    """

    def __init__(self, stepper: Stepper[Any], row_V: Tensor) -> None:
        self._stepper = stepper
        self._row_V = row_V

    def start(self) -> Any:
        """The state before the first token."""
        return self._stepper.start()

    def step(self, token_BK: Tensor, state: Any) -> tuple[Tensor, Any, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        own_BK = self._row_V.to(token_BK.device)[token_BK]
        log_p_BKW, after, weights_BKS = self._stepper.step(own_BK, state)
        return log_p_BKW.index_select(-1, self._row_V.to(log_p_BKW.device)), after, weights_BKS

    def select(self, state: Any, sentence_B: Tensor, row_BK: Tensor) -> Any:
        """The states of the chosen sentences, each with the chosen rows."""
        return self._stepper.select(state, sentence_B, row_BK)


class ExtendedVocabularyStepper:
    """A stepper for a vocabulary with tokens of each sentence's own behind it, all of which are unknown to the stepper.

    Each of them is as probable as the unknown symbol: beside a translation model, which decides between them, a
    language model can only judge that an unknown word stands there.

    Args:
        stepper: What is widened.
        size: Tokens of its vocabulary.
        own: Tokens behind it.
    """

    def __init__(self, stepper: Stepper[Any], size: int, own: int) -> None:
        self._stepper = stepper
        self._size = size
        self._own = own

    def start(self) -> Any:
        """The stepper's."""
        return self._stepper.start()

    def step(self, token_BK: Tensor, state: Any) -> tuple[Tensor, Any, Tensor | None]:
        """Read the tokens chosen last; see `decoding.stepper.Stepper.step`."""
        known_BK = token_BK.masked_fill(token_BK >= self._size, special_tokens.UNK)
        log_p_BKV, state, weights_BKS = self._stepper.step(known_BK, state)
        own_BKX = log_p_BKV[..., special_tokens.UNK : special_tokens.UNK + 1].expand(-1, -1, self._own)
        return torch.cat([log_p_BKV, own_BKX], dim=-1), state, weights_BKS

    def select(self, state: Any, sentence_B: Tensor, row_BK: Tensor) -> Any:
        """The stepper's."""
        return self._stepper.select(state, sentence_B, row_BK)


def _select_states(steppers: Sequence[Stepper[Any]], state: States, sentence_B: Tensor, row_BK: Tensor) -> States:
    pairs = zip(steppers, state, strict=True)
    return tuple(stepper.select(one, sentence_B, row_BK) for stepper, one in pairs)


@dataclass(frozen=True)
class Direction:
    """The models of one direction, which have read a batch.

    Attributes:
        stepper: They.
        right_to_left: Whether they say the target from its end.
        share: Their share of all models.
    """

    stepper: Stepper[Any]
    right_to_left: bool = False
    share: float = 1.0

    def turn(self, ids: Sequence[int]) -> TokenSequence:
        """What is read as what is said, or the other way."""
        return tuple(reversed(ids)) if self.right_to_left else tuple(ids)

    def turn_wish(self, wish: Constraints) -> Constraints:
        """Phrases as they are said. Raises ValueError where models that begin at the end are asked for a beginning."""
        if not self.right_to_left or wish == Constraints():
            return wish
        if wish.prefix:
            raise ValueError("a model that begins at the end was asked for a beginning")
        texts = tuple(phrase.turned() for phrase in wish.texts)
        return Constraints(phrases=tuple(map(self.turn, wish.phrases)), texts=texts, backwards=True)

    def turn_attention(self, attention_TS: Tensor) -> Tensor:
        """Attention in the order in which the output is read; that of the end symbol stays last."""
        return torch.cat([attention_TS[:-1].flip(0), attention_TS[-1:]]) if self.right_to_left else attention_TS

    def turn_hypothesis(self, hypothesis: Hypothesis) -> Hypothesis:
        """The output as it is read, and its attention with it."""
        if not self.right_to_left:
            return hypothesis
        look_TS = None if hypothesis.attention is None else self.turn_attention(hypothesis.attention)
        return replace(hypothesis, ids=self.turn(hypothesis.ids), attention=look_TS)
