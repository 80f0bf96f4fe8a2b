"""Encoding of the words of raw text for a tagger or text classifier, each distinct word once.

Shapes: B batch, T words, S tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.character_spelling import END_OF_SENTENCE, SpelledLine, SpelledWord
from rnnkit.data.word_table import EOS_ROW, SparseRows, Vectors, WordBatch, WordTable, unknown_tokens
from rnnkit.models.labelling.labelling_encoder import LabellingConfig
from rnnkit.models.labelling.labelling_store import LoadedLabeller, character_features
from rnnkit.models.labelling.language_model_states import LanguageModelStates
from rnnkit.text.special_tokens import EOS, NAMES

MAX_CACHED_WORDS = 1 << 18
"""Words whose encoding is kept; about 100 bytes each, without static vectors."""

MAX_CACHED_NUMBERS = 1 << 24
"""Numbers of the static vectors that are kept, 64 MiB."""


@dataclass(frozen=True)
class EncodedSentences:
    """Some sentences for a model.

    Attributes:
        table: Their words.
        rows: The words of each sentence with its end, as rows of the table.
        lines: Their characters, for language models; empty if the model has none.
        language_models: The language models of the model.
    """

    table: WordTable
    rows: Sequence[NDArray[np.int64]]
    lines: Sequence[SpelledLine]
    language_models: LanguageModelStates | None

    def batch(self, indices: NDArray[np.int64]) -> WordBatch:
        """Assemble a batch of some sentences."""
        batch = self.table.batch([self.rows[index] for index in indices])
        if self.language_models is None:
            return batch
        states_BTD = self.language_models.compute_padded([self.lines[index] for index in indices])
        return replace(batch, states_BTD=states_BTD)


class WordCache:
    """Encodes words for a model, each distinct word once.

    Args:
        model: The model.
    """

    def __init__(self, model: LoadedLabeller) -> None:
        self._ids = model.vocabulary.ids
        self._tokenizer = model.tokenizer if model.is_tagger else None
        config = model.network.config
        assert isinstance(config, LabellingConfig)
        self._features = character_features(config, model.inventory.alphabet)
        self._static = model.static_vectors
        self._limit = min(MAX_CACHED_WORDS, MAX_CACHED_NUMBERS // max(1, config.word_vectors))
        self._language_models = model.language_models
        self._speller = None if model.language_models is None else model.language_models.speller(model.marks)
        self._reset()

    def _reset(self) -> None:
        self._rows: dict[str, int] = {}
        self._words = [NAMES[EOS]]
        self._tokens: list[Sequence[int]] = [(EOS,)]
        self._encoded: list[Sequence[int]] = [] if self._features is None else [self._features("")]
        self._vectors: list[Vectors | None] = [None]
        self._spelled: list[SpelledWord] = [END_OF_SENTENCE]

    def encode(self, sentences: Sequence[Sequence[str]]) -> EncodedSentences:
        """Encode sentences, given their words."""
        if len(self._words) > self._limit:
            self._reset()
        for word in dict.fromkeys(chain.from_iterable(sentences)):
            if word not in self._rows:
                self._add(word)
        row_of = self._rows.__getitem__
        rows = [[*map(row_of, sentence), EOS_ROW] for sentence in sentences]
        joined = SparseRows.from_lists(rows)
        used, index = np.unique(np.concatenate(([EOS_ROW], joined.values)), return_inverse=True)
        table = WordTable(
            [self._words[row] for row in used],
            SparseRows.from_lists(self._tokens[row] for row in used),
            None if self._features is None else SparseRows.from_lists(self._encoded[row] for row in used),
            None if self._static is None else self._static.stack(self._vectors[row] for row in used),
        )
        parts = np.split(index[1:], joined.offsets[1:-1])
        lines: list[SpelledLine] = []
        if self._speller is not None:
            lines = [self._speller.join(self._spelled[row] for row in sentence) for sentence in rows]
        return EncodedSentences(table, parts, lines, self._language_models)

    def _add(self, word: str) -> None:
        self._rows[word] = len(self._words)
        tokens = [word] if self._tokenizer is None else self._tokenizer.tokenize(word)
        get, unknown = self._ids.get, unknown_tokens(())[0]
        self._words.append(word)
        self._tokens.append(unknown_tokens([get(token, unknown) for token in tokens]))
        if self._features is not None:
            self._encoded.append(self._features(word))
        if self._static is not None:
            self._vectors.append(self._static.look_up(word))
        if self._speller is not None:
            self._spelled.append(self._speller.spell(word))
