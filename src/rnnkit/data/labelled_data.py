"""Labelled data: texts with a label for each line or for each word, in memory-mapped arrays.

A directory contains the distinct words of all splits (`word_table.WordTable`),

    words.txt                          one word per line, from row 1; row 0 is the end of a sentence
    words.TEXT.ids.npy, .offsets.npy   vocabulary ids of each word

for each split S

    S.TEXT.ids.npy, .offsets.npy       rows of the words of each line
    S.LABELS.ids.npy, .offsets.npy     labels of each line: one, one per word, or any number with several labels
    S.weights.npy                      float32, weight of each line, if the data has weights
    S.LABELS.shares.npy                float32, probability of each label, if labels are soft

and for each column of labels

    labels.LABELS.tsv                  label and its number of occurrences in train, the most frequent first

and `meta.json` (kind `data`, as that of aligned data). Label id 0 is a label that does not occur in train; the label
on line n of the file has id n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import KIND, VERSION, SentenceDataset, open_side
from rnnkit.data.word_table import EOS_ROW, SparseRows, WordTable
from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.npy import open_float_array
from rnnkit.json_types import JsonMapping
from rnnkit.text.lines import MAX_LINE_BYTES, read_lines
from rnnkit.text.special_tokens import EOS, NAMES
from rnnkit.text.token_files import read_raw_lines

TAGGING: Final = "tagging"
CLASSIFICATION: Final = "classification"
TASKS: Final = (TAGGING, CLASSIFICATION)
"""Values of the fact `task` of labelled data."""

WORDS: Final = "words"
"""Stands for the split in the names of the arrays of the table of words."""

WORDS_FILE: Final = "words.txt"

UNSEEN: Final = 0
"""Id of a label that does not occur in train."""


@dataclass(frozen=True)
class LabelSet:
    """The labels of a column.

    Attributes:
        name: Name of the column.
        labels: Labels in the order of their ids, which start at 1.
        counts: Occurrences of each in train.
        scheme: Scheme of the spans that tags mark, such as `BIO`; None for labels that mark no spans.
        many: Whether a line can have several labels.
    """

    name: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    scheme: str | None = None
    many: bool = False


@dataclass(frozen=True)
class LabelledData:
    """A directory of labelled data, opened and checked.

    Attributes:
        folder: The directory.
        meta: Its manifest; `meta.inputs` identifies its vocabulary and tokenizer.
        columns: The columns of labels.
        table: The distinct words.
    """

    folder: Path
    meta: manifest.Manifest
    columns: tuple[LabelSet, ...]
    table: WordTable
    _arrays: Mapping[tuple[str, str], SentenceDataset]

    @classmethod
    def open(cls, folder: Path) -> LabelledData:
        """Open a directory and check that its files are consistent.

        Raises:
            DataError: It does not exist, or is not labelled.
            ArtefactError: It is another kind of artifact.
            FormatError: A file is missing, damaged or of a newer version; the message contains its path.
        """
        meta = manifest.read(folder, KIND, VERSION)
        if meta.facts.get("task") not in TASKS:
            raise DataError(
                f"{folder} has no labels",
                f"it is {meta.facts.get('task')} data",
                hint="`rnnkit align --text NAME --labels NAME` makes labelled data",
                path=folder,
            )
        with manifest.explain_damage(folder / manifest.NAME):
            facts = meta.facts
            text, size = next((str(name), int(size)) for name, size in facts["vocabulary_size"].items())
            counts = {str(split): int(each["sentences"]) for split, each in facts["splits"].items()}
            described = {str(name): dict(each) for name, each in facts["labels"].items()}
            names = (text, *counts, *described)
            if outside := [name for name in names if not manifest.is_safe_name(name)]:
                raise ValueError(f"{outside[0]!r} cannot be part of a file name")
            words = int(facts["words"])
        columns = tuple(_read_labels(folder, name, each) for name, each in described.items())
        table = _open_table(folder, text, words, size)
        arrays = {}
        for split, count in counts.items():
            arrays[split, text] = open_side(folder, split, text, count, words, False)
            for column in columns:
                labels = open_side(folder, split, column.name, count, len(column.labels) + 1, False)
                _check_lengths(folder, split, arrays[split, text], labels, column, meta.facts["task"] == TAGGING)
                arrays[split, column.name] = labels
        return cls(folder, meta, columns, table, arrays)

    @property
    def task(self) -> str:
        """`tagging` (a label per word) or `classification` (labels per line)."""
        return str(self.meta.facts["task"])

    @property
    def text(self) -> str:
        """Name of the text."""
        return str(next(iter(self.meta.facts["vocabulary_size"])))

    @property
    def sides(self) -> tuple[str, ...]:
        """The name of the text, as for aligned data."""
        return (self.text,)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, such as `train`."""
        return tuple(self.meta.facts["splits"])

    def vocabulary_size(self, text: str) -> int:
        """Return the vocabulary size of the text."""
        return int(self.meta.facts["vocabulary_size"][text])

    def side(self, split: str, name: str) -> SentenceDataset:
        """Return the words of a split, by the name of the text, or its labels, by the name of their column.

        Raises:
            DataError: The split does not exist.
        """
        if (split, name) not in self._arrays:
            raise DataError(
                f"{self.folder} has no {split}.{name}",
                f"splits: {', '.join(self.splits)}",
                hint=f"give `rnnkit align` a {split} split as well",
                path=self.folder,
            )
        return self._arrays[split, name]

    def weights(self, split: str) -> NDArray[np.float32] | None:
        """Return the weight of each line of a split; None if the data has none."""
        return self._optional(f"{split}.weights.npy")

    def shares(self, split: str, column: str) -> NDArray[np.float32] | None:
        """Return the probability of each label of a split; None if labels are certain."""
        return self._optional(f"{split}.{column}.shares.npy")

    def _optional(self, name: str) -> NDArray[np.float32] | None:
        return open_float_array(self.folder / name) if name in self.meta.files else None

    def token_counts(self) -> NDArray[np.int64]:
        """Return the frequency of each vocabulary entry in train, (vocabulary size,)."""
        words_W = np.bincount(self.side("train", self.text).ids, minlength=len(self.table.tokens))
        per_piece = np.repeat(words_W, self.table.tokens.lengths())
        counts = np.bincount(self.table.tokens.values, per_piece, self.vocabulary_size(self.text))
        return counts.astype(np.int64)


