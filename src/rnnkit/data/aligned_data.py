"""Aligned data: the ids of every sentence, and where each begins.

One folder holds, for each split S and side L,

    S.L.ids.npy      the ids of all sentences, one after the other (uint16, or int32 where the vocabulary is larger)
    S.L.offsets.npy  int64, one more than there are sentences: sentence i is ids[offsets[i]:offsets[i + 1]]

and `meta.json` (kind `data`). Held-out splits of two sides also hold, where `tokenize` has kept them,

    S.L.lines.txt    the raw line of each sentence, LF behind it

Every sentence ends with EOS; no BOS is stored. Data of a fixed length has PAD
before or behind each sentence. Sentence i of one side belongs to sentence i of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.npy import IntArray, NpyWriter, iterate_blocks, open_array
from rnnkit.text import token_files
from rnnkit.text.special_tokens import PAD, UNK

KIND: Final = "data"
VERSION: Final = 1
PARALLEL: Final = "parallel"
TEXT: Final = "text"

_UINT16_IDS = 1 << 16


@dataclass(frozen=True)
class Padding:
    """Every row is brought to `length` ids with PAD on `side` (`right` or `left`)."""

    length: int
    side: str

    def apply(self, ids: IntArray, lengths: IntArray) -> IntArray:
        """The rows for sentences of at most `length` ids, shape (sentences, length).

        Args:
            ids: Of all sentences, one after the other.
            lengths: Of each sentence, shape (sentences,).
        """
        rows = np.full((len(lengths), self.length), PAD, ids.dtype)
        columns = np.arange(self.length)
        used = columns < lengths[:, None] if self.side == "right" else columns >= self.length - lengths[:, None]
        rows[used] = ids
        return rows


@dataclass(frozen=True)
class SideCounts:
    """What one side of one split holds. EOS counts as a token, PAD does not.

    Attributes:
        sentences: Number of sentences.
        tokens: Ids in all.
        unknown: How many of them are UNK.
        longest: Ids in the longest sentence.
    """

    sentences: int
    tokens: int
    unknown: int
    longest: int


@dataclass(frozen=True)
class SplitCounts:
    """What became of the lines of one split.

    Attributes:
        sides: What was written, by side.
        lines: Lines read.
        dropped: Lines left out, by reason.
        truncated: Sentences that were cut to a length, on any side.
        blank: Sentences of one-sided data that are an end symbol only.
    """

    sides: Mapping[str, SideCounts]
    lines: int
    dropped: Mapping[str, int]
    truncated: int = 0
    blank: int = 0

    @property
    def sentences(self) -> int:
        """Sentences that were written."""
        return next(iter(self.sides.values())).sentences

    def as_facts(self) -> dict[str, Any]:
        """As the manifest records it."""
        return {
            "lines": self.lines,
            "sentences": self.sentences,
            "tokens": {side: counts.tokens for side, counts in self.sides.items()},
            "unknown": {side: counts.unknown for side, counts in self.sides.items()},
            "longest": {side: counts.longest for side, counts in self.sides.items()},
            "dropped": dict(self.dropped),
            "truncated": self.truncated,
            **({"blank": self.blank} if self.blank else {}),
        }


class SentenceWriter:
    """Streams the sentences of one side of one split to disk; memory does not grow with them.

    A context manager: the files are whole when its block ends.

    Args:
        folder: Where the two files are made.
        split: Such as `train`.
        language: Name of the side.
        vocabulary_size: Number of ids; decides the type they are stored in.
        padding: The common length, if there is one.
    """

    def __init__(
        self, folder: Path, split: str, language: str, vocabulary_size: int, padding: Padding | None = None
    ) -> None:
        narrow = vocabulary_size <= _UINT16_IDS
        ids_path, offsets_path = array_paths(folder, split, language)
        self._ids = NpyWriter(ids_path, np.uint16 if narrow else np.int32)
        self._offsets = NpyWriter(offsets_path, np.int64)
        self._padding = padding
        self._offsets.append(np.zeros(1, np.int64))
        self._sentences = self._tokens = self._unknown = self._longest = 0

    def append(self, ids: Sequence[int]) -> None:
        """Add one sentence: its ids with EOS at the end, not padded."""
        self.extend(np.array(ids, self._ids.dtype), np.array([len(ids)]))

    def extend(self, ids: IntArray, lengths: IntArray) -> None:
        """Add sentences: their ids, one sentence after the other with EOS at its end, not padded, and their lengths."""
        if not len(lengths):
            return
        self._sentences += len(lengths)
        self._tokens += len(ids)
        self._unknown += int(np.count_nonzero(ids == UNK))
        self._longest = max(self._longest, int(lengths.max()))
        if self._padding is not None:
            ids, lengths = self._padding.apply(ids, lengths), np.full(len(lengths), self._padding.length)
        self._offsets.append(self._ids.length + np.cumsum(lengths))
        self._ids.append(ids)

    @property
    def counts(self) -> SideCounts:
        """What was added so far."""
        return SideCounts(self._sentences, self._tokens, self._unknown, self._longest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Finish both files."""
        self._ids.close()
        self._offsets.close()


