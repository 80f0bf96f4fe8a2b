"""What may be chosen next: the one place where every search leaves tokens out.

Scores stay the model's: what is left is not made to sum to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from rnnkit.decoding.constraints.lexical_constraints import LexicalConstraints
from rnnkit.decoding.constraints.phrase_spellings import RequiredPhrase
from rnnkit.decoding.stepper import Hypothesis, PartialHypotheses, SearchOptions, forbidden_ids
from rnnkit.errors import FormatError
from rnnkit.text import special_tokens

FORCED_LOG_P = -1e4
"""Log-probability of a token that must be chosen though the model holds it impossible."""


@dataclass(frozen=True)
class Constraints:
    """What one sentence's outputs have to keep to, in ids of the target.

    Attributes:
        prefix: How they begin.
        phrases: Token sequences that they must have in them, each of at least one id.
        texts: Phrases that they must have in them, at word boundaries.
        backwards: Whether they are said from their ends, as are then the tokens of all phrases.
    """

    prefix: tuple[int, ...] = ()
    phrases: tuple[tuple[int, ...], ...] = ()
    texts: tuple[RequiredPhrase, ...] = ()
    backwards: bool = False

    @property
    def constrains(self) -> bool:
        """Whether outputs must have something in them."""
        return bool(self.phrases or self.texts)

    def met(self, hypothesis: Hypothesis, text: str) -> bool:
        """Whether an output, as ids and as text in the order in which it is read, has in it all that it must have."""
        ids = hypothesis.ids
        return all(phrase.is_in(text) for phrase in self.texts) and all(
            any(ids[at : at + len(one)] == one for at in range(len(ids))) for one in self.phrases
        )

    @property
    def room(self) -> int:
        """Tokens that it takes at most, the end symbol counted."""
        return len(self.prefix) + sum(map(len, self.phrases)) + sum(one.room for one in self.texts) + 1


@dataclass(frozen=True)
class BatchConstraints:
    """What the sentences of a batch ask for, beside the options that are the same for all.

    Attributes:
        wishes: For each sentence; empty where none has any.
        words_B: Source tokens of each, without the end symbol, for the coverage penalty.
    """

    wishes: Sequence[Constraints] = ()
    words_B: Sequence[int] = ()

    def widen(self, limit_B: Tensor, options: SearchOptions) -> Tensor:
        """Limits under which what is asked for can be said."""
        limit_B = limit_B.clamp_min(options.min_length)
        if not self.wishes:
            return limit_B
        return torch.maximum(limit_B, torch.tensor([wish.room for wish in self.wishes]))


NO_CONSTRAINTS = BatchConstraints()


@dataclass
class ConstraintMask:
    """The rules of a batch.

    Attributes:
        options: What is the same for all sentences.
        terms: What is not.
        lexical: The phrases that are asked for.
        never: Tokens that are never chosen.
    """

    options: SearchOptions
    terms: BatchConstraints = NO_CONSTRAINTS
    lexical: LexicalConstraints | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.never = forbidden_ids(self.options)
        self._rules: list[TokenConstraint] = []
        if self.options.no_repeat:
            self._rules.append(NoRepeatNgram(self.options.no_repeat))
        if self.options.min_length:
            self._rules.append(MinLength(self.options.min_length))
        wishes = self.terms.wishes
        if any(wish.constrains for wish in wishes):
            backwards = any(wish.backwards for wish in wishes)
            self.lexical = LexicalConstraints([one.phrases for one in wishes], [one.texts for one in wishes], backwards)
            self._rules.append(self.lexical)
        if any(wish.prefix for wish in self.terms.wishes):
            self._rules.append(ForcedPrefix([wish.prefix for wish in self.terms.wishes]))

    def is_plain(self, limit_B: Tensor, next_length: int) -> bool:
        """Whether nothing is left out of the next token but those of `never`."""
        return not self._rules and not bool((limit_B <= next_length).any())

    def restrict(self, log_p_BKV: Tensor, said: PartialHypotheses) -> Tensor:
        """Log-probabilities with minus infinity where a token may not be chosen; those given may be written over.

        Sentences that reach their limit with the next token must end with it. A row that is left without any choice
        ends too, unless its phrases say how it goes on.
        """
        last_B = (said.limit_B <= said.next_length).to(log_p_BKV.device)
        if not self._rules:
            log_p_BKV[..., self.never] = -torch.inf
            return _force_eos(log_p_BKV, last_B) if last_B.any() else log_p_BKV
        allowed_BKV = torch.ones_like(log_p_BKV, dtype=torch.bool)
        allowed_BKV[..., self.never] = False
        for rule in self._rules:
            rule.narrow(allowed_BKV, said)
        allowed_BKV[last_B] = False
        allowed_BKV[..., special_tokens.EOS] |= ~allowed_BKV.any(-1)
        log_p_BKV = log_p_BKV.masked_fill(~allowed_BKV, -torch.inf)
        stuck_BK1 = log_p_BKV.amax(-1, keepdim=True) == -torch.inf
        return torch.where(stuck_BK1 & allowed_BKV, FORCED_LOG_P, log_p_BKV)


def _force_eos(log_p_BKV: Tensor, last_B: Tensor) -> Tensor:
    """Leave only the end symbol to these sentences."""
    ends_BK = log_p_BKV[..., special_tokens.EOS].clone()
    log_p_BKV = log_p_BKV.masked_fill(last_B[:, None, None], -torch.inf)
    log_p_BKV[..., special_tokens.EOS] = torch.where(last_B[:, None], ends_BK.clamp_min(FORCED_LOG_P), ends_BK)
    return log_p_BKV


def check_finite(log_p: Tensor) -> None:
    """Raise FormatError where the best of a row is not a number."""
    if log_p.isnan().any():
        raise FormatError(
            "the model's probabilities are not numbers (NaN)",
            "its weights or its states grew out of bounds",
            hint="another checkpoint may be whole: --checkpoint last or average",
        )


class TokenConstraint(Protocol):
    """Crosses off tokens."""

    def narrow(self, allowed_BKV: Tensor, said: PartialHypotheses) -> None:
        """Set to False, in place, what may not be chosen next; on the device of the log-probabilities."""
        ...


@dataclass(frozen=True)
class MinLength:
    """No end before so many tokens, the end symbol counted."""

    tokens: int

    def narrow(self, allowed_BKV: Tensor, said: PartialHypotheses) -> None:
        """See `Rule.narrow`."""
        if said.next_length < self.tokens:
            allowed_BKV[..., special_tokens.EOS] = False


@dataclass(frozen=True)
class NoRepeatNgram:
    """No n-gram of this order twice in an output (Paulus et al. 2018, arXiv:1705.04304, section 2.5)."""

    order: int

    def narrow(self, allowed_BKV: Tensor, said: PartialHypotheses) -> None:
        """See `Rule.narrow`. The end symbol is never crossed off."""
        ids_BKT = said.ids_BKT[..., 1:]
        length = ids_BKT.shape[-1]
        if length < self.order:
            return
        seen_BKWN = ids_BKT.unfold(-1, self.order, 1)
        last_BKN = ids_BKT[..., length - self.order + 1 :]
        again_BKW = (seen_BKWN[..., :-1] == last_BKN.unsqueeze(-2)).all(-1)
        # Padding is never chosen, so that it may stand for nothing to cross off.
        token_BKW = torch.where(again_BKW, seen_BKWN[..., -1], special_tokens.PAD)
        ends_BK = allowed_BKV[..., special_tokens.EOS].clone()
        allowed_BKV.scatter_(-1, token_BKW.to(allowed_BKV.device), False)
        allowed_BKV[..., special_tokens.EOS] = ends_BK


class ForcedPrefix:
    """Every output begins with given tokens.

    Args:
        prefixes: For each sentence of the batch, ids without start and end symbol; may be empty.
    """

    def __init__(self, prefixes: Sequence[Sequence[int]]) -> None:
        longest = max((len(one) for one in prefixes), default=0)
        rows = [[*one, *[special_tokens.PAD] * (longest - len(one))] for one in prefixes]
        self._ids_BP = torch.tensor(rows, dtype=torch.long).view(len(prefixes), longest)

    def narrow(self, allowed_BKV: Tensor, said: PartialHypotheses) -> None:
        """See `Rule.narrow`. The given token is allowed whatever other rules say."""
        place = said.next_length - 1
        if place >= self._ids_BP.shape[1]:
            return
        token_B = self._ids_BP[said.sentence_B, place].to(allowed_BKV.device)
        given_B = token_B != special_tokens.PAD
        allowed_BKV[given_B] = False
        allowed_BKV[given_B, :, token_B[given_B]] = True


UNCONSTRAINED = Constraints()


ConstrainedSource = tuple[str, Constraints]
