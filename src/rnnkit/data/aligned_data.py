"""Aligned data: the ids of all sentences and their offsets, in memory-mapped arrays.

A directory contains, for each split S and side L,

    S.L.ids.npy      the concatenated ids of all sentences (uint16, or int32 for a larger vocabulary)
    S.L.offsets.npy  int64, one more than there are sentences: sentence i is ids[offsets[i]:offsets[i + 1]]

and `meta.json` (kind `data`). Held-out splits of parallel data also contain, if `tokenize` has kept them,

    S.L.lines.txt    the raw line of each sentence, followed by LF

Every sentence ends with EOS; BOS is not stored. Data of a fixed length is padded with PAD on the left or right.
Sentence i of one side is the translation of sentence i of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.npy import IntArray, iterate_blocks, open_array
from rnnkit.text import token_files
from rnnkit.text.special_tokens import PAD

KIND: Final = "data"
VERSION: Final = 1
PARALLEL: Final = "parallel"
TEXT: Final = "text"

REVERSED_AT_ONCE = 4096
"""Sentences reversed at once; bounds the memory of their positions."""


def reversed_positions(offsets: IntArray) -> IntArray:
    """Return the positions of the tokens with each sentence right to left and its EOS last, (tokens,).

    The order is its own inverse.

    Args:
        offsets: Start of each sentence, and the end of the last; every sentence ends with EOS.
    """
    positions = np.repeat(offsets[:-1] + offsets[1:] - 2, np.diff(offsets)) - np.arange(offsets[0], offsets[-1])
    positions[offsets[1:] - 1 - offsets[0]] = offsets[1:] - 1
    return positions


@dataclass(frozen=True)
class Padding:
    """Padding of every sentence to `length` ids with PAD on `side` (`right` or `left`)."""

    length: int
    side: str

    def apply(self, ids: IntArray, lengths: IntArray) -> IntArray:
        """Pad sentences of at most `length` ids; return an array (sentences, length).

        Args:
            ids: Concatenated ids of all sentences.
            lengths: Length of each sentence, (sentences,).
        """
        rows = np.full((len(lengths), self.length), PAD, ids.dtype)
        columns = np.arange(self.length)
        used = columns < lengths[:, None] if self.side == "right" else columns >= self.length - lengths[:, None]
        rows[used] = ids
        return rows


@dataclass(frozen=True)
class SentenceDataset:
    """One side of one split. Both arrays are memory-mapped and read-only.

    Attributes:
        ids: Concatenated ids, including PAD if the data is padded.
        offsets: Start of each sentence in `ids`, and the end of the last.
        padded: Whether sentences contain PAD.
    """

    ids: IntArray
    offsets: IntArray
    padded: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> IntArray:
        """Return sentence `index` with EOS at its end and without PAD, (length,)."""
        if not 0 <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)}")
        row = self.ids[self.offsets[index] : self.offsets[index + 1]]
        return row[row != PAD] if self.padded else row

    def stream(self) -> IntArray:
        """Return all sentences concatenated, with EOS and without PAD; memory-mapped unless the data is padded."""
        return self.ids[self.ids != PAD] if self.padded else self.ids

    def reversed(self) -> SentenceDataset:
        """Return the sentences right to left, as a backward language model reads them; a copy in memory.

        EOS stays at the end of each sentence; the copy has no PAD.
        """
        offsets = np.concatenate(([0], np.cumsum(self.lengths(), dtype=np.int64)))
        stream = self.stream()
        ids = np.empty(len(stream), stream.dtype)
        for start in range(0, len(self), REVERSED_AT_ONCE):
            block = offsets[start : start + REVERSED_AT_ONCE + 1]
            ids[block[0] : block[-1]] = stream[reversed_positions(block)]
        return SentenceDataset(ids, offsets)

    def lengths(self) -> IntArray:
        """Return the length of each sentence, including EOS but not PAD; int64, (sentences,)."""
        if not self.padded:
            return np.diff(self.offsets)
        before = np.concatenate(([0], np.cumsum(self.ids != PAD, dtype=np.int64)))
        return np.diff(before[self.offsets])


@dataclass(frozen=True)
class AlignedData:
    """A directory of aligned data, opened and checked.

    Attributes:
        folder: The directory.
        meta: Its manifest; `meta.inputs` identifies its vocabulary and tokenizer.
    """

    folder: Path
    meta: manifest.Manifest
    _sentences: Mapping[tuple[str, str], SentenceDataset]

    @classmethod
    def open(cls, folder: Path) -> AlignedData:
        """Open a directory and check that its arrays are consistent.

        Raises:
            DataError: It does not exist.
            ArtefactError: It is another kind of artifact.
            FormatError: A file is missing, damaged or of a newer version; the message contains its path.
        """
        meta = manifest.read(folder, KIND, VERSION)
        with manifest.explain_damage(folder / manifest.NAME):
            sizes = {str(side): int(size) for side, size in meta.facts["vocabulary_size"].items()}
            counts = {str(split): int(facts["sentences"]) for split, facts in meta.facts["splits"].items()}
            padded = meta.facts["padding"] is not None
            str(meta.facts["task"])
            if outside := [name for name in (*sizes, *counts) if not manifest.is_safe_name(name)]:
                raise ValueError(f"{outside[0]!r} cannot be part of a file name")
        sentences = {
            (split, side): open_side(folder, split, side, count, size, padded)
            for split, count in counts.items()
            for side, size in sizes.items()
        }
        return cls(folder, meta, sentences)

    @property
    def task(self) -> str:
        """`parallel` (two sides) or `text` (one side)."""
        return str(self.meta.facts["task"])

    @property
    def sides(self) -> tuple[str, ...]:
        """Languages, the source first."""
        return tuple(self.meta.facts["vocabulary_size"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, such as `train`."""
        return tuple(self.meta.facts["splits"])

    def vocabulary_size(self, language: str) -> int:
        """Return the vocabulary size of a side."""
        return int(self.meta.facts["vocabulary_size"][language])

    def side(self, split: str, language: str) -> SentenceDataset:
        """Return one side of one split.

        Raises:
            DataError: The split or side does not exist.
        """
        if (split, language) not in self._sentences:
            raise DataError(
                f"{self.folder} has no {split}.{language}",
                f"splits: {', '.join(self.splits)}; sides: {', '.join(self.sides)}",
                hint=f"`rnnkit align --{split} FILE…` adds a split",
                path=self.folder,
            )
        return self._sentences[split, language]

    def raw_lines(self, split: str, language: str, max_lines: int) -> list[str] | None:
        """Return the raw lines of the first sentences of one side of one split; None if the data has none.

        Args:
            split: Name of the split.
            language: Name of the side.
            max_lines: Maximum number of lines.

        Raises:
            DataError: The split or side does not exist, or the file is unreadable.
            FormatError: There are fewer lines than sentences.
        """
        expected = min(max_lines, len(self.side(split, language)))
        path = raw_text_path(self.folder, split, language)
        if path.name not in self.meta.files:
            return None
        lines = list(islice(token_files.read_raw_lines(path), expected))
        if len(lines) < expected:
            raise FormatError(
                f"{path} has {len(lines)} lines",
                f"{manifest.NAME} records {expected} sentences",
                hint="run `rnnkit align` again",
                path=path,
            )
        return lines


