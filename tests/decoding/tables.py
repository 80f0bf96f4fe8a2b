"""Steppers for tests: a language given by a table, and a random one that depends on the whole prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions, Stepper
from rnnkit.text import special_tokens

Search = Callable[[Stepper[object], Tensor, SearchOptions], list[list[SearchHypothesis]]]


@dataclass(frozen=True)
class Prefixes:
    """State of a `PrefixStepper`: the tokens so far of each hypothesis of each sentence."""

    sentences: tuple[int, ...]
    rows: tuple[tuple[tuple[int, ...], ...], ...]


class PrefixStepper:
    """A stepper whose log-probabilities and attention, if any, are functions of sentence and prefix."""

    def __init__(
        self,
        sentences: int,
        log_probabilities: Callable[[int, tuple[int, ...]], Sequence[float]],
        attention: Callable[[int, tuple[int, ...]], Sequence[float]] | None = None,
    ) -> None:
        self._sentences = sentences
        self._log_probabilities = log_probabilities
        self._attention = attention

    def start(self) -> Prefixes:
        return Prefixes(tuple(range(self._sentences)), (((),),) * self._sentences)

    def step(self, token_BK: Tensor, state: Prefixes) -> tuple[Tensor, Prefixes, Tensor | None]:
        rows = tuple(
            tuple((*prefix, token) for prefix, token in zip(prefixes, tokens, strict=True))
            for prefixes, tokens in zip(state.rows, token_BK.tolist(), strict=True)
        )
        pairs = list(zip(state.sentences, rows, strict=True))
        values = [[self._log_probabilities(one, prefix[1:]) for prefix in prefixes] for one, prefixes in pairs]
        weights_BKS = None
        if self._attention is not None:
            weights_BKS = torch.tensor([[self._attention(one, prefix[1:]) for prefix in many] for one, many in pairs])
        return torch.tensor(values), Prefixes(state.sentences, rows), weights_BKS

    def select(self, state: Prefixes, sentence_B: Tensor, row_BK: Tensor) -> Prefixes:
        chosen = sentence_B.tolist()
        rows = tuple(
            tuple(state.rows[index][row] for row in rows) for index, rows in zip(chosen, row_BK.tolist(), strict=True)
        )
        return Prefixes(tuple(state.sentences[index] for index in chosen), rows)


def from_table(table: Mapping[tuple[int, ...], Mapping[int, float]], size: int) -> PrefixStepper:
    """Create a stepper over one sentence from probabilities by prefix; uniform after a prefix not in the table."""
    spread = dict.fromkeys(
        [special_tokens.EOS, *range(len(special_tokens.NAMES), size)], 1 / (size - len(special_tokens.NAMES) + 1)
    )

    def log_probabilities(_: int, prefix: tuple[int, ...]) -> list[float]:
        known = table.get(prefix, spread)
        return torch.tensor([known.get(token, 0.0) for token in range(size)]).log().tolist()

    return PrefixStepper(1, log_probabilities)


def random_stepper(sentences: int, size: int, seed: int, sharpness: float = 1.0, source: int = 0) -> PrefixStepper:
    """Create a stepper with reproducible random log-probabilities for each prefix; with `source`, attention too."""

    def log_probabilities(sentence: int, prefix: tuple[int, ...]) -> list[float]:
        generator = torch.Generator().manual_seed(hash((seed, sentence, prefix)) % 2**31)
        logits = torch.randn(size, generator=generator) * sharpness
        return torch.log_softmax(logits, dim=0).tolist()

    def attention(sentence: int, prefix: tuple[int, ...]) -> list[float]:
        generator = torch.Generator().manual_seed(hash((seed, sentence, prefix, source)) % 2**31)
        return torch.softmax(torch.randn(source, generator=generator) * 2, dim=0).tolist()

    return PrefixStepper(sentences, log_probabilities, attention if source else None)


def only(stepper: PrefixStepper, sentence: int) -> PrefixStepper:
    """Reduce a stepper to one sentence."""
    start = stepper.select(stepper.start(), torch.tensor([sentence]), torch.tensor([[0]]))
    stepper.start = lambda: start  # type: ignore[method-assign]
    return stepper
