"""Phrases that a text must have, and the token sequences that write them.

A tokenizer cuts a phrase one way at the start of a line and another inside a word, behind a bracket, or in text without
spaces. All ways that the vocabulary knows are tried:

    unigram, bpe   `▁cat`, and behind something else than a space `cat`; `▁,` and `,`; `▁日本` and `日 本`
    chars, bytes   `c a t`, and with a space before it `▁ c a t`
    words          `cat`, `￭cat`, `cat￭` and so on
    spaces         the words

Where each of them may stand is decided by the characters around it (`edges.py`). A space in front of closing
punctuation, or of a script that is written without spaces, is accepted where a model writes one, but not offered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from rnnkit.decoding.constraints.token_boundaries import TokenEdge, VocabularyEdges, token_edge
from rnnkit.text.tokenizers.byte_tokens import METASPACE, to_byte_tokens, tokens_to_text
from rnnkit.text.tokenizers.features import FeaturedTokenizer, escape_marks
from rnnkit.text.tokenizers.simple_tokenizers import WhitespaceTokenizer
from rnnkit.text.tokenizers.subword_tokenizer import SubwordTokenizer, escape
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.tokenizers.word_tokenizer import JOINER, WordTokenizer
from rnnkit.text.word_boundaries import (
    class_as_left,
    class_as_right,
    is_closing_punctuation,
    is_unspaced_script,
    occurs_as_words,
)

_CONTEXTS: Final = ("(", "«", "中", "1", "a", ",", "あ")
"""What a phrase is put behind to see how it is cut inside a text."""

_MAX_INNER: Final = 3
"""Ways to cut a phrase inside a text that are tried at most."""


ALWAYS: Final = "always"
START: Final = "start"
"""At the start of a text alone."""
INSIDE: Final = "inside"
"""Everywhere but at the start of a text."""
NEVER: Final = "never"

Placement = Literal["always", "start", "inside", "never"]


@dataclass(frozen=True)
class Spelling:
    """One token sequence that writes a phrase.

    Attributes:
        ids: At least one.
        edge: What the whole shows to its neighbours.
        offered: Where searches propose it; elsewhere it counts where a model writes it by itself.
    """

    ids: tuple[int, ...]
    edge: TokenEdge
    offered: Placement = ALWAYS

    def turned(self) -> Spelling:
        """The same, said from its end; what it shows stays as it is read. Where a text begins is not known then."""
        return replace(self, ids=self.ids[::-1], offered=ALWAYS if self.offered == ALWAYS else NEVER)


@dataclass(frozen=True)
class RequiredPhrase:
    """A phrase that a text must have, at word boundaries.

    Attributes:
        text: The phrase, normalized.
        spellings: How it can be written, at least one of them offered.
        edges: What the tokens of the vocabulary show.
        own: Edges of the source line's own tokens, whose ids stand behind the vocabulary; None without any.
    """

    text: str
    spellings: tuple[Spelling, ...]
    edges: VocabularyEdges = field(compare=False, repr=False)
    own: VocabularyEdges | None = field(default=None, compare=False, repr=False)

    @property
    def room(self) -> int:
        """Tokens that it takes at most: the longest spelling, and a token that ends the word before it."""
        return max(len(one.ids) for one in self.spellings) + self.edges.spaced

    def is_in(self, text: str) -> bool:
        """Whether it stands in a text, at word boundaries where the vocabulary has any."""
        return occurs_as_words(self.text, text) if self.edges.spaced else self.text in text

    def turned(self) -> RequiredPhrase:
        """The same, said from its end."""
        return replace(self, spellings=tuple(one.turned() for one in self.spellings))


TokenIds = Mapping[str, int]


def enumerate_spellings(tokenizer: Tokenizer, text: str, known: TokenIds) -> tuple[Spelling, ...]:
    """The ways to write a phrase with the tokens that are known, those first that the tokenizer prefers.

    Args:
        tokenizer: Cuts and joins.
        text: The phrase, normalized; not empty.
        known: Id of each token.
    """
    found: dict[tuple[int, ...], Spelling] = {}
    featured = isinstance(tokenizer, FeaturedTokenizer)
    inner = tokenizer.text_tokenizer if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
    for tokens, offered in _tokenizations(inner, text, known):
        ids = tuple(known.get(token, -1) for token in (escape_marks(tokens) if featured else tokens))
        if ids and -1 not in ids and ids not in found:
            edge = _spelling_edge(tokenizer, tokens)
            found[ids] = Spelling(ids, edge, offered)
    every = tuple(found.values())
    if not any(one.offered == ALWAYS for one in every):
        return tuple(replace(one, offered=ALWAYS) for one in every)
    return every


def _spelling_edge(tokenizer: Tokenizer, tokens: Sequence[str]) -> TokenEdge:
    """What a sequence of tokens, without features, shows."""
    inner = tokenizer.text_tokenizer if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
    if isinstance(inner, WhitespaceTokenizer | WordTokenizer):
        first, last = token_edge(inner, tokens[0]), token_edge(inner, tokens[-1])
        return TokenEdge(first.first, last.last, first.joins_left, last.joins_right)
    text = tokens_to_text(tokens)
    return TokenEdge(class_as_right(text[0]), class_as_left(text[-1]), True, True)


def _tokenizations(tokenizer: Tokenizer, text: str, known: TokenIds) -> Iterator[tuple[list[str], Placement]]:
    """Token sequences of a phrase, and where they are offered. They may have tokens that are not known."""
    spaced = not is_unspaced_script(text[0]) and not is_closing_punctuation(text[0])  # whether a space stands before it
    tokens = tokenizer.tokenize_normalized(text)
    if isinstance(tokenizer, WordTokenizer):
        first, last = tokens[0].removeprefix(JOINER), tokens[-1].removesuffix(JOINER)
        for left in (first, JOINER + first):
            whole = [left, *tokens[1:]]
            for right in [last, last + JOINER] if len(tokens) > 1 else [whole[-1], whole[-1] + JOINER]:
                yield [*whole[:-1], right], ALWAYS if spaced or left.startswith(JOINER) else START
        return
    if isinstance(tokenizer, WhitespaceTokenizer):
        yield tokens, ALWAYS
        return
    if not isinstance(tokenizer, SubwordTokenizer):
        yield tokens, ALWAYS
        if spaced:
            yield [METASPACE, *tokens], INSIDE
        return
    yield tokens, ALWAYS if spaced else START
    inside = [cut for cut in _inner_tokenizations(tokenizer, text, tokens) if all(token in known for token in cut)]
    inside = inside[:_MAX_INNER] or [_spell_by_character(text, known)]
    for cut in inside:
        yield cut, ALWAYS
        if spaced and not all(token in known for token in tokens):
            yield [METASPACE, *cut], ALWAYS


def _inner_tokenizations(tokenizer: SubwordTokenizer, text: str, tokens: list[str]) -> list[list[str]]:
    """Ways to cut a phrase that does not begin with a space, each once."""
    found = []
    for neighbour in _CONTEXTS:
        cut, written = tokenizer.tokenize_normalized(neighbour + text), escape(text)
        found += [cut[begin:] for begin in range(1, len(cut)) if tokens_to_text(cut[begin:]) == written][:1]
    first = tokens[0].removeprefix(METASPACE)
    found.append([first, *tokens[1:]] if first else tokens[1:])
    return [list(cut) for cut in dict.fromkeys(map(tuple, found)) if cut]


def _spell_by_character(text: str, known: TokenIds) -> list[str]:
    """A phrase letter by letter, the letters that are not known in bytes."""
    letters = text.replace(" ", METASPACE)
    return [token for letter in letters for token in ([letter] if letter in known else to_byte_tokens(letter))]
