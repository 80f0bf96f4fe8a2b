"""Figures: creation, text, and atomic, reproducible output.

The user's matplotlib settings and a `matplotlibrc` in the current folder have no effect: the same command produces the
same bytes everywhere, and needs no TeX. SVG and PDF keep text as text, so it can be searched and edited.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rnnkit.errors import DataError, escape_line
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.io.atomic import atomic_file

DOTS_PER_INCH = 120

FALLBACK_FONTS = (
    "DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "WenQuanYi Zen Hei",
    "Arial Unicode MS", "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Malgun Gothic", "Noto Sans Devanagari",
    "Noto Naskh Arabic",
)  # fmt: skip
"""Fonts to search for glyphs, in this order; fonts that are not installed are skipped."""

_REPRODUCIBLE_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""Metadata that depends on the time or the version of matplotlib, removed."""


@contextmanager
def default_style() -> Iterator[Any]:
    """Context with matplotlib's default settings; create, fill and save a figure inside one."""
    import matplotlib

    defaults: dict[Any, Any] = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    text: dict[Any, Any] = {"svg.fonttype": "none", "pdf.fonttype": 42}  # text as text; embedded TrueType fonts
    with matplotlib.rc_context({**defaults, **text, "svg.hashsalt": "rnnkit"}), warnings.catch_warnings():
        # A missing glyph is drawn as a box; `missing_glyphs` reports it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield matplotlib


def new_figure(inches: tuple[float, float]) -> Any:
    """Create an empty figure of this width and height, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def installed_fonts() -> list[str]:
    """Return the installed fonts of `FALLBACK_FONTS`, which matplotlib searches in turn for each glyph."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return [name for name in FALLBACK_FONTS if name in installed]


def warn_missing_glyphs(
    picture: Path, caught: Sequence[warnings.WarningMessage], listen: Listener = null_listener
) -> bool:
    """Emit a warning if matplotlib reported characters that no font has; return whether there are any.

    Args:
        picture: The output file, for the message.
        caught: Warnings recorded while the figure was drawn.
        listen: Receives the warning.
    """
    missing = {str(warning.message) for warning in caught if "Glyph" in str(warning.message)}
    if missing:
        listen(WarningEvent(f"{picture}: no installed font can draw {len(missing)} of the characters"))
    return bool(missing)


def set_plain_text(texts: Sequence[Any], words: Sequence[str]) -> None:
    """Set texts of a figure literally: `$x$` is not parsed as math, and control characters are escaped.

    Args:
        texts: Labels, titles, or entries of a legend.
        words: The new text of each.
    """
    for text, word in zip(texts, words, strict=True):
        text.set_parse_math(False)
        text.set_text(escape_line(word))


def save_figure(figure: Any, picture: Path) -> None:
    """Write a figure atomically.

    Args:
        figure: A figure of `new_figure`.
        picture: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.

    Raises:
        DataError: The extension is unknown.
    """
    form = picture.suffix.removeprefix(".") or "png"
    supported = figure.canvas.get_supported_filetypes()
    if form not in supported:
        raise DataError(
            f"{picture}: unknown image format", f"known extensions: {', '.join(sorted(supported))}", path=picture
        )
    with atomic_file(picture, "wb") as file, default_style():
        figure.savefig(file, format=form, metadata=_REPRODUCIBLE_METADATA.get(form))
