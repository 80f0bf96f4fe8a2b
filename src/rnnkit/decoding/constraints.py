"""Constrained decoding: minimum length, n-gram blocking, forced prefixes and lexical constraints, all hard.

`ConstraintMask` combines the constraints of a batch into one mask over the vocabulary, like the logits processors of
Hugging Face; beam, greedy, exhaustive search and sampling all apply it. Constraints are stateless: each one computes
its part of the mask from the partial hypotheses. Log-probabilities of the remaining tokens are not renormalized.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from rnnkit.decoding.lexical_constraints import LexicalConstraints
from rnnkit.decoding.phrase_spellings import RequiredPhrase
from rnnkit.decoding.stepper import PartialHypotheses, SearchHypothesis, SearchOptions, Stepper, forbidden_ids
from rnnkit.errors import FormatError
from rnnkit.text import special_tokens

S = TypeVar("S")

FORCED_LOG_P = -1e4
"""Log-probability of a token that a constraint forces although the model assigns it probability zero."""


@dataclass(frozen=True)
class Constraints:
    """Constraints on the outputs of one sentence.

    Attributes:
        prefix: Ids with which each output begins.
        sequences: Id sequences that each output contains, none of them empty.
        phrases: Phrases that each output contains at word boundaries.
        right_to_left: Whether outputs are generated from their ends; the ids of all constraints are then reversed.
    """

    prefix: tuple[int, ...] = ()
    sequences: tuple[tuple[int, ...], ...] = ()
    phrases: tuple[RequiredPhrase, ...] = ()
    right_to_left: bool = False

    @property
    def is_lexical(self) -> bool:
        """Whether there are lexical constraints: sequences or phrases to contain."""
        return bool(self.sequences or self.phrases)

    def satisfied_by(self, hypothesis: SearchHypothesis, text: str) -> bool:
        """Return whether an output, given as ids and as text in reading order, satisfies the lexical constraints."""
        ids = hypothesis.ids
        return all(phrase.is_in(text) for phrase in self.phrases) and all(
            any(ids[start : start + len(sequence)] == sequence for start in range(len(ids)))
            for sequence in self.sequences
        )

    @property
    def max_tokens(self) -> int:
        """Length that always suffices to satisfy the constraints, EOS included."""
        in_sequences, in_phrases = sum(map(len, self.sequences)), sum(phrase.max_tokens for phrase in self.phrases)
        return len(self.prefix) + in_sequences + in_phrases + 1


UNCONSTRAINED = Constraints()

ConstrainedSource = tuple[str, Constraints]
"""A source line and the constraints on its translation."""


@dataclass(frozen=True)
class BatchConstraints:
    """What differs between the sentences of a batch, beside the search options that they share.

    Attributes:
        per_sentence: Constraints of each sentence; empty if no sentence has any.
        source_lengths_B: Source length of each sentence without EOS, for the coverage penalty.
    """

    per_sentence: Sequence[Constraints] = ()
    source_lengths_B: Sequence[int] = ()

    def extend_limits(self, limit_B: Tensor, options: SearchOptions) -> Tensor:
        """Raise maximum output lengths to lengths at which the constraints can be satisfied."""
        limit_B = limit_B.clamp_min(options.min_length)
        if not self.per_sentence:
            return limit_B
        return torch.maximum(limit_B, torch.tensor([constraints.max_tokens for constraints in self.per_sentence]))


NO_CONSTRAINTS = BatchConstraints()


class TokenConstraint(Protocol):
    """A constraint on the next token."""

    def apply_mask(self, allowed_BKV: Tensor, partial: PartialHypotheses) -> None:
        """Set forbidden tokens to False in place; the mask is on the device of the log-probabilities."""
        ...


@dataclass(frozen=True)
class MinLength:
    """Minimum output length: forbids EOS before it.

    Attributes:
        tokens: Minimum length, EOS included.
    """

    tokens: int

    def apply_mask(self, allowed_BKV: Tensor, partial: PartialHypotheses) -> None:
        """See `TokenConstraint.apply_mask`."""
        if partial.next_length < self.tokens:
            allowed_BKV[..., special_tokens.EOS] = False


@dataclass(frozen=True)
class NoRepeatNgram:
    """N-gram blocking: no n-gram occurs twice in an output (Paulus et al. 2018, arXiv:1705.04304, section 2.5).

    Attributes:
        order: Size of the n-grams.
    """

    order: int

    def apply_mask(self, allowed_BKV: Tensor, partial: PartialHypotheses) -> None:
        """See `TokenConstraint.apply_mask`. EOS is never forbidden."""
        ids_BKT = partial.ids_BKT[..., 1:]
        length = ids_BKT.shape[-1]
        if length < self.order:
            return
        seen_BKWN = ids_BKT.unfold(-1, self.order, 1)
        last_BKN = ids_BKT[..., length - self.order + 1 :]
        repeats_BKW = (seen_BKWN[..., :-1] == last_BKN.unsqueeze(-2)).all(-1)
        # Padding is always forbidden, so it serves as the index where there is nothing to forbid.
        token_BKW = torch.where(repeats_BKW, seen_BKWN[..., -1], special_tokens.PAD)
        eos_BK = allowed_BKV[..., special_tokens.EOS].clone()
        allowed_BKV.scatter_(-1, token_BKW.to(allowed_BKV.device), False)
        allowed_BKV[..., special_tokens.EOS] = eos_BK


class ForcedPrefix:
    """Prefix constraint: every output begins with given tokens.

    Args:
        prefixes: Ids for each sentence of the batch, without BOS and EOS; may be empty.
    """

    def __init__(self, prefixes: Sequence[Sequence[int]]) -> None:
        longest = max((len(prefix) for prefix in prefixes), default=0)
        padded = [[*prefix, *[special_tokens.PAD] * (longest - len(prefix))] for prefix in prefixes]
        self._ids_BP = torch.tensor(padded, dtype=torch.long).view(len(prefixes), longest)

    def apply_mask(self, allowed_BKV: Tensor, partial: PartialHypotheses) -> None:
        """See `TokenConstraint.apply_mask`. The prefix overrides other constraints."""
        position = partial.next_length - 1
        if position >= self._ids_BP.shape[1]:
            return
        token_B = self._ids_BP[partial.sentence_B, position].to(allowed_BKV.device)
        forced_B = token_B != special_tokens.PAD
        allowed_BKV[forced_B] = False
        allowed_BKV[forced_B, :, token_B[forced_B]] = True


@dataclass
class ConstraintMask:
    """All constraints of a batch, combined.

    Attributes:
        options: Options shared by all sentences.
        constraints: Constraints of each sentence.
        lexical: The lexical constraints, or None without any.
        forbidden: Ids that are always forbidden.
    """

    options: SearchOptions
    constraints: BatchConstraints = NO_CONSTRAINTS
    lexical: LexicalConstraints | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.forbidden = forbidden_ids(self.options)
        self._active: list[TokenConstraint] = []
        if self.options.no_repeat_ngram:
            self._active.append(NoRepeatNgram(self.options.no_repeat_ngram))
        if self.options.min_length:
            self._active.append(MinLength(self.options.min_length))
        per_sentence = self.constraints.per_sentence
        if any(constraints.is_lexical for constraints in per_sentence):
            right_to_left = any(constraints.right_to_left for constraints in per_sentence)
            self.lexical = LexicalConstraints(
                [each.sequences for each in per_sentence], [each.phrases for each in per_sentence], right_to_left
            )
            self._active.append(self.lexical)
        if any(constraints.prefix for constraints in per_sentence):
            # Last, because a prefix overrides the other constraints.
            self._active.append(ForcedPrefix([constraints.prefix for constraints in per_sentence]))

    def is_static(self, limit_B: Tensor, next_length: int) -> bool:
        """Return whether only `forbidden` restricts the next token, whatever the hypotheses are."""
        return not self._active and not bool((limit_B <= next_length).any())

    def apply(self, log_p_BKV: Tensor, partial: PartialHypotheses) -> Tensor:
        """Set log-probabilities of forbidden tokens to minus infinity; may overwrite its input.

        Sentences that reach their maximum length with the next token must generate EOS. A hypothesis without any
        allowed token ends too, unless a lexical constraint forces a token.
        """
        last_B = (partial.limit_B <= partial.next_length).to(log_p_BKV.device)
        if not self._active:
            log_p_BKV[..., self.forbidden] = -torch.inf
            return _force_eos(log_p_BKV, last_B) if last_B.any() else log_p_BKV
        allowed_BKV = torch.ones_like(log_p_BKV, dtype=torch.bool)
        allowed_BKV[..., self.forbidden] = False
        for constraint in self._active:
            constraint.apply_mask(allowed_BKV, partial)
        allowed_BKV[last_B] = False
        allowed_BKV[..., special_tokens.EOS] |= ~allowed_BKV.any(-1)
        log_p_BKV = log_p_BKV.masked_fill(~allowed_BKV, -torch.inf)
        impossible_BK1 = log_p_BKV.amax(-1, keepdim=True) == -torch.inf
        return torch.where(impossible_BK1 & allowed_BKV, FORCED_LOG_P, log_p_BKV)


def _force_eos(log_p_BKV: Tensor, last_B: Tensor) -> Tensor:
    """Allow only EOS in the sentences of the mask `last_B`."""
    eos_BK = log_p_BKV[..., special_tokens.EOS].clone()
    log_p_BKV = log_p_BKV.masked_fill(last_B[:, None, None], -torch.inf)
    log_p_BKV[..., special_tokens.EOS] = torch.where(last_B[:, None], eos_BK.clamp_min(FORCED_LOG_P), eos_BK)
    return log_p_BKV


def check_not_nan(log_p: Tensor) -> None:
    """Raise FormatError if a log-probability is NaN; minus infinity is valid."""
    if log_p.isnan().any():
        raise FormatError(
            "the model's probabilities are NaN",
            "its weights or hidden states overflowed",
            hint="try another checkpoint: --checkpoint last or average",
        )


@dataclass(frozen=True)
class ConstrainedState(Generic[S]):
    """State of a `ConstrainedStepper`.

    Attributes:
        inner: State of the wrapped stepper.
        length: Tokens generated so far.
    """

    inner: S
    length: int


class ConstrainedStepper(Generic[S]):
    """A stepper with forbidden tokens and a length at which outputs are truncated; itself a stepper.

    A translation that reaches its maximum length must generate EOS and includes its log-probability. Nothing requires
    that the continuation of a prompt ends, so it is truncated instead: EOS after its last token has probability one.

    Args:
        stepper: The wrapped stepper.
        limit: Maximum output length. Searches over this stepper use a limit of one more, for EOS.
        forbidden: Ids that are never generated. Where the model assigns probability to nothing else, EOS has
            probability one.
        size: Size of the vocabulary.
    """

    def __init__(self, stepper: Stepper[S], limit: int, forbidden: Sequence[int], size: int) -> None:
        self._stepper = stepper
        self._limit = limit
        self._forbidden = list(forbidden)
        self._size = size

    def start(self) -> ConstrainedState[S]:
        """See `Stepper.start`."""
        return ConstrainedState(self._stepper.start(), 0)

    def step(self, token_BK: Tensor, state: ConstrainedState[S]) -> tuple[Tensor, ConstrainedState[S], None]:
        """See `Stepper.step`."""
        if state.length == self._limit:
            log_p_BKV = torch.full((*token_BK.shape, self._size), -torch.inf)
            log_p_BKV[..., special_tokens.EOS] = 0.0
            return log_p_BKV, ConstrainedState(state.inner, state.length + 1), None
        log_p_BKV, inner, _ = self._stepper.step(token_BK, state.inner)
        log_p_BKV = log_p_BKV.cpu().clone()
        log_p_BKV[..., self._forbidden] = -torch.inf
        impossible_BK = log_p_BKV.max(dim=-1).values == -torch.inf
        log_p_BKV[..., special_tokens.EOS].masked_fill_(impossible_BK, 0.0)
        return log_p_BKV, ConstrainedState(inner, state.length + 1), None

    def select(self, state: ConstrainedState[S], sentence_B: Tensor, row_BK: Tensor) -> ConstrainedState[S]:
        """See `Stepper.select`."""
        return ConstrainedState(self._stepper.select(state.inner, sentence_B, row_BK), state.length)
