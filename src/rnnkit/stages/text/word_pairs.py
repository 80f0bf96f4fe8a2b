"""What `align-words` reads: two sides of aligned data, or two token files, as arrays of ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.io.workspace import Workspace

if TYPE_CHECKING:
    from rnnkit.alignment.bitext import Side
    from rnnkit.data.aligned_data import AlignedData


@dataclass(frozen=True)
class WordPairs:
    """Two texts, sentence by sentence.

    Attributes:
        names: Of the sides, the source first.
        source: The source side.
        target: The target side.
        tokens: Gives the tokens of a side's ids: 0 for the source, 1 for the target.
        digests: sha256 of what was read; of aligned data, of its vocabularies too.
        joint: Both sides have one vocabulary.
    """

    names: tuple[str, str]
    source: Side
    target: Side
    tokens: Callable[[int], Sequence[str]]
    digests: Mapping[str, str]
    joint: bool = False


def open_data(workspace: Workspace, folder: Path | None, split: str, vocabularies: Sequence[Path]) -> WordPairs:
    """Two sides of aligned data.

    Args:
        workspace: Where to look for what is not named.
        folder: Aligned data.
        split: Part of it.
        vocabularies: Files of the vocabularies; they are opened only when tokens are asked for.

    Raises:
        DataError: There is no such data or part, or it has one side.
        FormatError: It is damaged.
        UsageError: The vocabularies do not fit the sides.
    """
    from rnnkit.alignment.bitext import make_side
    from rnnkit.data.aligned_data import AlignedData

    data = AlignedData.open(folder or workspace.data)
    if len(data.sides) != 2:
        raise DataError(
            f"{data.folder} has one side, {data.sides[0]}; words are aligned between two",
            hint="`rnnkit align --source LANG --target LANG` pairs two sides",
        )
    source, target = (make_side(data.side(split, side), data.vocabulary_size(side)) for side in data.sides)
    joint = "vocabulary" in data.meta.inputs
    names = ["vocabulary"] * 2 if joint else [f"vocabulary.{side}" for side in data.sides]
    if vocabularies and len(vocabularies) != len(set(names)):
        raise UsageError(f"--vocab names {len(vocabularies)} files; {data.folder} was made with {len(set(names))}")
    paths = [*vocabularies, *vocabularies] or [workspace.vocabulary(None if joint else side) for side in data.sides]

    def tokens(side: int) -> Sequence[str]:
        return _read_vocabulary(data, names[side], paths[side])

    digests = {"data": manifest.sha256(data.folder / manifest.NAME)}
    for side, name in zip(("source", "target"), names, strict=True):
        digests[f"vocabulary.{side}"] = str(data.meta.inputs.get(name))
    return WordPairs((data.sides[0], data.sides[1]), source, target, tokens, digests, joint)


def open_files(paths: Sequence[Path]) -> WordPairs:
    """Two token files; every token gets an id.

    Raises:
        UsageError: There are not two.
        DataError: One is missing or no text, or they differ in the number of lines.
        ArtefactError: One has changed since it was written.
    """
    from rnnkit.text.token_files import open_token_file

    if len(paths) != 2:
        raise UsageError(
            f"{len(paths)} token files were named, words are aligned between two", "source first, then target"
        )
    files = [open_token_file(path) for path in paths]
    (source, source_tokens), (target, target_tokens) = (_read_tokens(path) for path in paths)
    if len(source.length_N) != len(target.length_N):
        raise DataError(
            "source and target differ in length",
            f"{paths[0]} has {len(source.length_N)} lines, {paths[1]} has {len(target.length_N)}",
            hint="a blank line at the end of one file is the usual cause; `rnnkit inspect FILE` counts lines",
        )
    if not len(source.length_N):
        raise DataError(f"{paths[0]} and {paths[1]} are empty", "one sentence a line is expected")
    digests = {"source": files[0].sha256, "target": files[1].sha256}
    names = (files[0].language, files[1].language)
    return WordPairs(names, source, target, lambda side: (source_tokens, target_tokens)[side], digests)


def _read_tokens(path: Path) -> tuple[Side, list[str]]:
    """A token file as ids, and the token of each id."""
    from array import array
    from collections import defaultdict

    import numpy as np

    from rnnkit.alignment.bitext import Side
    from rnnkit.text.token_files import read_token_lines

    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__  # a new token gets the next number
    ids, ends = array("i"), array("q", [0])
    for line in read_token_lines(path):
        ids.extend(map(numbers.__getitem__, line.split()))
        ends.append(len(ids))
    offsets = np.array(ends, dtype=np.int64)
    side = Side(np.array(ids, dtype=np.int32), offsets[:-1], np.diff(offsets), max(1, len(numbers)))
    return side, list(numbers)


def _read_vocabulary(data: AlignedData, name: str, path: Path) -> Sequence[str]:
    """The tokens of the vocabulary that data was made with. Raises ArtefactError where it is another."""
    from rnnkit.text.vocabulary import Vocabulary

    digest = manifest.sha256(path)
    if data.meta.inputs.get(name) != digest:
        raise ArtefactError(
            f"{path} does not belong to {data.folder}",
            f"the data was made with a {name} of sha256 {str(data.meta.inputs.get(name))[:12]}…, "
            f"{path} has {digest[:12]}…",
            hint="name the right one: --vocab FILE",
        )
    return Vocabulary.load(path).tokens
