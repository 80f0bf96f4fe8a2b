"""Word boundaries between tokens, from the boundary classes of their first and last characters.

Tokens that the detokenizer separates by a space always have a boundary between them. For tokens that it joins, the two
adjacent characters decide (`text/unicode.py`). Characters spelled as several byte tokens are decoded first.

Shapes: R rows, T tokens, V vocabulary entries, B sentences, M tokens to look up, N sentences that were selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from rnnkit.text import special_tokens
from rnnkit.text.rule_based_tokenizers import JOINER, WhitespaceTokenizer, WordTokenizer
from rnnkit.text.special_tokens import BYTE_TOKENS, METASPACE
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer, is_feature, remove_features
from rnnkit.text.unicode import BREAK, EXTEND, WORD, class_as_left, class_as_right
from rnnkit.text.vocabulary import Vocabulary

INCOMPLETE: Final = 3
"""Boundary class of a byte token that starts or ends a character which needs further bytes."""
UNBREAKABLE: Final = 4
"""Boundary class of a token that may be detokenized to any text or to none: no boundary on either side."""

_BYTE_VALUES: Final = {token: value for value, token in enumerate(BYTE_TOKENS)}
_MAX_ASCII: Final = 0x7F

_LEAD_BYTES: Final = {2: (0xC2, 0xDF), 3: (0xE0, 0xEF), 4: (0xF0, 0xF4)}
"""Range of the first byte of a UTF-8 character, by the number of its bytes."""


@dataclass(frozen=True)
class TokenEdge:
    """The two ends of a token.

    Attributes:
        first: Boundary class of its first character.
        last: Boundary class of its last character.
        joins_left: Whether no space is written before it.
        joins_right: Whether no space is written after it.
        byte: Value of a byte token above ASCII; -1 for other tokens.
    """

    first: int
    last: int
    joins_left: bool
    joins_right: bool
    byte: int = -1


_SPACED_EDGE: Final = TokenEdge(BREAK, BREAK, False, False)
_UNBREAKABLE_EDGE: Final = TokenEdge(UNBREAKABLE, UNBREAKABLE, True, True)


def token_edge(tokenizer: Tokenizer, token: str) -> TokenEdge:
    """Return the edge of one token of a tokenizer."""
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
    if value is not None and value > _MAX_ASCII:
        starts, continues = 0xC2 <= value <= 0xF4, value <= 0xBF
        return TokenEdge(INCOMPLETE if starts else BREAK, INCOMPLETE if continues else BREAK, True, True, value)
    text = token.replace(METASPACE, " ") if value is None else chr(value)
    return TokenEdge(class_as_right(text[0]), class_as_left(text[-1]), True, True)


@dataclass(frozen=True)
class VocabularyEdges:
    """Edges of all tokens of a vocabulary, as columns with the attributes of `TokenEdge`.

    Attributes:
        has_spaces: Whether the vocabulary can write a space. If not, its texts are single words without inner
            boundaries, and phrases may occur anywhere in them.
    """

    first_V: Tensor
    last_V: Tensor
    joins_left_V: Tensor
    joins_right_V: Tensor
    byte_V: Tensor
    has_spaces: bool = True

    @classmethod
    def from_tokens(cls, tokenizer: Tokenizer, tokens: Sequence[str], has_spaces: bool = True) -> VocabularyEdges:
        """Compute the edges of the given tokens."""
        return cls._from_edges([token_edge(tokenizer, token) for token in tokens], has_spaces)

    @classmethod
    def from_vocabulary(cls, tokenizer: Tokenizer, vocabulary: Vocabulary) -> VocabularyEdges:
        """Compute the edges of a vocabulary; <unk> may stand for any text."""
        text = tokenizer.text_tokenizer if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
        writes_spaces = isinstance(text, WhitespaceTokenizer | WordTokenizer)
        has_spaces = writes_spaces or any(METASPACE in token for token in vocabulary.ids)
        edges = [token_edge(tokenizer, token) for token in vocabulary.tokens]
        edges[special_tokens.EOS] = _SPACED_EDGE
        edges[special_tokens.UNK] = _SPACED_EDGE if isinstance(text, WhitespaceTokenizer) else _UNBREAKABLE_EDGE
        return cls._from_edges(edges, has_spaces)

    @classmethod
    def _from_edges(cls, edges: Sequence[TokenEdge], has_spaces: bool) -> VocabularyEdges:
        return cls(
            torch.tensor([edge.first for edge in edges], dtype=torch.long),
            torch.tensor([edge.last for edge in edges], dtype=torch.long),
            torch.tensor([edge.joins_left for edge in edges], dtype=torch.bool),
            torch.tensor([edge.joins_right for edge in edges], dtype=torch.bool),
            torch.tensor([edge.byte for edge in edges], dtype=torch.long),
            has_spaces,
        )

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """All tensors, in the order of the attributes."""
        return self.first_V, self.last_V, self.joins_left_V, self.joins_right_V, self.byte_V


def is_boundary(left: Tensor, right: Tensor, if_incomplete: bool = False) -> Tensor:
    """Return whether there is a word boundary between two adjacent characters.

    Args:
        left: Boundary classes of the left characters.
        right: Boundary classes of the right characters.
        if_incomplete: Result if a character is incomplete but could make a boundary.
    """
    inside_word = (left == WORD) & (right == WORD)
    unbreakable = (left == UNBREAKABLE) | (right == UNBREAKABLE) | (right == EXTEND)
    incomplete = (left == INCOMPLETE) | (right == INCOMPLETE)
    return ~inside_word & ~unbreakable & (~incomplete | if_incomplete)


def resolve_bytes(first_RT: Tensor, last_RT: Tensor, byte_RT: Tensor, right_to_left: bool) -> tuple[Tensor, Tensor]:
    """Replace the boundary classes of byte tokens by those of the characters that they spell together.

    Args:
        first_RT: Classes of the first characters of tokens in reading order, each token taken alone.
        last_RT: Classes of the last characters.
        byte_RT: Values of byte tokens, -1 for other tokens.
        right_to_left: Whether text may still be added before the first token instead of after the last.

    Returns:
        The classes of first and last characters: `INCOMPLETE` if bytes of the character may still follow, `BREAK` for
        bytes that spell no character.
    """
    if not bool((byte_RT > _MAX_ASCII).any()):
        return first_RT, last_RT
    first_RT, last_RT = first_RT.clone(), last_RT.clone()
    last_RT[_is_continuation_byte(byte_RT)] = BREAK
    length = byte_RT.shape[1]
    following_RT = torch.nn.functional.pad(byte_RT, (0, 3), value=-1)
    for count, (low, high) in _LEAD_BYTES.items():
        valid_RT = (byte_RT >= low) & (byte_RT <= high)
        lead_RT, truncated_RT = valid_RT, torch.zeros_like(valid_RT)
        point_RT = byte_RT - low if count > 2 else byte_RT & 0x1F
        for offset in range(1, count):
            next_RT = following_RT[:, offset : offset + length]
            truncated_RT[:, max(0, length - offset) :] |= valid_RT[:, max(0, length - offset) :]
            valid_RT = valid_RT & _is_continuation_byte(next_RT)
            point_RT = point_RT << 6 | next_RT & 0x3F
        first_RT[lead_RT] = BREAK
        if not right_to_left:
            first_RT[lead_RT & truncated_RT & ~valid_RT] = INCOMPLETE
        row_N, position_N = valid_RT.nonzero(as_tuple=True)
        if len(row_N):
            different_M, index_N = torch.unique(point_RT[valid_RT], return_inverse=True)
            classes_M2 = torch.tensor([_character_classes(point, count) for point in different_M.tolist()])
            first_RT[row_N, position_N] = classes_M2[index_N, 0]
            last_RT[row_N, position_N + count - 1] = classes_M2[index_N, 1]
    if right_to_left:  # leading continuation bytes, whose lead byte may still be added before them
        leading_R3 = _is_continuation_byte(byte_RT[:, :3]).long().cumprod(1).bool()
        last_RT[:, :3][leading_R3] = INCOMPLETE
    return first_RT, last_RT


def _is_continuation_byte(bytes_: Tensor) -> Tensor:
    return (bytes_ >= 0x80) & (bytes_ <= 0xBF)


@lru_cache(maxsize=1 << 16)
def _character_classes(point: int, count: int) -> tuple[int, int]:
    """Return the classes of a character spelled by `count` bytes at the start and at the end of a text.

    Both are `BREAK` for overlong encodings, surrogates and code points beyond Unicode.
    """
    least = {2: 0x80, 3: 0x800, 4: 0x10000}[count]
    if not least <= point <= 0x10FFFF or 0xD800 <= point <= 0xDFFF:
        return BREAK, BREAK
    return class_as_right(chr(point)), class_as_left(chr(point))


@dataclass(frozen=True)
class EdgeSides:
    """One side of each of many tokens or spellings.

    Attributes:
        kind: Boundary class of the character at that side.
        joins: Whether no space is written at that side.
    """

    kind: Tensor
    joins: Tensor

    def __getitem__(self, index: object) -> EdgeSides:
        return EdgeSides(self.kind[index], self.joins[index])  # type: ignore[index]


def edge_sides(edges: Sequence[Sequence[TokenEdge]], right_to_left: bool) -> tuple[EdgeSides, EdgeSides]:
    """Return the leading and the trailing sides of edges, in the order of generation."""
    first = EdgeSides(_edge_column(edges, "first", torch.long), _edge_column(edges, "joins_left", torch.bool))
    last = EdgeSides(_edge_column(edges, "last", torch.long), _edge_column(edges, "joins_right", torch.bool))
    return (last, first) if right_to_left else (first, last)


def _edge_column(edges: Sequence[Sequence[TokenEdge]], name: str, dtype: torch.dtype) -> Tensor:
    values = [[getattr(edge, name) for edge in row] for row in edges]
    return torch.tensor(values, dtype=dtype).view(len(values), max(map(len, values), default=0))


class BatchEdges:
    """Edges of the tokens of a batch: the vocabulary, extended by the out-of-vocabulary tokens of each source.

    Sides are returned as pairs (leading, trailing) in the order of generation: the side next to the token that was
    generated before, and the side next to the one generated after.

    Args:
        vocabulary: Edges of the vocabulary.
        oov: Edges of the out-of-vocabulary tokens of each sentence; None for a sentence without any.
        right_to_left: Whether outputs are generated from their ends.
    """

    def __init__(self, vocabulary: VocabularyEdges, oov: Sequence[VocabularyEdges | None], right_to_left: bool) -> None:
        self._right_to_left = right_to_left
        self._columns = vocabulary.columns
        width = max((len(edges.first_V) for edges in oov if edges is not None), default=0) + 1
        missing = (UNBREAKABLE, UNBREAKABLE, True, True, -1)
        self._oov = tuple(
            torch.full((len(oov), width), value, dtype=column.dtype)
            for value, column in zip(missing, self._columns, strict=True)
        )
        for sentence, edges in enumerate(oov):
            for table, values in zip(self._oov, () if edges is None else edges.columns, strict=edges is not None):
                table[sentence, : len(values)] = values

    def of_tokens(self, ids_BKM: Tensor, sentence_B: Tensor) -> tuple[EdgeSides, EdgeSides]:
        """Return the sides of the given tokens, each taken alone."""
        first, last, left, right, _ = self._look_up(ids_BKM, sentence_B)
        return self._in_generation_order(EdgeSides(first, left), EdgeSides(last, right))

    def of_vocabulary(self, sentence_N: Tensor, size: int) -> tuple[EdgeSides, EdgeSides]:
        """Return the sides of the first `size` tokens of the extended vocabulary of each sentence (N, V)."""
        leading, trailing = self.of_tokens(torch.arange(size).expand(len(sentence_N), 1, -1), sentence_N)
        return leading[:, 0], trailing[:, 0]

    def of_outputs(self, ids_BKT: Tensor, sentence_B: Tensor) -> tuple[EdgeSides, EdgeSides]:
        """Return the sides of the tokens of outputs, after that of BOS (B, K, T + 1), with byte tokens resolved."""
        first, last, left, right, byte = self._look_up(ids_BKT, sentence_B)
        shape = first.shape
        read = [(part.flip(-1) if self._right_to_left else part).flatten(0, 1) for part in (first, last, byte)]
        resolved = resolve_bytes(read[0], read[1], read[2], self._right_to_left)
        first, last = (part.view(shape).flip(-1) if self._right_to_left else part.view(shape) for part in resolved)
        pad = torch.nn.functional.pad
        return self._in_generation_order(
            EdgeSides(pad(first, (1, 0), value=BREAK), pad(left, (1, 0))),
            EdgeSides(pad(last, (1, 0), value=BREAK), pad(right, (1, 0))),
        )

    def _look_up(self, ids_BKM: Tensor, sentence_B: Tensor) -> tuple[Tensor, ...]:
        size, width = len(self._columns[0]), self._oov[0].shape[1]
        known_BKM, oov_BKM = ids_BKM.clamp_max(size - 1), (ids_BKM - size).clamp(0, width - 1)
        if width == 1 and not bool((ids_BKM >= size).any()):
            return tuple(column[known_BKM] for column in self._columns)
        sentence_B11 = sentence_B[:, None, None]
        return tuple(
            torch.where(ids_BKM < size, column[known_BKM], table[sentence_B11, oov_BKM])
            for column, table in zip(self._columns, self._oov, strict=True)
        )

    def _in_generation_order(self, first: EdgeSides, last: EdgeSides) -> tuple[EdgeSides, EdgeSides]:
        return (last, first) if self._right_to_left else (first, last)
