"""Word map: word vectors projected to two dimensions by PCA, t-SNE or UMAP, as a scatter plot with labels.

PCA is linear: distances in the plane are a lower bound of those in the full space. t-SNE and UMAP preserve
neighborhoods; large distances in their output have no meaning. Labels avoid each other and the points.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import ConfigError, escape_line
from rnnkit.events import Listener, null_listener
from rnnkit.reports.figures import (
    DOTS_PER_INCH,
    default_style,
    installed_fonts,
    new_figure,
    save_figure,
    warn_missing_glyphs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

PACKAGES = {"sklearn.manifold": "scikit-learn", "umap": "umap-learn"}
"""Package that provides each optional module."""

PERPLEXITY = 30.0
NEIGHBORS = 15

Vectors = NDArray[np.floating]
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


@dataclass(frozen=True)
class Projection:
    """Points in the plane.

    Attributes:
        points_N2: One point per vector.
        axes: Labels of the axes; empty if they have no meaning.
    """

    points_N2: Points
    axes: tuple[str, str]


class LabelPlace(NamedTuple):
    """Where a label is written.

    Attributes:
        distance: Distance from the point in pixels.
        box: Left, bottom, right and top in pixels.
    """

    distance: float
    box: Points


def project(vectors_ND: Vectors, method: str, seed: int) -> Projection:
    """Project vectors to two dimensions.

    Args:
        vectors_ND: At least three vectors, normalized if proximity means cosine similarity.
        method: `pca`, `tsne` or `umap`.
        seed: Random seed of t-SNE and UMAP.

    Raises:
        ConfigError: The method needs a package that is not installed.
    """
    if method == "pca":
        return principal_components(vectors_ND)
    if method == "tsne":
        return Projection(_tsne(vectors_ND, seed), ("", ""))
    return Projection(_umap(vectors_ND, seed), ("", ""))


def principal_components(vectors_ND: Vectors) -> Projection:
    """Project to the first two principal components, with signs such that the largest coordinate is positive."""
    centred_ND = np.asarray(vectors_ND, dtype=np.float64)
    centred_ND = centred_ND - centred_ND.mean(axis=0)
    left_NK, lengths_K, _ = np.linalg.svd(centred_ND, full_matrices=False)
    points_N2 = np.zeros((len(centred_ND), 2))
    points_N2[:, : min(2, len(lengths_K))] = left_NK[:, :2] * lengths_K[:2]
    strongest = np.abs(points_N2).argmax(axis=0)
    points_N2 *= np.where(points_N2[strongest, [0, 1]] < 0, -1, 1)
    whole = float((lengths_K**2).sum())
    shares = [100 * float(part) / whole if whole else 0.0 for part in (points_N2**2).sum(axis=0)]
    return Projection(
        points_N2, (f"component 1, {shares[0]:.0f} % of variance", f"component 2, {shares[1]:.0f} % of variance")
    )


def _tsne(vectors_ND: Vectors, seed: int) -> Points:
    """t-SNE (van der Maaten and Hinton 2008); the perplexity must be smaller than the number of vectors."""
    perplexity = min(PERPLEXITY, (len(vectors_ND) - 1) / 3)
    learner = _needed("sklearn.manifold", "tsne").TSNE(
        2, perplexity=perplexity, metric="cosine", init="random", random_state=seed
    )
    points_N2: Points = learner.fit_transform(vectors_ND)
    return points_N2


def _umap(vectors_ND: Vectors, seed: int) -> Points:
    """UMAP (McInnes et al. 2018, arXiv:1802.03426)."""
    neighbors = min(NEIGHBORS, len(vectors_ND) - 1)
    learner = _needed("umap", "umap").UMAP(
        n_neighbors=neighbors, metric="cosine", init="random", random_state=seed, n_jobs=1
    )
    points_N2: Points = learner.fit_transform(vectors_ND)
    return points_N2


def _needed(module: str, method: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--method {method} needs {PACKAGES[module]}, which cannot be loaded",
            str(error),
            hint=f"`pip install {PACKAGES[module]}`; --method pca needs no extra package",
            option="--method",
        ) from error


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
        axis.scatter(projection.points_N2[:, 0], projection.points_N2[:, 1], s=12, color="C0", linewidths=0)
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


def _write_names(figure: Figure, axis: Axes, words: Sequence[str], points_N2: Points) -> None:
    """Place each label where it overlaps least: beside its point, or farther away with a connecting line."""
    fonts = installed_fonts()
    figure.draw_without_rendering()  # the layout determines the pixel positions of points
    dots_N2 = axis.transData.transform(points_N2)
    frame = axis.get_window_extent()
    covered = np.concatenate([dots_N2 - DOT, dots_N2 + DOT], axis=1)
    for word, point, dot in zip(words, points_N2, dots_N2, strict=True):
        name = axis.annotate(
            word, (0, 0), xycoords="figure pixels", family=fonts, size=FONT_POINTS, parse_math=False, in_layout=False
        )
        extent = name.get_window_extent()
        name.remove()
        place = _best_place(dot, (extent.width, extent.height), covered, frame)
        covered = np.concatenate([covered, place.box[None]])
        _annotate(axis, word, point, dot, place, fonts)


def _annotate(axis: Axes, word: str, point: Points, dot: Points, place: LabelPlace, fonts: Sequence[str]) -> None:
    """Write the label of a point, at pixel position `dot`, into its box."""
    offset = (place.box[:2] - dot) * 72 / DOTS_PER_INCH
    leader = {"arrowstyle": "-", "linewidth": 0.5, "color": "0.6", "shrinkA": 0, "shrinkB": 2}
    axis.annotate(
        word, tuple(point), tuple(offset), textcoords="offset points", ha="left", va="bottom", family=fonts,
        size=FONT_POINTS, parse_math=False, in_layout=False, arrowprops=leader if place.distance >= LEADER else None,
    )  # fmt: skip


def _best_place(dot: Points, size: tuple[float, float], covered: Points, frame: Bbox) -> LabelPlace:
    """Return the place with the least overlap, preferring near ones."""
    best, least = LabelPlace(DISTANCES[0], next(_boxes(dot, size, DISTANCES[0]))), math.inf
    for distance in DISTANCES:
        for box in _boxes(dot, size, distance):
            cost = _overlap(box, covered) + _outside(box, frame)
            if cost < least:
                best, least = LabelPlace(distance, box), cost
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


def _outside(box: Points, frame: Bbox) -> float:
    """Compute the area of a box outside the frame, in square pixels."""
    inside_wide = min(box[2], frame.x1) - max(box[0], frame.x0)
    inside_high = min(box[3], frame.y1) - max(box[1], frame.y0)
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return float(whole - max(0.0, inside_wide) * max(0.0, inside_high))