def write_data_manifest(
    folder: Path,
    *,
    task: str,
    splits: Mapping[str, SplitCounts],
    vocabulary_size: Mapping[str, int],
    padding: Padding | None,
    options: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> None:
    """Write `meta.json` over the files of all closed writers.

    Args:
        folder: The data folder.
        task: `parallel` or `text`.
        splits: What was written, by split.
        vocabulary_size: By side; the sides in order, the source first.
        padding: The common length, if there is one.
        options: The resolved options of the command.
        inputs: sha256 of the vocabularies (`vocabulary`, or `vocabulary.LANG`), the token files, and `tokenizer`.
    """
    facts = {
        "task": task,
        "sides": list(vocabulary_size),
        "vocabulary_size": dict(vocabulary_size),
        "padding": None if padding is None else asdict(padding),
        "splits": {split: counts.as_facts() for split, counts in splits.items()},
    }
    names = [place.name for split in splits for side in vocabulary_size for place in array_paths(folder, split, side)]
    raw = [raw_text_path(folder, split, side) for split in splits for side in vocabulary_size]
    names += [place.name for place in raw if place.exists()]
    files = manifest.describe_files(folder, names)
    manifest.write(folder / manifest.NAME, manifest.Manifest(KIND, VERSION, options, inputs, files, facts))


@dataclass(frozen=True)
class SentenceDataset:
    """One side of one split. Both arrays are mapped from disk and read-only.

    Attributes:
        ids: All ids, PAD included where the data is padded.
        offsets: Beginning of each sentence in `ids`, and the end of the last.
        padded: Whether the rows hold PAD.
    """

    ids: IntArray
    offsets: IntArray
    padded: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> IntArray:
        """Sentence `index` with EOS at its end and without PAD, shape (length,)."""
        if not 0 <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)}")
        row = self.ids[self.offsets[index] : self.offsets[index + 1]]
        return row[row != PAD] if self.padded else row

    def stream(self) -> IntArray:
        """All sentences one after the other with their EOS, without PAD; mapped from disk where nothing is padded."""
        return self.ids[self.ids != PAD] if self.padded else self.ids

    def lengths(self) -> IntArray:
        """Ids of each sentence, EOS counted, PAD not; int64, shape (sentences,)."""
        if not self.padded:
            return np.diff(self.offsets)
        before = np.concatenate(([0], np.cumsum(self.ids != PAD, dtype=np.int64)))
        return np.diff(before[self.offsets])


