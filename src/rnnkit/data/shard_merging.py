"""Merge of the aligned data of shards: arrays are concatenated, offsets shifted, counts added."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnkit.data.aligned_data import Padding, SideCounts, SplitCounts, array_paths, raw_text_path, write_data_manifest
from rnnkit.data.sentence_filters import REASONS
from rnnkit.errors import ArtefactError
from rnnkit.events import Listener, Progress
from rnnkit.io.manifest import Manifest
from rnnkit.io.npy import NpyWriter, iterate_blocks, open_array


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
        task=facts["task"],
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


def _add_counts(parts: Sequence[Mapping[str, Any]], sides: Sequence[str]) -> SplitCounts:
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