def raw_text_path(folder: Path, split: str, language: str) -> Path:
    """Return the path of the raw lines of one side of one split."""
    return folder / f"{split}.{language}.lines.txt"


def array_paths(folder: Path, split: str, language: str) -> tuple[Path, Path]:
    """Return the paths of the ids and the offsets of one side of one split."""
    return folder / f"{split}.{language}.ids.npy", folder / f"{split}.{language}.offsets.npy"


def open_side(folder: Path, split: str, language: str, count: int, size: int, padded: bool) -> SentenceDataset:
    """Map the two files of a side and check that they are consistent."""
    ids_path, offsets_path = array_paths(folder, split, language)
    ids, offsets = open_array(ids_path, (np.uint16, np.int32)), open_array(offsets_path, (np.int64,))
    if len(offsets) != count + 1:
        raise FormatError(
            f"{offsets_path} has {len(offsets)} offsets",
            f"{manifest.NAME} records {count} sentences, {count + 1} offsets",
            path=offsets_path,
        )
    previous = 0
    for block in iterate_blocks(offsets_path, offsets):
        if block[0] < previous or np.any(block[1:] < block[:-1]):
            raise FormatError(
                f"{offsets_path} is damaged", "an offset is smaller than the one before it", path=offsets_path
            )
        previous = int(block[-1])
    if offsets[0] != 0 or offsets[-1] != len(ids):
        raise FormatError(
            f"{offsets_path} does not fit {ids_path.name}",
            f"offsets run from {offsets[0]} to {offsets[-1]}, there are {len(ids)} ids",
            path=offsets_path,
        )
    for block in iterate_blocks(ids_path, ids):
        if int(block.max()) >= size or int(block.min()) < 0:
            wrong = int(block.max()) if int(block.max()) >= size else int(block.min())
            raise FormatError(
                f"{ids_path} is damaged", f"it contains id {wrong}, the vocabulary size is {size}", path=ids_path
            )
    return SentenceDataset(ids, offsets, padded)