@dataclass(frozen=True)
class AlignedData:
    """A folder of aligned data, opened and checked.

    Attributes:
        folder: Where it is.
        meta: Its manifest; `meta.inputs` names the vocabulary and the tokenizer it was made with.
    """

    folder: Path
    meta: manifest.Manifest
    _sentences: Mapping[tuple[str, str], SentenceDataset]

    @classmethod
    def open(cls, folder: Path) -> AlignedData:
        """Open the folder and check that its arrays fit together.

        Raises:
            DataError: There is none.
            ArtefactError: The folder is something else.
            FormatError: A file is missing, damaged or of a newer version; the message names it.
        """
        meta = manifest.read(folder, KIND, VERSION)
        with manifest.explain_damage(folder / manifest.NAME):
            sizes = {str(side): int(size) for side, size in meta.facts["vocabulary_size"].items()}
            counts = {str(split): int(facts["sentences"]) for split, facts in meta.facts["splits"].items()}
            padded = meta.facts["padding"] is not None
            str(meta.facts["task"])
            if outside := [name for name in (*sizes, *counts) if not manifest.is_safe_name(name)]:
                raise ValueError(f"{outside[0]!r} can be no part of a file's name")
        sentences = {
            (split, side): _open_side(folder, split, side, count, size, padded)
            for split, count in counts.items()
            for side, size in sizes.items()
        }
        return cls(folder, meta, sentences)

    @property
    def task(self) -> str:
        """`parallel` for two sides, `text` for one."""
        return str(self.meta.facts["task"])

    @property
    def sides(self) -> tuple[str, ...]:
        """Languages in order, the source first."""
        return tuple(self.meta.facts["vocabulary_size"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, such as `train`."""
        return tuple(self.meta.facts["splits"])

    def vocabulary_size(self, language: str) -> int:
        """Number of ids of a side."""
        return int(self.meta.facts["vocabulary_size"][language])

    def side(self, split: str, language: str) -> SentenceDataset:
        """The sentences of one side of one split.

        Raises:
            DataError: There is no such split or side.
        """
        if (split, language) not in self._sentences:
            raise DataError(
                f"{self.folder} has no {split}.{language}",
                f"splits: {', '.join(self.splits)}; sides: {', '.join(self.sides)}",
                hint=f"`rnnkit align --{split} FILE…` adds a split",
            )
        return self._sentences[split, language]

    def raw_lines(self, split: str, language: str, most: int) -> list[str] | None:
        """The raw lines of the first sentences of one side of one split; None where the data has none.

        Args:
            split: Name of the split.
            language: Name of the side.
            most: How many lines.

        Raises:
            DataError: There is no such split or side, or the file cannot be read.
            FormatError: There are fewer lines than sentences.
        """
        wanted = min(most, len(self.side(split, language)))
        path = raw_text_path(self.folder, split, language)
        if path.name not in self.meta.files:
            return None
        lines = list(islice(token_files.read_raw_lines(path), wanted))
        if len(lines) < wanted:
            raise FormatError(
                f"{path} has {len(lines)} lines", f"{manifest.NAME} says {wanted} sentences", hint="align again"
            )
        return lines


def raw_text_path(folder: Path, split: str, language: str) -> Path:
    """Where the raw lines of one side of one split are."""
    return folder / f"{split}.{language}.lines.txt"


def array_paths(folder: Path, split: str, language: str) -> tuple[Path, Path]:
    """Where the ids and the offsets of one side of one split are."""
    return folder / f"{split}.{language}.ids.npy", folder / f"{split}.{language}.offsets.npy"


def _open_side(folder: Path, split: str, language: str, count: int, size: int, padded: bool) -> SentenceDataset:
    """Map the two files of a side and hold them against each other."""
    ids_path, offsets_path = array_paths(folder, split, language)
    ids, offsets = open_array(ids_path, (np.uint16, np.int32)), open_array(offsets_path, (np.int64,))
    if len(offsets) != count + 1:
        raise FormatError(
            f"{offsets_path} has {len(offsets)} offsets", f"{manifest.NAME} says {count} sentences, {count + 1} offsets"
        )
    previous = 0
    for block in iterate_blocks(offsets_path, offsets):
        if block[0] < previous or np.any(block[1:] < block[:-1]):
            raise FormatError(f"{offsets_path} is damaged", "an offset is smaller than the one before it")
        previous = int(block[-1])
    if offsets[0] != 0 or offsets[-1] != len(ids):
        raise FormatError(
            f"{offsets_path} does not fit {ids_path.name}",
            f"offsets run from {offsets[0]} to {offsets[-1]}, there are {len(ids)} ids",
        )
    for block in iterate_blocks(ids_path, ids):
        if int(block.max()) >= size or int(block.min()) < 0:
            wrong = int(block.max()) if int(block.max()) >= size else int(block.min())
            raise FormatError(f"{ids_path} is damaged", f"it holds id {wrong}, the vocabulary has {size} rows")
    return SentenceDataset(ids, offsets, padded)
