"""Writing of labelled data: table of words, labels, arrays of each split, and their counts.

Memory grows with the number of distinct words, not with the text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnnkit.data import label_parsing
from rnnkit.data.aligned_data import KIND, VERSION
from rnnkit.data.aligned_data_writer import SentenceWriter
from rnnkit.data.encoding import DUPLICATE, EMPTY, LEAKED, TOO_LONG, fingerprint
from rnnkit.data.label_parsing import LabelForm, LabelLine, parse_labels, parse_weight, read_in_step, split_words
from rnnkit.data.labelled_data import CLASSIFICATION, TAGGING, UNSEEN, WORDS, WORDS_FILE, LabelSet, labels_path
from rnnkit.data.word_table import EOS_ROW, unknown_tokens
from rnnkit.io import manifest
from rnnkit.io.manifest import Manifest
from rnnkit.io.npy import NpyWriter
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.text.special_tokens import EOS, UNK

WIDE = 1 << 17
"""Stands for the number of distinct words, which is known only at the end; arrays of their rows have 32 bits."""


@dataclass(frozen=True)
class LabelledSplit:
    """The files of a split, with one line per text in each.

    Attributes:
        name: Name in the data, such as `train`.
        split: `train`, `valid` or `test`.
        text: The text, or its tokens.
        labels: One file of labels per column.
        weights: Weights of the texts, if there are any.
    """

    name: str
    split: str
    text: Path
    labels: tuple[Path, ...]
    weights: Path | None = None

    @property
    def others(self) -> tuple[Path, ...]:
        """The files that are read in step with the text."""
        return (*self.labels, *(() if self.weights is None else (self.weights,)))


@dataclass(frozen=True)
class LabelledLine:
    """A line of text with its labels.

    Attributes:
        number: Number of the line, from 1.
        words: Its words.
        labels: Its labels, by column.
        weight: Its weight.
    """

    number: int
    words: list[str]
    labels: tuple[LabelLine, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class LineRules:
    """Which lines are kept. Lengths are in words.

    Attributes:
        max_length: Maximum length; None for no limit.
        truncate: Truncate longer lines instead of dropping them.
        held_out: Fingerprints of texts to drop.
        deduplicate: Drop lines whose text and labels occurred before.
        drop_empty: Drop lines without words.
    """

    max_length: int | None = None
    truncate: bool = False
    held_out: frozenset[int] = frozenset()
    deduplicate: bool = False
    drop_empty: bool = False

    def reason(self, line: LabelledLine, seen: set[int]) -> str | None:
        """Return why a line is dropped; None if it is kept."""
        if self.drop_empty and not line.words:
            return EMPTY
        if self.max_length is not None and not self.truncate and len(line.words) > self.max_length:
            return TOO_LONG
        if self.held_out and fingerprint([line.words]) in self.held_out:
            return LEAKED
        if self.deduplicate:
            print_ = fingerprint([line.words, *(each.labels for each in line.labels)])
            if print_ in seen:
                return DUPLICATE
            seen.add(print_)
        return None


@dataclass
class LabelledCounts:
    """Counts of a split.

    Attributes:
        lines: Lines read.
        sentences: Lines written.
        tokens: Tokens written, with an end of sentence for each line.
        unknown: Those that are not in the vocabulary.
        longest: Tokens of the longest line.
        dropped: Dropped lines, by reason.
        truncated: Truncated lines.
        unseen: For each column, labels that do not occur in train, with their number of occurrences.
    """

    lines: int = 0
    sentences: int = 0
    tokens: int = 0
    unknown: int = 0
    longest: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    unseen: dict[str, Counter[str]] = field(default_factory=dict)

    def as_facts(self, text: str) -> JsonObject:
        """Return the counts as recorded in the manifest, in the form of those of aligned data."""
        return {
            "lines": self.lines,
            "sentences": self.sentences,
            "tokens": {text: self.tokens},
            "unknown": {text: self.unknown},
            "longest": {text: self.longest},
            "dropped": dict(self.dropped),
            "truncated": self.truncated,
            "unseen": {name: dict(found) for name, found in self.unseen.items() if found},
        }


def read_split(split: LabelledSplit, forms: Sequence[LabelForm]) -> Iterator[LabelledLine]:
    """Read the lines of a split.

    Args:
        split: Its files.
        forms: How to read each column of labels.

    Raises:
        DataError: A file is missing or not text, the numbers of lines differ, or a line of labels is invalid.
    """
    for number, line, others in read_in_step(split.text, split.others):
        words = split_words(line)
        labels = tuple(
            parse_labels(other, len(words), form, path, number)
            for other, form, path in zip(others, forms, split.labels, strict=False)
        )
        weight = 1.0 if split.weights is None else parse_weight(others[-1], split.weights, number)
        yield LabelledLine(number, words, labels, weight)


def collect_labels(split: LabelledSplit, forms: Sequence[LabelForm]) -> list[Counter[str]]:
    """Count the labels of each column."""
    counts: list[Counter[str]] = [Counter() for _ in forms]
    for line in read_split(split, forms):
        for counter, found in zip(counts, line.labels, strict=True):
            counter.update(found.labels)
    return counts


def make_label_set(name: str, counts: Mapping[str, int], form: LabelForm, scheme: str | None = None) -> LabelSet:
    """Order labels by frequency, and equally frequent ones alphabetically."""
    ordered = sorted(counts, key=lambda label: (-counts[label], label))
    return LabelSet(name, tuple(ordered), tuple(counts[label] for label in ordered), scheme, form.many or form.soft)


class LabelledDataWriter:
    """Writes labelled data to an empty folder.

    Args:
        folder: The folder.
        text: Name of the text.
        columns: The columns of labels.
        forms: How each was read.
        encode: Maps a word to its vocabulary ids.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        columns: Sequence[LabelSet],
        forms: Sequence[LabelForm],
        encode: Callable[[str], Sequence[int]],
    ) -> None:
        self._folder = folder
        self._text = text
        self._columns = columns
        self._forms = forms
        self._encode = encode
        self._rows: dict[str, int] = {}
        self._tokens: list[Sequence[int]] = [(EOS,)]
        self._label_ids = [{label: 1 + index for index, label in enumerate(each.labels)} for each in columns]

    @property
    def task(self) -> str:
        """The task of the data."""
        return TAGGING if self._forms[0].level == label_parsing.WORD else CLASSIFICATION

    def write_split(self, split: LabelledSplit, rules: LineRules, progress: Callable[[int], None]) -> LabelledCounts:
        """Write the arrays of a split.

        Args:
            split: Its files.
            rules: Which lines are kept.
            progress: Called with the number of each line.
        """
        counts = LabelledCounts(unseen={each.name: Counter() for each in self._columns})
        seen: set[int] = set()
        with ExitStack() as stack:
            words = stack.enter_context(SentenceWriter(self._folder, split.name, self._text, WIDE))
            labels = [
                stack.enter_context(SentenceWriter(self._folder, split.name, each.name, len(each.labels) + 1))
                for each in self._columns
            ]
            extras = _ExtraArrays(self._folder, split, self._columns, self._forms, stack)
            for line in read_split(split, self._forms):
                progress(line.number)
                counts.lines += 1
                if (reason := rules.reason(line, seen)) is not None:
                    counts.dropped[reason] += 1
                    continue
                kept = len(line.words) if rules.max_length is None else min(rules.max_length, len(line.words))
                counts.truncated += kept < len(line.words)
                words.append([*self._word_rows(line.words[:kept], counts), EOS_ROW])
                for writer, each, found in zip(labels, range(len(self._columns)), line.labels, strict=True):
                    writer.append(self._encode_labels(each, found.labels, kept, counts))
                extras.append(line)
        return counts

    def _word_rows(self, words: Sequence[str], counts: LabelledCounts) -> list[int]:
        """Return the rows of the words of a line, with new rows for new words, and count their tokens."""
        rows, length = [], 1
        for word in words:
            row = self._rows.get(word)
            if row is None:
                row = self._rows[word] = len(self._tokens)
                self._tokens.append(tuple(unknown_tokens(self._encode(word))))
            rows.append(row)
            length += len(self._tokens[row])
            counts.unknown += self._tokens[row].count(UNK)
        counts.sentences += 1
        counts.tokens += length
        counts.longest = max(counts.longest, length)
        return rows

    def _encode_labels(self, column: int, labels: Sequence[str], kept: int, counts: LabelledCounts) -> list[int]:
        ids, name = self._label_ids[column], self._columns[column].name
        if self._forms[column].level == label_parsing.WORD:
            labels = labels[:kept]
        encoded = [ids.get(label, UNSEEN) for label in labels]
        if UNSEEN in encoded:
            counts.unseen[name].update(label for label in labels if label not in ids)
        return encoded

    def finish(
        self,
        vocabulary_size: int,
        splits: Mapping[str, LabelledCounts],
        options: JsonMapping,
        inputs: Mapping[str, str],
    ) -> None:
        """Write the table of words, the labels and the manifest.

        Args:
            vocabulary_size: Vocabulary size.
            splits: Counts of each split.
            options: The resolved options of the command.
            inputs: sha256 of the vocabulary, the texts and the labels, and `tokenizer`.
        """
        with (self._folder / WORDS_FILE).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{word}\n" for word in self._rows)
        with SentenceWriter(self._folder, WORDS, self._text, vocabulary_size) as tokens:
            for row in self._tokens:
                tokens.append(list(row))
        for column in self._columns:
            with labels_path(self._folder, column.name).open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(
                    f"{label}\t{count}\n" for label, count in zip(column.labels, column.counts, strict=True)
                )
        names = [path.name for path in self._folder.iterdir()]
        facts = {
            "task": self.task,
            "sides": [self._text],
            "vocabulary_size": {self._text: vocabulary_size},
            "padding": None,
            "words": len(self._tokens),
            "labels": {
                each.name: {"count": len(each.labels), "scheme": each.scheme, "many": each.many, "soft": form.soft}
                for each, form in zip(self._columns, self._forms, strict=True)
            },
            "splits": {name: counts.as_facts(self._text) for name, counts in splits.items()},
        }
        files = manifest.describe_files(self._folder, sorted(names))
        manifest.write(self._folder / manifest.NAME, Manifest(KIND, VERSION, options, inputs, files, facts))


class _ExtraArrays:
    """Weights of texts and probabilities of soft labels, as far as a split has them."""

    def __init__(
        self, folder: Path, split: LabelledSplit, columns: Sequence[LabelSet], forms: Sequence[LabelForm],
        stack: ExitStack,
    ) -> None:  # fmt: skip
        self._weights = None
        if split.weights is not None:
            self._weights = NpyWriter(folder / f"{split.name}.weights.npy", np.float32)
            stack.callback(self._weights.close)
        self._shares: dict[int, NpyWriter] = {}
        for index, (column, form) in enumerate(zip(columns, forms, strict=True)):
            if form.soft:
                self._shares[index] = NpyWriter(folder / f"{split.name}.{column.name}.shares.npy", np.float32)
                stack.callback(self._shares[index].close)

    def append(self, line: LabelledLine) -> None:
        """Append the values of a line."""
        if self._weights is not None:
            self._weights.append(np.array([line.weight], np.float32))
        for index, writer in self._shares.items():
            writer.append(np.array(line.labels[index].shares, np.float32))
