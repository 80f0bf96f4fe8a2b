"""Writing of aligned data: arrays and counts of each side and split, their report, the manifest, the merge of shards.

Shards are merged by concatenating arrays, shifting offsets and adding counts.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from rnnkit.data.aligned_data import KIND, PARALLEL, TEXT, VERSION, Padding, array_paths, raw_text_path
from rnnkit.data.encoding import EMPTY, REASONS
from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Listener, Note, Progress, WarningEvent
from rnnkit.io import manifest
from rnnkit.io.manifest import Manifest
from rnnkit.io.npy import IntArray, NpyWriter, iterate_blocks, open_array
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.text.special_tokens import UNK
from rnnkit.text.token_files import TEST

_UINT16_IDS = 1 << 16
"""Largest vocabulary whose ids are stored as uint16."""

_DROPPED_WARNING = 0.1
"""Share of dropped lines above which the note becomes a warning."""


@dataclass(frozen=True)
class SideCounts:
    """Counts of one side of one split. EOS counts as a token, PAD does not.

    Attributes:
        sentences: Number of sentences.
        tokens: Number of tokens.
        unknown: Number of UNK among them.
        longest: Length of the longest sentence.
    """

    sentences: int
    tokens: int
    unknown: int
    longest: int


@dataclass(frozen=True)
class SplitCounts:
    """Counts of one split.

    Attributes:
        sides: Counts of each side.
        lines: Lines read.
        dropped: Dropped lines, by reason.
        truncated: Sentences truncated on any side.
        blank: Sentences of monolingual data that are only EOS.
    """

    sides: Mapping[str, SideCounts]
    lines: int
    dropped: Mapping[str, int]
    truncated: int = 0
    blank: int = 0

    @property
    def sentences(self) -> int:
        """Number of sentences written."""
        return next(iter(self.sides.values())).sentences

    def as_facts(self) -> JsonObject:
        """Return the counts as recorded in the manifest."""
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
    """Writes the sentences of one side of one split to disk, in constant memory.

    A context manager: the files are complete when its block ends.

    Args:
        folder: Directory of the data.
        split: Name of the split, such as `train`.
        language: Name of the side.
        vocabulary_size: Number of ids; determines the dtype.
        padding: Fixed length, if any.
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
        """Append one sentence: its ids with EOS at the end, not padded."""
        self.extend(np.array(ids, self._ids.dtype), np.array([len(ids)]))

    def extend(self, ids: IntArray, lengths: IntArray) -> None:
        """Append sentences: their concatenated ids, each with EOS at its end, not padded, and their lengths."""
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
        """Counts so far."""
        return SideCounts(self._sentences, self._tokens, self._unknown, self._longest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close both files."""
        self._ids.close()
        self._offsets.close()


def write_data_manifest(
    folder: Path,
    *,
    splits: Mapping[str, SplitCounts],
    vocabulary_size: Mapping[str, int],
    padding: Padding | None,
    options: JsonMapping,
    inputs: Mapping[str, str],
) -> None:
    """Write `meta.json` for the files of all closed writers.

    Args:
        folder: Directory of the data.
        splits: Counts of each split.
        vocabulary_size: Vocabulary size of each side, the source first.
        padding: Fixed length, if any.
        options: The resolved options of the command.
        inputs: sha256 of the vocabularies (`vocabulary`, or `vocabulary.LANG`), the token files, and `tokenizer`.
    """
    facts = {
        "task": PARALLEL if len(vocabulary_size) == 2 else TEXT,
        "sides": list(vocabulary_size),
        "vocabulary_size": dict(vocabulary_size),
        "padding": None if padding is None else asdict(padding),
        "splits": {split: counts.as_facts() for split, counts in splits.items()},
    }
    names = [path.name for split in splits for side in vocabulary_size for path in array_paths(folder, split, side)]
    raw = [raw_text_path(folder, split, side) for split in splits for side in vocabulary_size]
    names += [path.name for path in raw if path.exists()]
    files = manifest.describe_files(folder, names)
    manifest.write(folder / manifest.NAME, Manifest(KIND, VERSION, options, inputs, files, facts))


def describe_counts(counts: SplitCounts) -> str:
    """Describe the counts of a split in one line."""
    sides = [
        f"{side} {side_counts.tokens:,} tokens ({side_counts.unknown / max(1, side_counts.tokens):.2%} unknown, "
        f"longest {side_counts.longest})"
        for side, side_counts in counts.sides.items()
    ]
    dropped = [f"dropped {count:,} {reason}" for reason, count in counts.dropped.items()]
    truncated = [f"truncated {counts.truncated:,}"] if counts.truncated else []
    return "; ".join([f"{counts.sentences:,} of {counts.lines:,} lines", *sides, *dropped, *truncated])


def report_split(name: str, split: str, counts: SplitCounts, sources: Sequence[Path], listen: Listener) -> None:
    """Report dropped and truncated sentences of a split, as a warning if there are many.

    Args:
        name: Name of the split or test set.
        split: `train`, `valid` or `test`.
        counts: Its counts.
        sources: Its token files or shards, for the error.
        listen: Receives the report.

    Raises:
        DataError: The split has no sentences left.
    """
    dropped = sum(counts.dropped.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.dropped.items())
    if not counts.sentences:
        raise DataError(
            f"the {name} split has no sentences left",
            f"{' and '.join(map(str, sources))}: {counts.lines:,} lines" + (f", dropped: {reasons}" if reasons else ""),
            hint="see --max-length, --long and the filters" if reasons else None,
            path=sources[0],
        )
    if dropped > _DROPPED_WARNING * counts.lines:
        listen(WarningEvent(f"{name}: dropped {dropped:,} of {counts.lines:,} lines: {reasons}"))
    elif dropped:
        listen(Note(f"{name}: dropped {reasons}"))
    if counts.truncated and split == TEST:
        listen(WarningEvent(f"{name}: truncated {counts.truncated:,} lines; scores on them cover only what is left"))


def warn_of_blank_lines(splits: Mapping[str, SplitCounts], listen: Listener) -> None:
    """Warn if blank lines of data with one side were dropped from some splits and kept in others."""
    dropped = {name: counts.dropped.get(EMPTY, 0) for name, counts in splits.items()}
    kept = {name: counts.blank for name, counts in splits.items()}
    if not any(dropped.values()) or not any(kept.values()):
        return
    without, having = (
        ", ".join(f"{name} ({count:,})" for name, count in found.items() if count) for found in (dropped, kept)
    )
    listen(
        WarningEvent(
            f"blank lines are dropped from {without} but kept in {having}: scores there include blank lines, which the "
            "model is not trained on; --keep-empty keeps them in all splits, as WikiText results do"
        )
    )


def merge_data(
    folder: Path, shards: Sequence[Path], metas: Sequence[Manifest], listen: Listener
) -> dict[str, SplitCounts]:
    """Write the data of all shards to one directory, with the same bytes as a single command.

    Args:
        folder: Empty directory for the result.
        shards: Directories of the shards, in order.
        metas: Their manifests.
        listen: Receives the progress.

    Returns:
        Counts by split.

    Raises:
        ArtefactError: The shards differ in splits, sides or padding.
        FormatError: An array is damaged.
    """
    facts = metas[0].facts
    for shard, meta in zip(shards, metas, strict=True):
        same = all(meta.facts[name] == facts[name] for name in ("task", "vocabulary_size", "padding"))
        if not same or list(meta.facts["splits"]) != list(facts["splits"]):
            raise ArtefactError(f"{shards[0]} and {shard} are incompatible", "their splits or sides differ", path=shard)
    sides = list(facts["vocabulary_size"])
    files = [(split, side) for split in facts["splits"] for side in sides]
    for done, (split, side) in enumerate(files, start=1):
        _concatenate_arrays([array_paths(shard, split, side) for shard in shards], array_paths(folder, split, side))
        raw = [raw_text_path(shard, split, side) for shard in shards]
        if all(path.name in meta.files for path, meta in zip(raw, metas, strict=True)):
            _concatenate_files(raw, raw_text_path(folder, split, side))
        listen(Progress("merge", done, len(files), "sides", finished=done == len(files)))
    splits = {split: _add_counts([meta.facts["splits"][split] for meta in metas], sides) for split in facts["splits"]}
    write_data_manifest(
        folder,
        splits=splits,
        vocabulary_size=facts["vocabulary_size"],
        padding=None if facts["padding"] is None else Padding(**facts["padding"]),
        options=metas[0].options,
        inputs=metas[0].inputs,
    )
    return splits


def _concatenate_arrays(parts: Sequence[tuple[Path, Path]], whole: tuple[Path, Path]) -> None:
    """Concatenate the ids and offsets of one side."""
    first = open_array(parts[0][0], (np.uint16, np.int32))
    ids, offsets = NpyWriter(whole[0], first.dtype.type), NpyWriter(whole[1], np.int64)
    try:
        offsets.append(np.zeros(1, np.int64))
        for ids_path, offsets_path in parts:
            before, skip = ids.length, 1
            for block in iterate_blocks(offsets_path, open_array(offsets_path, (np.int64,))):
                offsets.append(before + block[skip:])
                skip = 0
            for block in iterate_blocks(ids_path, open_array(ids_path, (first.dtype.type,))):
                ids.append(block)
    finally:
        ids.close()
        offsets.close()


def _concatenate_files(parts: Sequence[Path], whole: Path) -> None:
    """Concatenate files."""
    with whole.open("wb") as output:
        for path in parts:
            with path.open("rb") as source:
                shutil.copyfileobj(source, output, 1 << 20)


def _add_counts(parts: Sequence[JsonMapping], sides: Sequence[str]) -> SplitCounts:
    """Add the counts of all shards of a split."""
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part["dropped"])
    counts = {
        side: SideCounts(
            sum(part["sentences"] for part in parts),
            sum(part["tokens"][side] for part in parts),
            sum(part["unknown"][side] for part in parts),
            max(part["longest"][side] for part in parts),
        )
        for side in sides
    }
    return SplitCounts(
        counts,
        sum(part["lines"] for part in parts),
        {reason: dropped[reason] for reason in REASONS if dropped[reason]},
        sum(part["truncated"] for part in parts),
        sum(part.get("blank", 0) for part in parts),
    )
