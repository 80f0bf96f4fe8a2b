"""Word map: a scatter plot of projected word vectors with labels that avoid each other."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import escape_line
from rnnkit.events import Listener, null_listener
from rnnkit.reports.figures import (
    DOTS_PER_INCH,
    default_style,
    installed_fonts,
    new_figure,
    save_figure,
    warn_missing_glyphs,
)
from rnnkit.reports.projection import Projection

Points = NDArray[np.float64]

INCHES = (8.0, 6.0)
ROOMY = 50
"""Number of words that fit at this size; more words enlarge the picture."""

LARGEST = 2.5
FONT_POINTS = 9
DOT = 3.0
"""Radius of a point with its margin, in pixels."""

DISTANCES = (5.0, 9.0, 15.0, 24.0, 36.0, 52.0)
"""Candidate distances of a label from its point, in pixels, in order of preference."""

LEADER = 12.0
"""Distance in pixels from which a line connects a label with its point."""


def plot_word_map(
    words: Sequence[str], projection: Projection, title: str, picture: Path, listen: Listener = null_listener
) -> None:
    """Plot labeled words.

    Args:
        words: Labels of the points.
        projection: Points, in the same order.
        title: Title of the figure.
        picture: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.
        listen: Receives a warning about characters that no installed font has.

    Raises:
        DataError: The extension is unknown.
    """
    scale = min(LARGEST, max(1.0, math.sqrt(len(words) / ROOMY)))
    with default_style(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = new_figure((INCHES[0] * scale, INCHES[1] * scale))
        axis = figure.add_subplot()
        axis.scatter(*projection.points_N2.T, s=12, color="C0", linewidths=0)
        axis.set_title(escape_line(title), parse_math=False)
        axis.set_xlabel(projection.axes[0])
        axis.set_ylabel(projection.axes[1])
        axis.set_aspect("equal", adjustable="datalim")
        axis.margins(0.08)
        axis.grid(alpha=0.2)
        if not any(projection.axes):
            axis.tick_params(labelbottom=False, labelleft=False, length=0)
        _write_names(figure, axis, [escape_line(word) for word in words], projection.points_N2)
        save_figure(figure, picture)
    warn_missing_glyphs(picture, caught, listen)


def _write_names(figure: Any, axis: Any, words: Sequence[str], points_N2: Points) -> None:
    """Place each label where it overlaps least: beside its point, or farther away with a connecting line."""
    fonts = installed_fonts()
    figure.draw_without_rendering()  # the layout determines the pixel positions of points
    dots_N2 = axis.transData.transform(points_N2)
    frame = axis.get_window_extent()
    covered = np.concatenate([dots_N2 - DOT, dots_N2 + DOT], axis=1)
    for word, dot in zip(words, dots_N2, strict=True):
        name = axis.annotate(
            word, (0, 0), xycoords="figure pixels", family=fonts, size=FONT_POINTS, parse_math=False, in_layout=False
        )
        extent = name.get_window_extent(figure.canvas.get_renderer())
        name.remove()
        distance, box = _best_place(dot, (extent.width, extent.height), covered, frame)
        covered = np.concatenate([covered, box[None]])
        _annotate(axis, word, dot, box, distance, fonts, points_N2[len(covered) - len(dots_N2) - 1])


def _annotate(
    axis: Any, word: str, dot: Points, box: Points, distance: float, fonts: Sequence[str], point: Points
) -> None:
    """Write a label into its box."""
    offset = (box[:2] - dot) * 72 / DOTS_PER_INCH
    leader = {"arrowstyle": "-", "linewidth": 0.5, "color": "0.6", "shrinkA": 0, "shrinkB": 2}
    axis.annotate(
        word, point, offset, textcoords="offset points", ha="left", va="bottom", family=fonts, size=FONT_POINTS,
        parse_math=False, in_layout=False, arrowprops=leader if distance >= LEADER else None,
    )  # fmt: skip


def _best_place(dot: Points, size: tuple[float, float], covered: Points, frame: Any) -> tuple[float, Points]:
    """Return the distance and the box (left, bottom, right, top) with the least overlap, preferring near ones."""
    best, least = (DISTANCES[0], next(_boxes(dot, size, DISTANCES[0]))), math.inf
    for distance in DISTANCES:
        for box in _boxes(dot, size, distance):
            cost = _overlap(box, covered) + _outside(box, frame)
            if cost < least:
                best, least = (distance, box), cost
        if least == 0:
            break
    return best


def _boxes(dot: Points, size: tuple[float, float], distance: float) -> Iterator[Points]:
    """Yield candidate boxes around a point: right, left, above, below, then the diagonals."""
    wide, high = size
    slant = distance * 0.7
    for x, y in (
        (distance, -high / 2),
        (-distance - wide, -high / 2),
        (-wide / 2, distance),
        (-wide / 2, -distance - high),
        (slant, slant),
        (-slant - wide, slant),
        (slant, -slant - high),
        (-slant - wide, -slant - high),
    ):
        yield np.array([dot[0] + x, dot[1] + y, dot[0] + x + wide, dot[1] + y + high])


def _overlap(box: Points, covered: Points) -> float:
    """Compute the area that a box shares with others, in square pixels."""
    wide = np.minimum(box[2], covered[:, 2]) - np.maximum(box[0], covered[:, 0])
    high = np.minimum(box[3], covered[:, 3]) - np.maximum(box[1], covered[:, 1])
    return float((wide.clip(0) * high.clip(0)).sum())


def _outside(box: Points, frame: Any) -> float:
    """Compute the area of a box outside the frame, in square pixels."""
    inside_wide = min(box[2], frame.x1) - max(box[0], frame.x0)
    inside_high = min(box[3], frame.y1) - max(box[1], frame.y0)
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return float(whole - max(0.0, inside_wide) * max(0.0, inside_high))
