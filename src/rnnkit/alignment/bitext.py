"""A bitext, two texts that are translations of each other sentence by sentence, as id arrays that may be mapped.

The input of `rnnkit align-words` is aligned data or two token files.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import AlignedData, SentenceDataset
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.io.npy import IntArray
from rnnkit.kernels.word_alignment import BitextChunk
from rnnkit.text.special_tokens import EOS
from rnnkit.text.token_files import open_token_file, read_token_lines
from rnnkit.text.vocabulary import Vocabulary

WORD_PAIRS_PER_CHUNK = 1 << 17
"""Target size of a chunk. Chunk boundaries depend on the text alone, never on the number of threads."""


@dataclass(frozen=True)
class BitextSide:
    """One side of a bitext.

    Attributes:
        ids: Tokens of all sentences.
        begin_N: Offset of each sentence in `ids`.
        length_N: Number of words of each sentence, EOS excluded.
        size: Vocabulary size.
    """

    ids: IntArray
    begin_N: NDArray[np.int64]
    length_N: NDArray[np.int64]
    size: int


@dataclass(frozen=True)
class Bitext:
    """Sentence pairs.

    Attributes:
        source: The side that generates.
        target: The side that is generated: each of its words is aligned to one source word or to NULL.
        too_long: Number of pairs that are skipped because a side has too many words.
    """

    source: BitextSide
    target: BitextSide
    too_long: int

    def __len__(self) -> int:
        return len(self.source.length_N)

    @property
    def target_words(self) -> int:
        """Number of target words that are aligned; words opposite an empty sentence are not."""
        return int(self.target.length_N[self.source.length_N > 0].sum())

    def swapped(self) -> Bitext:
        """Return the bitext of the reverse direction."""
        return Bitext(self.target, self.source, self.too_long)

    def shapes(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the distinct pairs of lengths (source, target), (H, 2), and the index of each pair's lengths, (N,)."""
        width = int(self.target.length_N.max(initial=0)) + 1
        keys, shape_N = np.unique(self.source.length_N * width + self.target.length_N, return_inverse=True)
        return np.stack((keys // width, keys % width), axis=1), shape_N.astype(np.int32)

    def chunk_bounds(self) -> NDArray[np.int64]:
        """Return the first sentence of each chunk of about `WORD_PAIRS_PER_CHUNK` word pairs, and the total."""
        work_N = np.cumsum((self.source.length_N + 1) * (self.target.length_N + 1))
        marks = np.arange(WORD_PAIRS_PER_CHUNK, work_N[-1] if len(work_N) else 0, WORD_PAIRS_PER_CHUNK)
        return np.unique(np.concatenate(([0], np.searchsorted(work_N, marks) + 1, [len(self)])))

    def chunk(self, first: int, last: int, shape_N: NDArray[np.int32]) -> BitextChunk:
        """Return the sentence pairs from `first` up to but excluding `last`."""
        sides = (_gather(side, first, last) for side in (self.source, self.target))
        (source_S, source_begin_N1), (target_T, target_begin_N1) = sides
        return BitextChunk(source_S, source_begin_N1, target_T, target_begin_N1, shape_N[first:last])

    def chunks(self, shape_N: NDArray[np.int32]) -> Iterator[BitextChunk]:
        """Iterate over all chunks in order."""
        for first, last in pairwise(self.chunk_bounds().tolist()):
            yield self.chunk(first, last, shape_N)


def make_bitext(source: BitextSide, target: BitextSide, max_length: int) -> Bitext:
    """Pair two sides with the same number of sentences.

    Args:
        source: The source side.
        target: The target side.
        max_length: Pairs with a longer side, in words, are skipped: the HMM's time grows cubically with the length.
    """
    long_N = (source.length_N > max_length) | (target.length_N > max_length)
    kept = [replace(side, length_N=np.where(long_N, 0, side.length_N)) for side in (source, target)]
    return Bitext(kept[0], kept[1], int(long_N.sum()))


def make_side(sentences: SentenceDataset, size: int) -> BitextSide:
    """Make one side of a bitext from one side of aligned data, without padding and EOS.

    Args:
        sentences: The side of the data.
        size: Size of its vocabulary.
    """
    ids = sentences.stream()
    end_N1 = np.concatenate(([0], np.cumsum(sentences.lengths())))
    length_N = np.diff(end_N1)
    nonempty_N = length_N > 0
    has_eos_N = np.zeros(len(length_N), dtype=np.bool_)
    has_eos_N[nonempty_N] = np.asarray(ids[end_N1[1:][nonempty_N] - 1]) == EOS
    return BitextSide(ids, end_N1[:-1], length_N - has_eos_N, size)


def _gather(side: BitextSide, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Copy some sentences into one array; return their words and the offset of each."""
    length_N = side.length_N[first:last]
    begin_N1 = np.concatenate(([0], np.cumsum(length_N)))
    shift_N = side.begin_N[first:last] - begin_N1[:-1]
    position_S = np.arange(begin_N1[-1]) + np.repeat(shift_N, length_N)
    return side.ids[position_S].astype(np.int32), begin_N1


@dataclass(frozen=True)
class ParallelCorpus:
    """Two texts that are translations of each other, line by line.

    Attributes:
        names: Names of the two sides, the source first.
        source: The source side.
        target: The target side.
        tokens: Maps a side, 0 for source and 1 for target, to its tokens by id.
        digests: SHA-256 of the inputs; for aligned data also of its vocabularies.
        joint: Whether both sides have the same vocabulary.
    """

    names: tuple[str, str]
    source: BitextSide
    target: BitextSide
    tokens: Callable[[int], Sequence[str]]
    digests: Mapping[str, str]
    joint: bool = False


def open_aligned_data(
    workspace: Workspace, folder: Path | None, split: str, vocabularies: Sequence[Path]
) -> ParallelCorpus:
    """Open two sides of aligned data.

    Args:
        workspace: Where the data and vocabularies are that are not given.
        folder: Directory of the data.
        split: Split of the data.
        vocabularies: Vocabulary files; read only when tokens are requested.

    Raises:
        DataError: The data or the split does not exist, or the data has one side.
        FormatError: The data is damaged.
        UsageError: The number of vocabularies is wrong.
    """
    data = AlignedData.open(folder or workspace.data)
    if len(data.sides) != 2:
        raise DataError(
            f"{data.folder} has only one side, {data.sides[0]}; word alignment needs two",
            hint="`rnnkit align --source LANG --target LANG` encodes two sides",
            path=data.folder,
        )
    source, target = (make_side(data.side(split, side), data.vocabulary_size(side)) for side in data.sides)
    joint = "vocabulary" in data.meta.inputs
    names = ["vocabulary"] * 2 if joint else [f"vocabulary.{side}" for side in data.sides]
    if vocabularies and len(vocabularies) != len(set(names)):
        raise UsageError(
            f"--vocab has {len(vocabularies)} files, but {data.folder} was encoded with {len(set(names))}",
            option="--vocab",
        )
    paths = [*vocabularies, *vocabularies] or [workspace.vocabulary(None if joint else side) for side in data.sides]

    def tokens(side: int) -> Sequence[str]:
        return _read_vocabulary(data, names[side], paths[side])

    digests = {"data": manifest.sha256(data.folder / manifest.NAME)}
    for side, name in zip(("source", "target"), names, strict=True):
        digests[f"vocabulary.{side}"] = str(data.meta.inputs.get(name))
    return ParallelCorpus((data.sides[0], data.sides[1]), source, target, tokens, digests, joint)


def open_token_file_pair(paths: Sequence[Path]) -> ParallelCorpus:
    """Open two token files, and give every token an id.

    Raises:
        UsageError: The number of files is not two.
        DataError: A file is missing or not valid text, or the numbers of lines differ.
        ArtefactError: A file has changed since it was written.
    """
    if len(paths) != 2:
        raise UsageError(f"word alignment needs two token files, source and target, not {len(paths)}")
    files = [open_token_file(path) for path in paths]
    (source, source_tokens), (target, target_tokens) = (_read_tokens(path) for path in paths)
    if len(source.length_N) != len(target.length_N):
        raise DataError(
            "source and target have different numbers of lines",
            f"{paths[0]} has {len(source.length_N)} lines, {paths[1]} has {len(target.length_N)}",
            hint="a blank line at the end of one file is the usual cause; `rnnkit inspect FILE` counts lines",
            path=paths[1],
        )
    if not len(source.length_N):
        raise DataError(f"{paths[0]} and {paths[1]} are empty", "expected one sentence per line", path=paths[0])
    digests = {"source": files[0].sha256, "target": files[1].sha256}
    names = (files[0].language, files[1].language)
    return ParallelCorpus(names, source, target, lambda side: (source_tokens, target_tokens)[side], digests)


def _read_tokens(path: Path) -> tuple[BitextSide, list[str]]:
    """Read a token file as ids. Also returns the token of each id."""
    id_of: defaultdict[str, int] = defaultdict()
    id_of.default_factory = id_of.__len__  # a new token gets the next id
    ids, ends = array("i"), array("q", [0])
    for line in read_token_lines(path):
        ids.extend(map(id_of.__getitem__, line.split()))
        ends.append(len(ids))
    offsets = np.array(ends, dtype=np.int64)
    side = BitextSide(np.array(ids, dtype=np.int32), offsets[:-1], np.diff(offsets), max(1, len(id_of)))
    return side, list(id_of)


def _read_vocabulary(data: AlignedData, name: str, path: Path) -> Sequence[str]:
    """Read the tokens of a vocabulary. Raises ArtefactError if the data was encoded with another one."""
    digest = manifest.sha256(path)
    if data.meta.inputs.get(name) != digest:
        raise ArtefactError(
            f"{path} does not belong to {data.folder}",
            f"the data was encoded with a {name} of SHA-256 {str(data.meta.inputs.get(name))[:12]}…, "
            f"that of {path} is {digest[:12]}…",
            hint="name the right one: --vocab FILE",
            path=path,
            option="--vocab",
        )
    return Vocabulary.load(path).tokens
