"""The distinct words of a text as arrays: vocabulary ids, characters and character n-grams, each computed once.

A text is a sequence of rows of the table. Row 0 is the end-of-sentence marker, which has no characters. The arrays of a
word are stored in compressed sparse rows: those of row w are `values[offsets[w]:offsets[w + 1]]`.

A batch holds the features of each of its distinct words once (`WordBatch.rows_W`), however often the word occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.text import special_tokens

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]

EOS_ROW: Final = 0
"""Row of the end-of-sentence marker."""

MAX_CHARACTERS: Final = 48
"""Characters of a word that are encoded; of a longer word, its first and last halves. Bounds the memory of a batch."""

UNKNOWN_CHARACTER: Final = 1
"""Id of a character outside the alphabet; 0 is padding."""

WORD_START: Final = 2
WORD_END: Final = 3
FIRST_CHARACTER: Final = 4
"""Id of the first character of the alphabet."""


@dataclass(frozen=True)
class SparseRows:
    """Rows of different lengths in one array.

    Attributes:
        values: Values of all rows, concatenated.
        offsets: Start of each row, and the end of the last.
    """

    values: Ids
    offsets: Ids

    @classmethod
    def from_lists(cls, rows: Iterable[Sequence[int]]) -> SparseRows:
        """Concatenate rows."""
        listed = list(rows)
        offsets = np.zeros(len(listed) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, listed), np.int64, len(listed)), out=offsets[1:])
        return cls(np.fromiter(chain.from_iterable(listed), np.int64, int(offsets[-1])), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> Ids:
        """Length of each row."""
        return np.diff(self.offsets)

    def select(self, rows: Ids) -> SparseRows:
        """Return some rows, in the order of `rows`."""
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - starts, lengths)
        return SparseRows(self.values[positions], offsets)

    def pad(self) -> Ids:
        """Return the rows as one array (rows, longest), padded with 0 on the right."""
        lengths = self.lengths()
        columns = np.arange(int(lengths.max(initial=0)))
        padded = np.zeros((len(lengths), len(columns)), np.int64)
        padded[columns < lengths[:, None]] = self.values
        return padded


@dataclass(frozen=True)
class Alphabet:
    """The characters that a network distinguishes.

    Attributes:
        characters: All of them, in the order of their ids.
    """

    characters: str
    _ids: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {character: FIRST_CHARACTER + index for index, character in enumerate(self.characters)}
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def of_words(cls, words: Iterable[str]) -> Alphabet:
        """Collect the characters of words, sorted."""
        found: set[str] = set()
        for word in words:
            found.update(word)
        return cls("".join(sorted(found)))

    def __len__(self) -> int:
        """Number of ids."""
        return FIRST_CHARACTER + len(self.characters)

    def encode(self, word: str) -> list[int]:
        """Encode a word with its start and end; of a word longer than `MAX_CHARACTERS`, the middle is left out."""
        if len(word) > MAX_CHARACTERS:
            word = word[: MAX_CHARACTERS // 2] + word[-MAX_CHARACTERS // 2 :]
        get = self._ids.get
        return [WORD_START, *(get(character, UNKNOWN_CHARACTER) for character in word), WORD_END]


@dataclass(frozen=True)
class WordBatch:
    """A batch of sentences.

    Attributes:
        token_BS: Vocabulary ids, padded with PAD on the right.
        length_B: Tokens of each sentence.
        word_BS: For each token, the index in `rows_W` of the word that it belongs to; 0 at padding.
        rows_W: The distinct words of the batch, as rows of the table.
        features: Characters or n-grams of `rows_W`; None if the network has none.
        end_BT: Index of the last token of each word, (B, words); None if every word is one token.
        word_length_B: Words of each sentence.
        position_BS: For each token, the position of its word in the sentence; None if every word is one token.
        states_BTD: States of language models for each word, padded with 0; None if the network has none.
        vectors_WD: Static vectors of `rows_W`; None if the network has none.
    """

    token_BS: Ids
    length_B: Ids
    word_BS: Ids
    rows_W: Ids
    features: SparseRows | None
    end_BT: Ids | None
    word_length_B: Ids
    position_BS: Ids | None = None
    states_BTD: NDArray[np.float16] | None = None
    vectors_WD: Vectors | None = None


@dataclass(frozen=True)
class WordTable:
    """Distinct words with their features.

    Attributes:
        words: The words; row 0 is the end of a sentence.
        tokens: Vocabulary ids of each word: several if the tokenizer cuts it into pieces.
        features: Ids of the characters or n-grams of each word; None if the network has none.
        vectors_WD: Static vector of each word; None if the network has none.
    """

    words: Sequence[str]
    tokens: SparseRows
    features: SparseRows | None = None
    vectors_WD: Vectors | None = None

    @property
    def one_token_each(self) -> bool:
        """Whether every word is a single token."""
        return len(self.tokens.values) == len(self.tokens)

    def with_features(self, encode: Callable[[str], Sequence[int]] | None) -> WordTable:
        """Return the table with features of each word but the end of a sentence, which has `encode("")`."""
        if encode is None:
            return replace(self, features=None)
        rows = (encode("" if row == EOS_ROW else word) for row, word in enumerate(self.words))
        return replace(self, features=SparseRows.from_lists(rows))

    def batch(self, sentences: Sequence[Ids]) -> WordBatch:
        """Assemble a batch.

        Args:
            sentences: Rows of the words of each sentence; at least one.
        """
        word_length_B = np.array([len(sentence) for sentence in sentences], np.int64)
        rows_N = np.concatenate(sentences).astype(np.int64)
        rows_W, index_N = np.unique(rows_N, return_inverse=True)
        features = None if self.features is None else self.features.select(rows_W)
        vectors_WD = None if self.vectors_WD is None else self.vectors_WD[rows_W]
        if self.one_token_each:
            token_N, offsets = self.tokens.values[rows_N], np.concatenate(([0], np.cumsum(word_length_B)))
            token_BS = SparseRows(token_N, offsets).pad()
            word_BS = SparseRows(index_N, offsets).pad()
            return WordBatch(
                token_BS, word_length_B, word_BS, rows_W, features, None, word_length_B, vectors_WD=vectors_WD
            )
        pieces = self.tokens.select(rows_N)
        piece_N = pieces.lengths()
        sentence_N = np.repeat(np.arange(len(sentences)), word_length_B)
        length_B = np.bincount(sentence_N, piece_N, len(sentences)).astype(np.int64)
        offsets = np.concatenate(([0], np.cumsum(length_B)))
        word_BS = SparseRows(np.repeat(index_N, piece_N), offsets).pad()
        end_N = pieces.offsets[1:] - 1 - offsets[sentence_N]
        end_BT = SparseRows(end_N, np.concatenate(([0], np.cumsum(word_length_B)))).pad()
        token_BS = SparseRows(pieces.values, offsets).pad()
        position_N = np.concatenate([np.arange(length) for length in word_length_B])
        position_BS = SparseRows(np.repeat(position_N, piece_N), offsets).pad()
        return WordBatch(
            token_BS, length_B, word_BS, rows_W, features, end_BT, word_length_B, position_BS, vectors_WD=vectors_WD
        )


def unknown_tokens(tokens: Sequence[int]) -> Sequence[int]:
    """Return the tokens of a word; of a word without any, such as a zero-width character, UNK."""
    return tokens or (special_tokens.UNK,)
