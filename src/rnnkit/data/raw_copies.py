"""The raw lines of the sentence pairs that `align` keeps, copied from beside the token files into the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Self

from rnnkit.data.aligned import raw_place
from rnnkit.data.alignment import AlignedBlock
from rnnkit.data.parts import Part
from rnnkit.errors import ArtefactError
from rnnkit.text import raw_lines


class RawCopies:
    """Copies the raw lines of one part, block by block; of a part without them, nothing.

    A context manager: the files are whole when its block ends.

    Args:
        folder: Where they are copied to.
        part: The part; raw lines are copied if each of its files has some.
        sides: Languages, the source first.
        span: Lines of the files that are aligned, from 0: the first, and the one behind the last. None for all.
    """

    def __init__(self, folder: Path, part: Part, sides: Sequence[str], span: tuple[int, int] | None = None) -> None:
        self._copies: list[tuple[Path, Iterator[str], IO[bytes]]] = []
        self._opened = ExitStack()
        found = [file.raw for file in part.files if file.raw is not None]
        if len(found) < len(sides):
            return
        start, stop = span or (0, None)
        for path, side in zip(found, sides, strict=True):
            output = self._opened.enter_context(raw_place(folder, part.name, side).open("wb"))
            self._copies.append((path, islice(raw_lines.read(path), start, stop), output))

    def append(self, block: AlignedBlock) -> None:
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
            output.write(raw_lines.encode(read[line] for line in block.kept.tolist()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the files."""
        self._opened.close()
