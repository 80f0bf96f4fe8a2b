"""A figure, and how it becomes a file: whole or absent, and the same bytes for the same numbers.

Figures have the project's own style. Settings of matplotlib, be they the user's own or those of a `matplotlibrc` in the
current folder, have no effect: the same command draws the same picture everywhere, and needs no TeX.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rnnkit.errors import DataError, escape_line
from rnnkit.io.atomic import atomic_file

DOTS_PER_INCH = 120

_NO_TIME: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""What the formats would record that depends on the moment or the version."""


@contextmanager
def default_style() -> Iterator[Any]:
    """Give the module `matplotlib`, with its own defaults while the block runs; all of a figure is made inside one."""
    import matplotlib

    defaults: dict[Any, Any] = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    with matplotlib.rc_context({**defaults, "svg.hashsalt": "rnnkit"}), warnings.catch_warnings():
        # Signs that the font lacks are drawn as boxes, which everybody sees.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield matplotlib


def new_figure(inches: tuple[float, float]) -> Any:
    """An empty figure of this width and height, which nothing but itself draws."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def set_plain_text(texts: Sequence[Any], words: Sequence[str]) -> None:
    """Let texts of a figure be these words, as they are: `$x$` is not mathematics, and control characters are escaped.

    Args:
        texts: Labels, titles, entries of a legend.
        words: What each is to be.
    """
    for text, word in zip(texts, words, strict=True):
        text.set_parse_math(False)
        text.set_text(escape_line(word))


def save_figure(figure: Any, picture: Path) -> None:
    """Write a figure.

    Args:
        figure: From `new_figure`.
        picture: Where it goes; the ending (`.png`, `.svg`, `.pdf`) chooses the format.

    Raises:
        DataError: The ending is unknown.
    """
    form = picture.suffix.removeprefix(".") or "png"
    supported = figure.canvas.get_supported_filetypes()
    if form not in supported:
        raise DataError(f"{picture} cannot be drawn", f"endings: {', '.join(sorted(supported))}")
    with atomic_file(picture, "wb") as file, default_style():
        figure.savefig(file, format=form, metadata=_NO_TIME.get(form))
