"""Attention maps: for each output token, how much it looked at each source token; as a picture or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rnnkit.errors import escape_line
from rnnkit.io.atomic import atomic_file
from rnnkit.reports import figures

EOS_LABEL = "</s>"
MAX_IMAGES = 50
"""Lines that are drawn, each in a file of its own."""

_INCHES_PER_TOKEN, _MARGIN = 0.28, 1.6


@dataclass(frozen=True)
class AttentionMap:
    """Where one output looked.

    Attributes:
        line: Number of the source line.
        source: Source tokens, end symbol left out.
        target: Output tokens, end symbol left out.
        weights: For each output token and the end symbol, a weight for each source token and the end symbol.
    """

    line: int
    source: Sequence[str]
    target: Sequence[str]
    weights: Sequence[Sequence[float]]

    def as_dict(self) -> dict[str, Any]:
        """The map as JSON, weights to four digits."""
        rows = [[round(weight, 4) for weight in row] for row in self.weights]
        return {
            "line": self.line,
            "source": [*self.source, EOS_LABEL],
            "target": [*self.target, EOS_LABEL],
            "attention": rows,
        }


class AttentionMapWriter:
    """Maps as they come, written to where they belong.

    Args:
        path: `NAME.json`, one list of all maps, or a picture: `NAME.png` for the first line's, `NAME-2.png` and so on
            for the others.
        file: The open JSON file; None for pictures.
    """

    def __init__(self, path: Path, file: IO[str] | None) -> None:
        self._path = path
        self._file = file
        self._count = 0
        self._drawn: list[str] = []
        self._left_out = 0

    def add(self, one: AttentionMap) -> None:
        """Write a map; pictures only of the first `MOST_PICTURES` lines."""
        self._count += 1
        if self._file is not None:
            self._file.write("[\n" if self._count == 1 else ",\n")
            self._file.write(json.dumps(one.as_dict(), ensure_ascii=False))
        elif one.line <= MAX_IMAGES:
            name = self._path.name if one.line == 1 else f"{self._path.stem}-{one.line}{self._path.suffix}"
            plot_attention_map(one, self._path.with_name(name))
            self._drawn.append(name)
        else:
            self._left_out += 1

    def summary(self) -> str:
        """How many maps were written, where, and how many were not."""
        if self._file is not None:
            return f"{self._path}: attention of {self._count:,} output{'' if self._count == 1 else 's'}"
        if not self._drawn:
            return f"{self._path}: no picture of attention, as no line was translated"
        first, last = self._path.with_name(self._drawn[0]), self._drawn[-1]
        what = f"{first}: 1 picture of attention"
        if len(self._drawn) > 1:
            what = f"{first} to {last}: {len(self._drawn)} pictures of attention"
        if not self._left_out:
            return what
        lines = "1 line has none" if self._left_out == 1 else f"{self._left_out:,} lines have none"
        return f"{what}, of the first {MAX_IMAGES} lines; {lines}, NAME.json holds the maps of all"

    def close(self) -> None:
        """End the list."""
        if self._file is not None:
            self._file.write("[]\n" if not self._count else "\n]\n")


@contextmanager
def open_attention_maps(path: Path) -> Iterator[AttentionMapWriter]:
    """An album whose JSON is there only when it is whole. Raises ArtefactError where it cannot be written."""
    if path.suffix != ".json":
        yield AttentionMapWriter(path, None)
        return
    with atomic_file(path) as file:
        album = AttentionMapWriter(path, file)
        yield album
        album.close()


def plot_attention_map(one: AttentionMap, path: Path) -> None:
    """Draw a map: source tokens from left to right, output tokens downwards, darker where the weight is greater.

    Raises:
        DataError: The ending of the file is unknown.
    """
    columns, rows = [*one.source, EOS_LABEL], [*one.target, EOS_LABEL]
    size = (_MARGIN + _INCHES_PER_TOKEN * len(columns), _MARGIN + _INCHES_PER_TOKEN * len(rows))
    with figures.default_style():
        figure = figures.new_figure(size)
        axes = figure.add_subplot()
        axes.imshow([list(row) for row in one.weights], cmap="Greys", vmin=0, vmax=1, aspect="equal")
        axes.xaxis.tick_top()
        axes.set_xticks(range(len(columns)), [""] * len(columns), rotation=90)
        axes.set_yticks(range(len(rows)), [""] * len(rows))
        for axis, tokens in ((axes.xaxis, columns), (axes.yaxis, rows)):
            axis.set_ticklabels([escape_line(token) for token in tokens], parse_math=False)
        figures.save_figure(figure, path)
