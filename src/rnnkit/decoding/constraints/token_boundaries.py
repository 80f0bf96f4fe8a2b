"""What tokens show to their neighbours: enough to tell whether a word boundary lies between two of them.

The first and last character of a token belong to a class (`text/word_boundaries.py`). Tokens that a space is written
between have a boundary there whatever they are; of tokens written against each other the characters decide. A character
that is written as several byte tokens is put together from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from rnnkit.text import special_tokens
from rnnkit.text.tokenizers.byte_tokens import BYTE_TOKENS, METASPACE
from rnnkit.text.tokenizers.features import FeaturedTokenizer, is_feature, remove_features
from rnnkit.text.tokenizers.simple_tokenizers import WhitespaceTokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.tokenizers.word_tokenizer import JOINER, WordTokenizer
from rnnkit.text.vocabulary import Vocabulary
from rnnkit.text.word_boundaries import BREAK, EXTEND, WORD, class_as_left, class_as_right

INCOMPLETE: Final = 3
"""A byte token that begins or ends a character which it alone does not tell."""
UNBREAKABLE: Final = 4
"""A token that may be written as any text or none: no boundary at either side."""

_BYTE_VALUES: Final = {token: value for value, token in enumerate(BYTE_TOKENS)}
_LARGEST_ASCII: Final = 0x7F


@dataclass(frozen=True)
class TokenEdge:
    """What one token shows.

    Attributes:
        first: Kind of its first character.
        last: Kind of its last character.
        joins_left: Whether it is written against what stands before it.
        joins_right: Whether it is written against what stands behind it.
        octet: Its byte, -1 for a token that is not a byte of a longer character.
    """

    first: int
    last: int
    joins_left: bool
    joins_right: bool
    octet: int = -1


_SPACED_EDGE: Final = TokenEdge(BREAK, BREAK, False, False)
_UNBREAKABLE_EDGE: Final = TokenEdge(UNBREAKABLE, UNBREAKABLE, True, True)


def token_edge(tokenizer: Tokenizer, token: str) -> TokenEdge:
    """What a token of a tokenizer shows."""
    if isinstance(tokenizer, FeaturedTokenizer):
        tokenizer = tokenizer.text_tokenizer
        if is_feature(token):
            return _SPACED_EDGE if isinstance(tokenizer, WhitespaceTokenizer) else _UNBREAKABLE_EDGE
        (token,) = remove_features([token])
    if isinstance(tokenizer, WhitespaceTokenizer):
        return _SPACED_EDGE
    if isinstance(tokenizer, WordTokenizer):
        text, left, right = token.strip(JOINER), token.startswith(JOINER), token.endswith(JOINER)
        return TokenEdge(class_as_right(text[0]), class_as_left(text[-1]), left, right) if text else _UNBREAKABLE_EDGE
    value = _BYTE_VALUES.get(token)
    if value is not None and value > _LARGEST_ASCII:
        begins, continues = 0xC2 <= value <= 0xF4, value <= 0xBF
        return TokenEdge(INCOMPLETE if begins else BREAK, INCOMPLETE if continues else BREAK, True, True, value)
    text = token.replace(METASPACE, " ") if value is None else chr(value)
    return TokenEdge(class_as_right(text[0]), class_as_left(text[-1]), True, True)


@dataclass(frozen=True)
class VocabularyEdges:
    """What each token of a vocabulary shows; attributes as those of `Edge`.

    Attributes:
        spaced: Whether the vocabulary can write a space. If it cannot, its texts are single words, which have no
            boundaries inside, and phrases may stand anywhere.
    """

    first_V: Tensor
    last_V: Tensor
    joins_left_V: Tensor
    joins_right_V: Tensor
    octet_V: Tensor
    spaced: bool = True

    @classmethod
    def of(cls, tokenizer: Tokenizer, tokens: Sequence[str], spaced: bool = True) -> VocabularyEdges:
        """What tokens show."""
        return cls._of([token_edge(tokenizer, token) for token in tokens], spaced)

    @classmethod
    def of_vocabulary(cls, tokenizer: Tokenizer, vocabulary: Vocabulary) -> VocabularyEdges:
        """What the tokens of a vocabulary show; the unknown symbol may stand for anything."""
        text = tokenizer.text_tokenizer if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
        writes_spaces = isinstance(text, WhitespaceTokenizer | WordTokenizer)
        spaced = writes_spaces or any(METASPACE in token for token in vocabulary.ids)
        every = [token_edge(tokenizer, token) for token in vocabulary.tokens]
        every[special_tokens.EOS] = _SPACED_EDGE
        every[special_tokens.UNK] = _SPACED_EDGE if isinstance(text, WhitespaceTokenizer) else _UNBREAKABLE_EDGE
        return cls._of(every, spaced)

    @classmethod
    def _of(cls, every: Sequence[TokenEdge], spaced: bool) -> VocabularyEdges:
        return cls(
            torch.tensor([edge.first for edge in every], dtype=torch.long),
            torch.tensor([edge.last for edge in every], dtype=torch.long),
            torch.tensor([edge.joins_left for edge in every], dtype=torch.bool),
            torch.tensor([edge.joins_right for edge in every], dtype=torch.bool),
            torch.tensor([edge.octet for edge in every], dtype=torch.long),
            spaced,
        )

    @property
    def rows(self) -> tuple[Tensor, ...]:
        """All the tensors, in the order of the attributes."""
        return self.first_V, self.last_V, self.joins_left_V, self.joins_right_V, self.octet_V


def is_boundary(left: Tensor, right: Tensor, hopeful: bool = False) -> Tensor:
    """Whether a word boundary lies between what stands side by side, given the kinds of the two characters.

    Args:
        left: Kinds of what stands before.
        right: Kinds of what stands behind.
        hopeful: The answer for a character that is not known yet.
    """
    words = (left == WORD) & (right == WORD)
    stuck = (left == UNBREAKABLE) | (right == UNBREAKABLE) | (right == EXTEND)
    unknown = (left == INCOMPLETE) | (right == INCOMPLETE)
    return ~words & ~stuck & (~unknown | hopeful)


def resolve_bytes(first_RT: Tensor, last_RT: Tensor, octet_RT: Tensor, backwards: bool) -> tuple[Tensor, Tensor]:
    """Kinds of the characters that byte tokens make together.

    Args:
        first_RT: Kinds as the tokens alone show them, in the order of the text.
        last_RT: The same of last characters.
        octet_RT: Their bytes, -1 for none.
        backwards: Whether more text may come before the first token, not behind the last.

    Returns:
        The kinds: `OPEN` for a character of which tokens may still come, `FREE` for bytes that are no character.
    """
    if not bool((octet_RT > _LARGEST_ASCII).any()):
        return first_RT, last_RT
    first_RT, last_RT = first_RT.clone(), last_RT.clone()
    last_RT[_is_continuation_byte(octet_RT)] = BREAK
    length = octet_RT.shape[1]
    following_RT = torch.nn.functional.pad(octet_RT, (0, 3), value=-1)
    for need, (low, high) in _LEAD_BYTES.items():
        whole_RT = (octet_RT >= low) & (octet_RT <= high)
        lead_RT, cut_RT = whole_RT, torch.zeros_like(whole_RT)
        point_RT = octet_RT - low if need > 2 else octet_RT & 0x1F
        for step in range(1, need):
            next_RT = following_RT[:, step : step + length]
            cut_RT[:, max(0, length - step) :] |= whole_RT[:, max(0, length - step) :]
            whole_RT = whole_RT & _is_continuation_byte(next_RT)
            point_RT = point_RT << 6 | next_RT & 0x3F
        first_RT[lead_RT] = BREAK
        if not backwards:
            first_RT[lead_RT & cut_RT & ~whole_RT] = INCOMPLETE
        row_N, place_N = whole_RT.nonzero(as_tuple=True)
        if len(row_N):
            different_M, index_N = torch.unique(point_RT[whole_RT], return_inverse=True)
            kinds_M2 = torch.tensor([_character_kinds(point, need) for point in different_M.tolist()])
            first_RT[row_N, place_N] = kinds_M2[index_N, 0]
            last_RT[row_N, place_N + need - 1] = kinds_M2[index_N, 1]
    if backwards:  # bytes that continue a character whose beginning is still to come
        begun_R3 = _is_continuation_byte(octet_RT[:, :3]).long().cumprod(1).bool()
        last_RT[:, :3][begun_R3] = INCOMPLETE
    return first_RT, last_RT


_LEAD_BYTES: Final = {2: (0xC2, 0xDF), 3: (0xE0, 0xEF), 4: (0xF0, 0xF4)}
"""By the number of bytes of a character, the least and the greatest with which it begins."""


def _is_continuation_byte(octets: Tensor) -> Tensor:
    return (octets >= 0x80) & (octets <= 0xBF)


@lru_cache(maxsize=1 << 16)
def _character_kinds(point: int, octets: int) -> tuple[int, int]:
    """Kinds of a character of that many bytes, as what begins and as what ends a text; `FREE` where there is none."""
    least = {2: 0x80, 3: 0x800, 4: 0x10000}[octets]
    if not least <= point <= 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        return BREAK, BREAK
    return class_as_right(chr(point)), class_as_left(chr(point))


@dataclass(frozen=True)
class EdgeSides:
    """What tokens, or whole spellings, show in the order in which they are said.

    Attributes:
        kind: Kind of the character at that end.
        joins: Whether it is written against its neighbour there.
    """

    kind: Tensor
    joins: Tensor

    def __getitem__(self, index: object) -> EdgeSides:
        return EdgeSides(self.kind[index], self.joins[index])  # type: ignore[index]


def edge_sides(edges: Sequence[Sequence[TokenEdge]], backwards: bool) -> tuple[EdgeSides, EdgeSides]:
    """What each of a row of edges shows to the text before it, and to the text behind it."""
    first = EdgeSides(_edge_table(edges, "first", torch.long), _edge_table(edges, "joins_left", torch.bool))
    last = EdgeSides(_edge_table(edges, "last", torch.long), _edge_table(edges, "joins_right", torch.bool))
    return (last, first) if backwards else (first, last)


def _edge_table(edges: Sequence[Sequence[TokenEdge]], name: str, kind: torch.dtype) -> Tensor:
    rows = [[getattr(edge, name) for edge in many] for many in edges]
    return torch.tensor(rows, dtype=kind).view(len(rows), max(map(len, rows), default=0))


class BatchEdges:
    """What the tokens of the vocabulary, and each sentence's own behind them, show.

    Args:
        vocabulary: Edges of the tokens of the vocabulary.
        own: Edges of each sentence's own tokens; None without any.
        backwards: Whether outputs are said from their ends.
    """

    def __init__(self, vocabulary: VocabularyEdges, own: Sequence[VocabularyEdges | None], backwards: bool) -> None:
        self._backwards = backwards
        self._rows = vocabulary.rows
        width = max((len(one.first_V) for one in own if one is not None), default=0) + 1
        unclear = (UNBREAKABLE, UNBREAKABLE, True, True, -1)
        self._own = tuple(
            torch.full((len(own), width), value, dtype=part.dtype)
            for value, part in zip(unclear, self._rows, strict=True)
        )
        for sentence, one in enumerate(own):
            for part, values in zip(self._own, one.rows if one is not None else (), strict=one is not None):
                part[sentence, : len(values)] = values

    def of(self, ids_BKM: Tensor, sentence_B: Tensor) -> tuple[EdgeSides, EdgeSides]:
        """What tokens show to the text before them, and behind them."""
        first, last, left, right, _ = self._look_up(ids_BKM, sentence_B)
        return self._in_order(EdgeSides(first, left), EdgeSides(last, right))

    def of_all(self, sentence_N: Tensor, size: int) -> tuple[EdgeSides, EdgeSides]:
        """The same of all tokens that a sentence has, up to a number of them (N, V)."""
        into, out_of = self.of(torch.arange(size).expand(len(sentence_N), 1, -1), sentence_N)
        return into[:, 0], out_of[:, 0]

    def in_rows(self, ids_BKT: Tensor, sentence_B: Tensor) -> tuple[EdgeSides, EdgeSides]:
        """The same of the tokens of rows, the start symbol in front, of which bytes make characters together."""
        first, last, left, right, octet = self._look_up(ids_BKT, sentence_B)
        shape = first.shape
        in_text = [(part.flip(-1) if self._backwards else part).flatten(0, 1) for part in (first, last, octet)]
        first, last = resolve_bytes(in_text[0], in_text[1], in_text[2], self._backwards)
        first, last = (part.view(shape).flip(-1) if self._backwards else part.view(shape) for part in (first, last))
        front = torch.nn.functional.pad
        return self._in_order(
            EdgeSides(front(first, (1, 0), value=BREAK), front(left, (1, 0))),
            EdgeSides(front(last, (1, 0), value=BREAK), front(right, (1, 0))),
        )

    def _look_up(self, ids_BKM: Tensor, sentence_B: Tensor) -> tuple[Tensor, ...]:
        size, width = len(self._rows[0]), self._own[0].shape[1]
        known_BKM, own_BKM = ids_BKM.clamp_max(size - 1), (ids_BKM - size).clamp(0, width - 1)
        if width == 1 and not bool((ids_BKM >= size).any()):
            return tuple(part[known_BKM] for part in self._rows)
        sentence_B11 = sentence_B[:, None, None]
        return tuple(
            torch.where(ids_BKM < size, part[known_BKM], own[sentence_B11, own_BKM])
            for part, own in zip(self._rows, self._own, strict=True)
        )

    def _in_order(self, first: EdgeSides, last: EdgeSides) -> tuple[EdgeSides, EdgeSides]:
        return (last, first) if self._backwards else (first, last)
