"""The stepper protocol between models and searches, and the options and results that all searches share.

Each search is written once, against `Stepper`. Models implement the protocol structurally: they do not import it.

Shapes: B sentences, K hypotheses per sentence, T target tokens, S source tokens, V vocabulary entries, N candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from rnnkit.text import special_tokens

S = TypeVar("S")
T = TypeVar("T")

MIN_COVERAGE = 1e-9
"""Lower bound of the attention a source token receives, which keeps the coverage penalty finite."""

LENGTH_FACTOR: Final = 4
LENGTH_MARGIN: Final = 100
"""A maximum length is the greatest length in training times the factor, plus the margin for short training lines."""

DEFAULT_TRAINING_LENGTH: Final = 500
"""Tokens of the longest training line, for models of older versions that did not record it."""


class Stepper(Protocol[S]):
    """Autoregressive decoder over a batch of B sentences that the model has already encoded.

    A state S holds K hypotheses for each of B sentences; the hypotheses of a sentence share its encoder output.
    """

    def start(self) -> S:
        """Return the initial state, with one hypothesis per sentence."""
        ...

    def step(self, token_BK: Tensor, state: S) -> tuple[Tensor, S, Tensor | None]:
        """Compute the distribution over the next token.

        Args:
            token_BK: Last token of each hypothesis.
            state: State before these tokens.

        Returns:
            Log-probabilities of the next token in nats (B, K, V), which the caller may overwrite; the next state; and
            attention weights (B, K, S), zero over padding, or None for models without attention.
        """
        ...

    def select(self, state: S, sentence_B: Tensor, row_BK: Tensor) -> S:
        """Return the state of the given sentences, with the given hypotheses of each, in this order."""
        ...


AnyStepper = Stepper[Any]
"""A stepper whose kind of state only it knows."""


@runtime_checkable
class RankingStepper(Stepper[S], Protocol[S]):
    """Stepper that finds the most probable tokens without materializing the whole distribution."""

    def rank(
        self, token_BK: Tensor, state: S, count: int, forbidden: Sequence[int], live_BK: Tensor | None = None
    ) -> tuple[Tensor, Tensor, S, Tensor | None]:
        """Compute the N most probable next tokens.

        Args:
            token_BK: Last token of each hypothesis.
            state: State before these tokens.
            count: N, tokens per hypothesis; a smaller vocabulary yields fewer.
            forbidden: Ids to leave out.
            live_BK: Hypotheses to compute, on the CPU; all if None.

        Returns:
            Log-probabilities (B, K, N) in descending order and their ids, both on the CPU; the next state; and
            attention weights as in `step`. Hypotheses that are not live have log-probability minus infinity and
            arbitrary ids.
        """
        ...


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search. All lengths are in tokens and include EOS.

    Attributes:
        beam: Beam size, hypotheses per sentence; 1 is greedy search.
        alpha: Length penalty: hypotheses are scored by log p / length^alpha.
        max_length: Maximum output length; 0 derives it from the source length, see `output_limit`.
        nbest: Hypotheses returned per sentence; at most `beam`.
        allow_unknown: Whether <unk> may be generated.
        exhaustive: Use exhaustive search instead of beam search.
        min_length: Minimum output length.
        no_repeat_ngram: Block repeated n-grams of this size; 0 allows all.
        groups: Groups of diverse beam search, which share the beam evenly; 1 is plain beam search.
        diversity: Diversity penalty in nats for each time that an earlier group chose the same token at this step.
        coverage: Weight of the coverage penalty; 0 disables it.
        max_source_length: Maximum source length; longer sources are truncated. 0 for no limit.
        max_output_length: Upper bound of the maximum length derived from the source; 0 for no bound.
    """

    beam: int = 5
    alpha: float = 1.0
    max_length: int = 0
    nbest: int = 1
    allow_unknown: bool = False
    exhaustive: bool = False
    min_length: int = 0
    no_repeat_ngram: int = 0
    groups: int = 1
    diversity: float = 0.0
    coverage: float = 0.0
    max_source_length: int = 0
    max_output_length: int = 0

    def output_limit(self, source_length: int) -> int:
        """Return the maximum output length for a source of this length: by default twice the source plus ten."""
        if self.max_length:
            return self.max_length
        relative = 2 * source_length + 10
        return min(relative, self.max_output_length) if self.max_output_length else relative

    def truncate(self, source: Sequence[T]) -> Sequence[T]:
        """Truncate a source without EOS to the maximum source length, leaving room for EOS."""
        return source[: self.max_source_length - 1] if 0 < self.max_source_length <= len(source) else source


