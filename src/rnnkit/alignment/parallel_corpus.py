"""Input of `rnnkit align-words`: a parallel corpus as arrays of ids, from aligned data or from two token files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.io.workspace import Workspace

if TYPE_CHECKING:
    from rnnkit.alignment.bitext import BitextSide
    from rnnkit.data.aligned_data import AlignedData


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
    from rnnkit.alignment.bitext import make_side
    from rnnkit.data.aligned_data import AlignedData

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
    from rnnkit.text.token_files import open_token_file

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
    from array import array
    from collections import defaultdict

    import numpy as np

    from rnnkit.alignment.bitext import BitextSide
    from rnnkit.text.token_files import read_token_lines

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
    from rnnkit.text.vocabulary import Vocabulary

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
