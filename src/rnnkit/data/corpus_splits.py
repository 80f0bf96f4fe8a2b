"""The parts of a corpus: which token files make up train, valid and test, read line by line in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import DataError
from rnnkit.text.blocks import read_line_blocks
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES, TEST, TRAIN, VALID, TokenFile, open_token_file, parse_name


@dataclass(frozen=True)
class CorpusSplit:
    """One part of a corpus.

    Attributes:
        name: The split's name in the data: `train`, `valid`, or the name of a test file without its language.
        split: `train`, `valid` or `test`.
        files: One token file a side, the source first.
    """

    name: str
    split: str
    files: tuple[TokenFile, ...]

    @property
    def samples(self) -> int:
        """Random segmentations of each line of text; 0 means the one best."""
        return self.files[0].samples

    @property
    def features(self) -> bool:
        """Whether some tokens may be features."""
        return self.files[0].features


def read_sentences(part: CorpusSplit) -> Iterator[list[list[str]]]:
    """The tokens of each side, line by line.

    Raises:
        DataError: A file is no text, or the sides have different numbers of lines.
    """
    for blocks in read_line_blocks([file.path for file in part.files], MAX_TOKEN_LINE_BYTES):
        for lines in zip(*(block.decode(MAX_TOKEN_LINE_BYTES) for block in blocks), strict=True):
            yield [line.split() for line in lines]


def find_splits(paths: Sequence[Path], sides: Sequence[str]) -> tuple[list[CorpusSplit], list[str]]:
    """Group token files into parts, by their names.

    Args:
        paths: Token files of a workspace.
        sides: Languages, the source first.

    Returns:
        The parts, train first; and a line about each test file that was left out because a side is missing.

    Raises:
        DataError: A side of train or valid is missing, or there are two files for it.
    """
    parts = []
    for split in (TRAIN, VALID):
        if any(parse_name(path).split == split and parse_name(path).language in sides for path in paths):
            files = [open_token_file(_only(paths, split, language)) for language in sides]
            parts.append(CorpusSplit(split, split, tuple(files)))
    left_out = []
    for stem in sorted({parse_name(path).stem for path in paths if parse_name(path).split == TEST}):
        found = {parse_name(path).language: path for path in paths if parse_name(path).stem == stem}
        missing = [language for language in sides if language not in found]
        if not missing:
            parts.append(CorpusSplit(stem, TEST, tuple(open_token_file(found[language]) for language in sides)))
        elif len(missing) < len(sides):
            left_out.append(f"{stem} is left out: it has no {' and no '.join(missing)} side")
    return parts, left_out


def _only(paths: Sequence[Path], split: str, language: str) -> Path:
    """The one file of a split and language."""
    found = [path for path in paths if (name := parse_name(path)).split == split and name.language == language]
    if not found:
        others = ", ".join(path.name for path in paths if parse_name(path).split == split)
        raise DataError(
            f"there is no token file {split}.{language}",
            f"of the {split} part there is {others}",
            hint=f"`rnnkit tokenize {split}.{language}` makes it",
        )
    if len(found) > 1:
        raise DataError(
            f"two token files could be {split}.{language}: {found[0].name} and {found[1].name}",
            hint=f"say which with --{split}, or remove one",
        )
    return found[0]
