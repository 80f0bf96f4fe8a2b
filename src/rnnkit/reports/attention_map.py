"""Attention maps: the weight of each source token for each output token, as pictures or JSON."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rnnkit.errors import escape_line
from rnnkit.events import Listener, null_listener
from rnnkit.io.atomic import atomic_file
from rnnkit.json_types import JsonObject
from rnnkit.reports import figures

EOS_LABEL = "</s>"
MAX_IMAGES = 50
"""Maximum number of pictures, one file per line."""

_INCHES_PER_TOKEN, _MARGIN, _COLOR_BAR = 0.28, 1.6, 0.8
_BOUNDARY_MARKS = str.maketrans("", "", "\uffed\u2581")
"""Marks of tokenizers: the joiner of word tokens, and the word boundary of SentencePiece."""

_SPACE = "\u2423"
"""Label of a token that is nothing but such marks."""


@dataclass(frozen=True)
class AttentionMap:
    """Attention weights of one output.

    Attributes:
        line: Number of the source line.
        source: Source tokens without EOS.
        target: Output tokens without EOS, or the label of a text.
        weights: A row for each output token and EOS, or for the label, with a weight for each source token and EOS.
        is_label: Whether `target` is a label, which no EOS follows.
    """

    line: int
    source: Sequence[str]
    target: Sequence[str]
    weights: Sequence[Sequence[float]]
    is_label: bool = False

    @property
    def rows(self) -> list[str]:
        """What each row of weights belongs to."""
        return [*self.target] if self.is_label else [*self.target, EOS_LABEL]

    def as_dict(self) -> JsonObject:
        """JSON form, with weights rounded to four digits."""
        rows = [[round(weight, 4) for weight in row] for row in self.weights]
        return {
            "line": self.line,
            "source": [*self.source, EOS_LABEL],
            "target": self.rows,
            "attention": rows,
        }


class AttentionMapWriter:
    """Writes attention maps one by one.

    Args:
        path: `NAME.json` for a list of all maps; or a picture, `NAME.png` of the first line, `NAME-2.png` of the
            second, and so on.
        file: The open JSON file; None for pictures.
        listen: Receives a warning about characters that no installed font has.
    """

    def __init__(self, path: Path, file: IO[str] | None, listen: Listener = null_listener) -> None:
        self._path = path
        self._file = file
        self._listen = listen
        self._count = 0
        self._drawn: list[str] = []
        self._left_out = 0

    def add(self, attention: AttentionMap) -> None:
        """Write a map; pictures only of the first `MAX_IMAGES` lines."""
        self._count += 1
        if self._file is not None:
            self._file.write("[\n" if self._count == 1 else ",\n")
            self._file.write(json.dumps(attention.as_dict(), ensure_ascii=False))
        elif attention.line <= MAX_IMAGES:
            name = self._path.name if attention.line == 1 else f"{self._path.stem}-{attention.line}{self._path.suffix}"
            if plot_attention_map(attention, self._path.with_name(name), self._listen):
                self._listen = null_listener  # one warning for all pictures
            self._drawn.append(name)
        else:
            self._left_out += 1

    def summary(self) -> str:
        """Describe how many maps were written, where, and how many were omitted."""
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
        """Close the JSON list."""
        if self._file is not None:
            self._file.write("[]\n" if not self._count else "\n]\n")


@contextmanager
def open_attention_maps(path: Path, listen: Listener = null_listener) -> Iterator[AttentionMapWriter]:
    """Open a writer of attention maps. A JSON file appears only once it is complete.

    Args:
        path: See `AttentionMapWriter`.
        listen: Receives a warning about characters that no installed font has.

    Raises:
        ArtefactError: The file cannot be written.
    """
    if path.suffix != ".json":
        yield AttentionMapWriter(path, None, listen)
        return
    with atomic_file(path) as file:
        writer = AttentionMapWriter(path, file)
        yield writer
        writer.close()


def plot_attention_map(attention: AttentionMap, path: Path, listen: Listener = null_listener) -> bool:
    """Plot a map: source tokens from left to right, output tokens from top to bottom; darker is a higher weight.

    Labels omit the joiner and word-boundary marks of tokenizers.

    Args:
        attention: The map.
        path: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.
        listen: Receives a warning about characters that no installed font has.

    Returns:
        Whether there are such characters.

    Raises:
        DataError: The extension is unknown.
    """
    columns, rows = [*map(_label, attention.source), EOS_LABEL], [*map(_label, attention.rows)]
    size = (_MARGIN + _COLOR_BAR + _INCHES_PER_TOKEN * len(columns), _MARGIN + _INCHES_PER_TOKEN * len(rows))
    with figures.default_style(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = figures.new_figure(size)
        axes = figure.add_subplot()
        image = axes.imshow([list(row) for row in attention.weights], cmap="Greys", vmin=0, vmax=1, aspect="equal")
        figure.colorbar(image, ax=axes, label="attention weight")
        axes.set_title(f"Attention, line {attention.line:,}")
        axes.xaxis.tick_top()
        fonts = figures.installed_fonts()
        axes.set_xticks(range(len(columns)), [""] * len(columns), rotation=90, family=fonts)
        axes.set_yticks(range(len(rows)), [""] * len(rows), family=fonts)
        for axis, tokens in ((axes.xaxis, columns), (axes.yaxis, rows)):
            axis.set_ticklabels([escape_line(token) for token in tokens], parse_math=False)
        figure.draw_without_rendering()  # reports missing glyphs
        figures.save_figure(figure, path)
    return figures.warn_missing_glyphs(path, caught, listen)


def _label(token: str) -> str:
    return token.translate(_BOUNDARY_MARKS) or _SPACE
