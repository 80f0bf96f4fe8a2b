"""The characters of a line of words, as a character language model reads them.

A line is spelled in the tokens of the language model's own tokenizer, so that it is read as the language model's
training text was. Words are separated by blanks, except where the marks of a classifier's tokenizer join them:

    the tokenizer of a tagger's words     none: a blank before every word but the first
    words                                 ￭ joins a token to its neighbor: `soup ￭.` is `soup.`
    unigram, bpe, chars, bytes            ▁ at the beginning of a piece is the blank before it

A word is a span [start, end) of the characters of its line. A word without characters, such as the end of a sentence or
a word that normalization removes, is the empty span after the word before it. The pieces of a character that a
classifier's tokenizer splits into bytes have no characters either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.text.rule_based_tokenizers import JOINER
from rnnkit.text.special_tokens import BYTE_TOKENS, METASPACE
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

Ids = NDArray[np.int64]

_BYTES = frozenset(BYTE_TOKENS)
_UNMARKED_KINDS = ("spaces", "blanks")


@dataclass(frozen=True)
class SpelledWord:
    """A word in characters.

    Attributes:
        ids: Ids of its characters in the vocabulary of the language model.
        joins_left: Whether no blank separates it from the word before it.
        joins_right: Whether no blank separates it from the word after it.
    """

    ids: tuple[int, ...]
    joins_left: bool = False
    joins_right: bool = False


END_OF_SENTENCE = SpelledWord((), joins_left=True)
"""The end of a sentence, which is no word of the text."""


@dataclass(frozen=True)
class SpelledLine:
    """A line in characters.

    Attributes:
        id_N: Ids of the characters.
        start_T: Index of the first character of each word.
        end_T: Index after the last character of each word.
    """

    id_N: Ids
    start_T: Ids
    end_T: Ids


class WordSpeller:
    """Spells words with the tokenizer of a character language model.

    Args:
        tokenizer: Tokenizer of the language model.
        vocabulary: Its vocabulary.
        marks: Tokenizer of the words, whose marks say where words are joined; None for words without marks.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, marks: Tokenizer | None) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._marks = None if marks is None or marks.kind in _UNMARKED_KINDS else marks
        (self._blank,) = vocabulary.encode([METASPACE])

    def spell(self, word: str) -> SpelledWord:
        """Spell a word."""
        if self._marks is None:
            return SpelledWord(self._encode(word))
        if self._marks.is_feature(word) or word in _BYTES:
            return SpelledWord((), joins_left=True, joins_right=True)
        ids = self._encode(self._marks.join_tokens([word]).strip(" "))
        if self._marks.kind == "words":
            return SpelledWord(ids, word.startswith(JOINER), word.endswith(JOINER))
        return SpelledWord(ids, not word.startswith(METASPACE))

    def join(self, words: Iterable[SpelledWord]) -> SpelledLine:
        """Join the words of a line."""
        ids: list[int] = []
        starts, ends = [], []
        joined, blank = True, False
        for word in words:
            blank = blank or not (joined or word.joins_left)
            if word.ids:
                if blank and ids:
                    ids.append(self._blank)
                blank = False
            starts.append(len(ids))
            ids.extend(word.ids)
            ends.append(len(ids))
            joined = word.joins_right
        arrays = (np.array(each, np.int64) for each in (ids, starts, ends))
        return SpelledLine(*arrays)

    def _encode(self, word: str) -> tuple[int, ...]:
        return tuple(self._vocabulary.encode(self._tokenizer.tokenize(word)))


def spell_table(speller: WordSpeller, words: Sequence[str]) -> list[SpelledWord]:
    """Spell the words of a table, whose first row is the end of a sentence."""
    return [END_OF_SENTENCE, *map(speller.spell, words[1:])]
