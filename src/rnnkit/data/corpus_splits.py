"""The parts of a corpus: which token files make up train, valid and test, read line by line in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Self

from rnnkit.data.aligned_data import raw_text_path
from rnnkit.data.encoding import EncodedBlock
from rnnkit.errors import ArtefactError, DataError
from rnnkit.text import token_files
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


class RawLineCopier:
    """Copies the raw lines of one part, block by block; of a part without them, nothing.

    A context manager: the files are whole when its block ends.

    Args:
        folder: Where they are copied to.
        part: The part; raw lines are copied if each of its files has some.
        sides: Languages, the source first.
        span: Lines of the files that are aligned, from 0: the first, and the one behind the last. None for all.
    """

    def __init__(
        self, folder: Path, part: CorpusSplit, sides: Sequence[str], span: tuple[int, int] | None = None
    ) -> None:
        self._copies: list[tuple[Path, Iterator[str], IO[bytes]]] = []
        self._opened = ExitStack()
        found = [file.raw for file in part.files if file.raw is not None]
        if len(found) < len(sides):
            return
        start, stop = span or (0, None)
        for path, side in zip(found, sides, strict=True):
            output = self._opened.enter_context(raw_text_path(folder, part.name, side).open("wb"))
            self._copies.append((path, islice(token_files.read_raw_lines(path), start, stop), output))

    def append(self, block: EncodedBlock) -> None:
        """Copy the lines of the sentences that a block has kept.

        Raises:
            ArtefactError: There are fewer raw lines than lines of tokens.
            DataError: As `raw_lines.read`.
        """
        for path, lines, output in self._copies:
            read = list(islice(lines, block.lines))
            if len(read) < block.lines:
                raise ArtefactError(
                    f"{path} has fewer lines than its token file", hint="tokenize the text again with --overwrite"
                )
            output.write(token_files.encode_raw_lines(read[line] for line in block.kept.tolist()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the files."""
        self._opened.close()