def read_task(folder: Path) -> str:
    """Return the kind of the data in a directory: `parallel`, `text`, `tagging` or `classification`.

    Raises:
        DataError: It does not exist.
        ArtefactError: It is another kind of artifact.
        FormatError: The manifest is damaged or of a newer version.
    """
    meta = manifest.read(folder, KIND, VERSION)
    with manifest.explain_damage(folder / manifest.NAME):
        return str(meta.facts["task"])


def labels_path(folder: Path, column: str) -> Path:
    """Return the path of the labels of a column."""
    return folder / f"labels.{column}.tsv"


def read_label_file(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read labels and their counts.

    Raises:
        DataError: The file is missing or not text.
        FormatError: A line is not a label and a count, or a label occurs twice; the message contains the line.
    """
    labels: list[str] = []
    counts: list[int] = []
    for number, line in enumerate(read_lines(path, MAX_LINE_BYTES), start=1):
        label, tab, count = line.rpartition("\t")
        if not tab or not count.isascii() or not count.isdigit() or len(count) > 18:
            raise FormatError(f"{path}:{number}: not a label and its count, separated by a tab", path=path, line=number)
        labels.append(label)
        counts.append(int(count))
    if len(set(labels)) < len(labels):
        repeated = next(label for index, label in enumerate(labels) if label in labels[:index])
        raise FormatError(f"{path}: the label {repeated} occurs twice", path=path)
    return tuple(labels), tuple(counts)


def _read_labels(folder: Path, name: str, facts: JsonMapping) -> LabelSet:
    path = labels_path(folder, name)
    labels, counts = read_label_file(path)
    if len(labels) != facts.get("count"):
        raise FormatError(
            f"{path} has {len(labels)} labels", f"{manifest.NAME} records {facts.get('count')}", path=path
        )
    scheme = facts.get("scheme")
    return LabelSet(name, labels, counts, None if scheme is None else str(scheme), bool(facts.get("many")))


def _open_table(folder: Path, text: str, words: int, vocabulary_size: int) -> WordTable:
    """Open the table of words; `words` is its number of rows."""
    path = folder / WORDS_FILE
    found = [NAMES[EOS], *read_raw_lines(path)]
    if len(found) != words:
        raise FormatError(f"{path} has {len(found) - 1} words", f"{manifest.NAME} records {words - 1}", path=path)
    tokens = open_side(folder, WORDS, text, words, vocabulary_size, False)
    rows = SparseRows(np.asarray(tokens.ids, np.int64), np.asarray(tokens.offsets))
    if int(rows.lengths().min()) < 1 or rows.values[EOS_ROW] != EOS:
        raise FormatError(f"{folder}: the tokens of the words are damaged", "a word has none", path=folder)
    return WordTable(found, rows)


def _check_lengths(
    folder: Path, split: str, text: SentenceDataset, labels: SentenceDataset, column: LabelSet, tagging: bool
) -> None:
    """Raise FormatError if there is not a label for each word, or one for each line."""
    found, words = labels.lengths(), text.lengths()
    expected = words - 1 if tagging else np.ones_like(words)
    if not column.many and not np.array_equal(found, expected):
        line = int(np.argmax(found != expected))
        raise FormatError(
            f"{folder}: {split}.{column.name} does not fit {split}.{text_unit(tagging)}",
            f"line {line + 1} has {found[line]} labels, expected {expected[line]}",
            path=folder,
        )


def text_unit(tagging: bool) -> str:
    """Return what has a label, in the plural."""
    return "words" if tagging else "lines"
