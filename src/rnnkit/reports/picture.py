"""A figure, and how it becomes a file: whole or absent, and the same bytes for the same numbers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from rnnkit.errors import DataError
from rnnkit.files.atomic import atomic_file

DOTS_PER_INCH = 120

_NO_TIME: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""What the formats would record that depends on the moment or the version."""


def new_figure(inches: tuple[float, float]) -> Any:
    """An empty figure of this width and height, which nothing but itself draws."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, picture: Path) -> None:
    """Write a figure.

    Args:
        figure: From `new_figure`.
        picture: Where it goes; the ending (`.png`, `.svg`, `.pdf`) chooses the format.

    Raises:
        DataError: The ending is unknown.
    """
    import matplotlib

    form = picture.suffix.removeprefix(".") or "png"
    supported = figure.canvas.get_supported_filetypes()
    if form not in supported:
        raise DataError(f"{picture} cannot be drawn", f"endings: {', '.join(sorted(supported))}")
    with (
        atomic_file(picture, "wb") as file,
        matplotlib.rc_context({"svg.hashsalt": "rnnkit"}),
        warnings.catch_warnings(),
    ):
        # Signs that the font lacks are drawn as boxes, which everybody sees.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format=form, metadata=_NO_TIME.get(form))
