"""The splits of a corpus: the token files of train, valid and test, read in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import DataError
from rnnkit.text.blocks import read_line_blocks
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES, TEST, TRAIN, VALID, TokenFile, open_token_file, parse_name


@dataclass(frozen=True)
class CorpusSplit:
    """A split of a corpus.

    Attributes:
        name: Name in the data: `train`, `valid`, or the name of a test file without its language.
        split: `train`, `valid` or `test`.
        files: One token file per side, the source first.
    """

    name: str
    split: str
    files: tuple[TokenFile, ...]

    @property
    def samples(self) -> int:
        """Sampled segmentations of each line of text; 0 means the single best segmentation."""
        return self.files[0].samples

    @property
    def features(self) -> bool:
        """Whether tokens may be features."""
        return self.files[0].features


def read_sentences(split: CorpusSplit) -> Iterator[list[list[str]]]:
    """Yield the tokens of each side, line by line.

    Raises:
        DataError: A file is not text, or the sides have different numbers of lines.
    """
    for blocks in read_line_blocks([file.path for file in split.files], MAX_TOKEN_LINE_BYTES):
        for lines in zip(*(block.decode(MAX_TOKEN_LINE_BYTES) for block in blocks), strict=True):
            yield [line.split() for line in lines]


def find_splits(paths: Sequence[Path], sides: Sequence[str]) -> tuple[list[CorpusSplit], list[str]]:
    """Group token files into splits by name.

    Args:
        paths: Token files of a workspace.
        sides: Languages, the source first.

    Returns:
        The splits, train first; and a message for each test file left out because a side is missing.

    Raises:
        DataError: A side of train or valid is missing or ambiguous.
    """
    splits = []
    for split in (TRAIN, VALID):
        if any(parse_name(path).split == split and parse_name(path).language in sides for path in paths):
            files = [open_token_file(_find_file(paths, split, language)) for language in sides]
            splits.append(CorpusSplit(split, split, tuple(files)))
    left_out = []
    for stem in sorted({parse_name(path).stem for path in paths if parse_name(path).split == TEST}):
        found = {parse_name(path).language: path for path in paths if parse_name(path).stem == stem}
        missing = [language for language in sides if language not in found]
        if not missing:
            splits.append(CorpusSplit(stem, TEST, tuple(open_token_file(found[language]) for language in sides)))
        elif len(missing) < len(sides):
            left_out.append(f"{stem} is left out: it has no {' and no '.join(missing)} side")
    return splits, left_out


def _find_file(paths: Sequence[Path], split: str, language: str) -> Path:
    """Return the file of a split and language."""
    found = [path for path in paths if (name := parse_name(path)).split == split and name.language == language]
    if not found:
        others = ", ".join(path.name for path in paths if parse_name(path).split == split)
        raise DataError(
            f"there is no token file {split}.{language}",
            f"token files of the split {split}: {others}",
            hint=f"`rnnkit tokenize {split}.{language}` creates it",
        )
    if len(found) > 1:
        raise DataError(
            f"two token files could be {split}.{language}: {found[0].name} and {found[1].name}",
            hint=f"select one with --{split}, or remove the other",
            option=f"--{split}",
        )
    return found[0]
