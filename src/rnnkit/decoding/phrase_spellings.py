"""Phrases that an output must contain, and the token sequences that spell them.

A tokenizer splits a phrase differently at the start of a line, inside a word, after a bracket, or in a script without
spaces. All spellings that the vocabulary has are accepted:

    unigram, bpe   `▁cat`, and after anything but a space `cat`; `▁,` and `,`; `▁日本` and `日 本`
    chars, bytes   `c a t`, and with a space before it `▁ c a t`
    words          `cat`, `￭cat`, `cat￭` and so on
    spaces         the words

The characters around a spelling decide where it may occur (`token_boundaries.py`). A space before closing punctuation,
or before a script without spaces, is accepted if the model generates it, but never proposed by a search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rnnkit.decoding.token_boundaries import TokenEdge, VocabularyEdges, token_edge
from rnnkit.text.rule_based_tokenizers import JOINER, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.special_tokens import METASPACE, to_byte_tokens, tokens_to_text
from rnnkit.text.subword_tokenizer import SubwordTokenizer, escape
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer, escape_marks
from rnnkit.text.unicode import (
    class_as_left,
    class_as_right,
    is_closing_punctuation,
    is_unspaced_script,
    occurs_as_words,
)

_CONTEXTS: Final = ("(", "«", "中", "1", "a", ",", "あ")
"""Characters put before a phrase to find out how the tokenizer splits it inside a text."""

_MAX_INNER: Final = 3
"""Maximum number of spellings inside a text that are considered."""

ALWAYS: Final = "always"
START: Final = "start"
"""Only at the start of an output."""
INSIDE: Final = "inside"
"""Everywhere but at the start of an output."""
NEVER: Final = "never"

Placement = Literal["always", "start", "inside", "never"]

TokenIds = Mapping[str, int]


@dataclass(frozen=True)
class Spelling:
    """A token sequence that spells a phrase.

    Attributes:
        ids: Its token ids, at least one.
        edge: Edge of the whole sequence.
        placement: Where searches propose it; elsewhere it counts if the model generates it.
    """

    ids: tuple[int, ...]
    edge: TokenEdge
    placement: Placement = ALWAYS

    def reverse(self) -> Spelling:
        """Return the spelling with its ids in right-to-left order.

        The edge stays in reading order. The start of the text is unknown during generation from right to left, so a
        spelling that depends on it is not proposed.
        """
        return replace(self, ids=self.ids[::-1], placement=ALWAYS if self.placement == ALWAYS else NEVER)


@dataclass(frozen=True)
class RequiredPhrase:
    """A phrase that an output must contain at word boundaries.

    Attributes:
        text: The normalized phrase.
        spellings: Its spellings; at least one of them is proposed by searches.
        edges: Edges of the vocabulary.
        oov_edges: Edges of the source's out-of-vocabulary tokens, whose ids follow the vocabulary; None without any.
    """

    text: str
    spellings: tuple[Spelling, ...]
    edges: VocabularyEdges = field(compare=False, repr=False)
    oov_edges: VocabularyEdges | None = field(default=None, compare=False, repr=False)

    @property
    def max_tokens(self) -> int:
        """Tokens that always suffice: the longest spelling, and a token that ends the word before it."""
        return max(len(spelling.ids) for spelling in self.spellings) + self.edges.has_spaces

    def is_in(self, text: str) -> bool:
        """Return whether a text contains the phrase, at word boundaries if the vocabulary can write spaces."""
        return occurs_as_words(self.text, text) if self.edges.has_spaces else self.text in text

    def reverse(self) -> RequiredPhrase:
        """Return the phrase with its spellings in right-to-left order."""
        return replace(self, spellings=tuple(spelling.reverse() for spelling in self.spellings))


def enumerate_spellings(tokenizer: Tokenizer, text: str, ids: TokenIds) -> tuple[Spelling, ...]:
    """List the spellings of a phrase with tokens of the vocabulary, those that the tokenizer prefers first.

    Args:
        tokenizer: Tokenizer of the vocabulary.
        text: The normalized phrase; not empty.
        ids: Id of each token.
    """
    found: dict[tuple[int, ...], Spelling] = {}
    featured = isinstance(tokenizer, FeaturedTokenizer)
    inner = tokenizer.text_tokenizer if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
    for tokens, placement in _tokenizations(inner, text, ids):
        sequence = tuple(ids.get(token, -1) for token in (escape_marks(tokens) if featured else tokens))
        if sequence and -1 not in sequence and sequence not in found:
            found[sequence] = Spelling(sequence, _sequence_edge(tokenizer, tokens), placement)
    spellings = tuple(found.values())
    if not any(spelling.placement == ALWAYS for spelling in spellings):
        return tuple(replace(spelling, placement=ALWAYS) for spelling in spellings)
    return spellings


def _sequence_edge(tokenizer: Tokenizer, tokens: Sequence[str]) -> TokenEdge:
    """Return the edge of a sequence of tokens without features."""
    inner = tokenizer.text_tokenizer if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
    if isinstance(inner, WhitespaceTokenizer | WordTokenizer):
        first, last = token_edge(inner, tokens[0]), token_edge(inner, tokens[-1])
        return TokenEdge(first.first, last.last, first.joins_left, last.joins_right)
    text = tokens_to_text(tokens)
    return TokenEdge(class_as_right(text[0]), class_as_left(text[-1]), True, True)


def _tokenizations(tokenizer: Tokenizer, text: str, ids: TokenIds) -> Iterator[tuple[list[str], Placement]]:
    """Generate token sequences of a phrase with their placements; the vocabulary may lack some of the tokens."""
    follows_space = not is_unspaced_script(text[0]) and not is_closing_punctuation(text[0])
    tokens = tokenizer.tokenize_normalized(text)
    if isinstance(tokenizer, WordTokenizer):
        first, last = tokens[0].removeprefix(JOINER), tokens[-1].removesuffix(JOINER)
        for left in (first, JOINER + first):
            whole = [left, *tokens[1:]]
            for right in [last, last + JOINER] if len(tokens) > 1 else [whole[-1], whole[-1] + JOINER]:
                yield [*whole[:-1], right], ALWAYS if follows_space or left.startswith(JOINER) else START
        return
    if isinstance(tokenizer, WhitespaceTokenizer):
        yield tokens, ALWAYS
        return
    if not isinstance(tokenizer, SubwordTokenizer):
        yield tokens, ALWAYS
        if follows_space:
            yield [METASPACE, *tokens], INSIDE
        return
    yield tokens, ALWAYS if follows_space else START
    inner = [split for split in _inner_tokenizations(tokenizer, text, tokens) if all(token in ids for token in split)]
    inner = inner[:_MAX_INNER] or [_spell_by_character(text, ids)]
    for split in inner:
        yield split, ALWAYS
        if follows_space and not all(token in ids for token in tokens):
            yield [METASPACE, *split], ALWAYS


def _inner_tokenizations(tokenizer: SubwordTokenizer, text: str, tokens: list[str]) -> list[list[str]]:
    """List the distinct token sequences of a phrase that does not follow a space."""
    found = []
    for context in _CONTEXTS:
        split, written = tokenizer.tokenize_normalized(context + text), escape(text)
        found += [split[start:] for start in range(1, len(split)) if tokens_to_text(split[start:]) == written][:1]
    first = tokens[0].removeprefix(METASPACE)
    found.append([first, *tokens[1:]] if first else tokens[1:])
    return [list(split) for split in dict.fromkeys(map(tuple, found)) if split]


def _spell_by_character(text: str, ids: TokenIds) -> list[str]:
    """Split a phrase into characters, and into bytes where the vocabulary lacks a character."""
    characters = text.replace(" ", METASPACE)
    return [token for one in characters for token in ([one] if one in ids else to_byte_tokens(one))]