@dataclass(frozen=True)
class TrainingLengths:
    """Lengths of the longest source and target in the training data, EOS included.

    They bound inputs and outputs. Without the bounds a line of noise, such as base64 in crawled text, takes quadratic
    time and memory, and its output becomes twice as long as the line, because a model that never saw such a line
    seldom generates EOS.

    Attributes:
        source: Longest source.
        target: Longest target.
        is_known: Whether the training data recorded the lengths.
    """

    source: int = DEFAULT_TRAINING_LENGTH
    target: int = DEFAULT_TRAINING_LENGTH
    is_known: bool = False

    @property
    def max_source_length(self) -> int:
        """Maximum source length, EOS included."""
        return LENGTH_FACTOR * self.source + LENGTH_MARGIN

    @property
    def max_output_length(self) -> int:
        """Maximum output length, EOS included."""
        return LENGTH_FACTOR * self.target + LENGTH_MARGIN


def max_training_lengths(each: Sequence[tuple[int, int] | None]) -> TrainingLengths:
    """Return the maximum over the models of an ensemble; None stands for a model without recorded lengths."""
    known = [pair for pair in each if pair is not None]
    if not known:
        return TrainingLengths()
    return TrainingLengths(max(source for source, _ in known), max(target for _, target in known), is_known=True)


@dataclass(frozen=True)
class PartialHypotheses:
    """Unfinished hypotheses of the sentences that are still being decoded.

    Attributes:
        sentence_B: Index of each sentence in the batch.
        limit_B: Maximum output length of each sentence, EOS included.
        ids_BKT: Tokens so far, BOS first.
    """

    sentence_B: Tensor
    limit_B: Tensor
    ids_BKT: Tensor

    @property
    def next_length(self) -> int:
        """Length of each hypothesis after the next token, BOS not counted."""
        return self.ids_BKT.shape[2]


@dataclass(frozen=True)
class SearchHypothesis:
    """A complete output.

    Attributes:
        ids: Token ids without EOS.
        log_p: Log-probability in nats, EOS included.
        score: Length-normalized log-probability plus the coverage penalty, if any.
        attention: Weights over the source for each token and EOS (T, S); None without attention.
        finished: Whether the model generated EOS before the maximum length, at which EOS is forced.
    """

    ids: tuple[int, ...]
    log_p: float
    score: float
    attention: Tensor | None = None
    finished: bool = True


def normalized_score(log_p: float, length: int, alpha: float) -> float:
    """Compute the length-normalized score log p / length^alpha; `length` includes EOS."""
    return log_p / float(length**alpha)


def coverage_penalty(attention_TS: Tensor, source_length: int, beta: float) -> float:
    """Compute the coverage penalty of one output (Wu et al. 2016, arXiv:1609.08144, equation 14).

        cp(X; Y) = beta * sum_i log(min(sum_j p_ij, 1))        p_ij: attention of target token j to source token i

    The penalty is never positive, so a score without it is an upper bound of the score with it.

    Args:
        attention_TS: Weights over the source for each token and EOS.
        source_length: Source tokens to cover; the columns after them, EOS and padding, are ignored.
        beta: Weight of the penalty.
    """
    covered_S = attention_TS[:, :source_length].double().sum(0).clamp(MIN_COVERAGE, 1.0)
    return beta * float(covered_S.log().sum())


def forbidden_ids(options: SearchOptions) -> list[int]:
    """Return the ids that no search generates: padding, BOS and, unless allowed, <unk>."""
    return [special_tokens.PAD, special_tokens.BOS] + ([] if options.allow_unknown else [special_tokens.UNK])
