"""What a model must offer to be searched, and what a search gives back.

Every search is written once against `Stepper`; models fit it by their shape alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from rnnkit.text import special_tokens

S = TypeVar("S")
T = TypeVar("T")


class Stepper(Protocol[S]):
    """A batch of B sentences, ready to be decoded token by token.

    A state S belongs to B sentences with K rows each; all rows of a sentence share its memory.
    """

    def start(self) -> S:
        """The state before the first token, one row a sentence."""
        ...

    def step(self, token_BK: Tensor, state: S) -> tuple[Tensor, S, Tensor | None]:
        """Read the tokens chosen last.

        Returns:
            Log-probabilities of the next token (B, K, V) in nats, which the search may write over, the next state,
            and attention weights (B, K, S), zero over padding, or None.
        """
        ...

    def select(self, state: S, sentence_B: Tensor, row_BK: Tensor) -> S:
        """The state of the chosen sentences, each with the chosen rows in the order given."""
        ...


@runtime_checkable
class RankingStepper(Stepper[S], Protocol[S]):
    """A stepper that can name the best tokens without writing down the probability of every one."""

    def rank(
        self, token_BK: Tensor, state: S, count: int, forbidden: Sequence[int], live_BK: Tensor | None = None
    ) -> tuple[Tensor, Tensor, S, Tensor | None]:
        """Read the tokens chosen last.

        Args:
            token_BK: The tokens.
            state: The state behind which they come.
            count: How many tokens a row are wanted, N; fewer come from a smaller vocabulary.
            forbidden: Tokens that are not named.
            live_BK: Rows that matter, on the CPU; all, unless given.

        Returns:
            Log-probabilities (B, K, N), greatest first, and their tokens, both on the CPU, minus infinity and any
            token in rows that do not matter; the next state and attention weights as from `step`.
        """
        ...


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        beam: Hypotheses kept a sentence; 1 is greedy.
        alpha: Length penalty: the score is log p / L^alpha, L counting the end symbol.
        max_length: Most tokens of an output, the end symbol counted; 0 means twice the source and ten, and at most
            `most_output`.
        nbest: Hypotheses returned a sentence; at most `beam`.
        allow_unknown: Whether the unknown symbol may be chosen.
        exhaustive: Look at every output instead of a beam of them.
        min_length: Least tokens of an output, the end symbol counted.
        no_repeat: No output has the same so many tokens in a row twice; 0 for no such rule.
        groups: Parts of the beam that keep clear of each other; they share it evenly.
        diversity: What a token costs, in nats, for each time that another group chose it at the same step.
        coverage: Weight of the coverage penalty in the score; 0 for none.
        most_source: Tokens of a source that are read, the end symbol counted; 0 reads all.
        most_output: Bound of an output where `max_length` is 0; 0 for none but that of the source.
    """

    beam: int = 5
    alpha: float = 1.0
    max_length: int = 0
    nbest: int = 1
    allow_unknown: bool = False
    exhaustive: bool = False
    min_length: int = 0
    no_repeat: int = 0
    groups: int = 1
    diversity: float = 0.0
    coverage: float = 0.0
    most_source: int = 0
    most_output: int = 0

    def limit(self, source_length: int) -> int:
        """Most tokens allowed for a source of this many, end symbols counted."""
        if self.max_length:
            return self.max_length
        relative = 2 * source_length + 10
        return min(relative, self.most_output) if self.most_output else relative

    def cut(self, source: Sequence[T]) -> Sequence[T]:
        """The tokens of a source that are read, without the end symbol."""
        return source[: self.most_source - 1] if 0 < self.most_source <= len(source) else source


@dataclass(frozen=True)
class Hypothesis:
    """One finished output.

    Attributes:
        ids: Its tokens, without the end symbol.
        log_p: Log-probability in nats, the end symbol counted.
        score: log_p / L^alpha, and the coverage penalty where there is one.
        attention: For each token and the end symbol, weights over the source; None without attention.
        finished: Whether it ended before its greatest length, at which every output ends.
    """

    ids: tuple[int, ...]
    log_p: float
    score: float
    attention: Tensor | None = None
    finished: bool = True


def normalized_score(log_p: float, length: int, alpha: float) -> float:
    """Length-normalised score log p / L^alpha; `length` counts the end symbol."""
    return log_p / float(length**alpha)


def forbidden_ids(options: SearchOptions) -> list[int]:
    """Ids that are never chosen."""
    return [special_tokens.PAD, special_tokens.BOS] + ([] if options.allow_unknown else [special_tokens.UNK])


MIN_COVERAGE = 1e-9
"""Least attention that a source token is taken to have, so that no output is worth nothing."""


def coverage_penalty(attention_TS: Tensor, words: int, beta: float) -> float:
    """The penalty of one output.

    Args:
        attention_TS: Weights over the source for each token and the end symbol.
        words: Source tokens that want to be covered; columns from there on, the end symbol and padding, do not count.
        beta: Weight.
    """
    covered_S = attention_TS[:, :words].double().sum(0).clamp(MIN_COVERAGE, 1.0)
    return beta * float(covered_S.log().sum())


LENGTH_FACTOR: Final = 4
LENGTH_MARGIN: Final = 100
DEFAULT_TRAINING_LENGTH: Final = 500
"""Tokens of the longest line of training where a model of an older rnnkit does not record it."""


@dataclass(frozen=True)
class TrainingLengths:
    """Tokens of the longest source and target of training, the end symbol counted.

    Attributes:
        source: Of the source.
        target: Of the target.
        is_known: Whether they were recorded.
    """

    source: int = DEFAULT_TRAINING_LENGTH
    target: int = DEFAULT_TRAINING_LENGTH
    is_known: bool = False

    @property
    def most_source(self) -> int:
        """Tokens of a source line that are read at most, the end symbol counted."""
        return LENGTH_FACTOR * self.source + LENGTH_MARGIN

    @property
    def most_output(self) -> int:
        """Tokens of an output at most, the end symbol counted."""
        return LENGTH_FACTOR * self.target + LENGTH_MARGIN


def max_training_lengths(each: Sequence[tuple[int, int] | None]) -> TrainingLengths:
    """The longest lines of models that work together; None stands for a model that does not record them."""
    known = [pair for pair in each if pair is not None]
    if not known:
        return TrainingLengths()
    return TrainingLengths(max(source for source, _ in known), max(target for _, target in known), is_known=True)


@dataclass(frozen=True)
class PartialHypotheses:
    """Rows under way.

    Attributes:
        sentence_B: Which sentences of the batch they belong to.
        limit_B: Most tokens of the sentences' outputs, the end symbol counted.
        ids_BKT: What each row has said, behind the start symbol.
    """

    sentence_B: Tensor
    limit_B: Tensor
    ids_BKT: Tensor

    @property
    def next_length(self) -> int:
        """Tokens of a row with the one that is chosen next."""
        return self.ids_BKT.shape[2]
