"""Figures of label evaluation: the confusion matrix as a heat map, and the reliability diagram."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import escape_line
from rnnkit.events import Listener, null_listener
from rnnkit.reports.figures import default_style, installed_fonts, new_figure, save_figure, warn_missing_glyphs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rnnkit.evaluation.calibration import Calibration
    from rnnkit.evaluation.label_metrics import Confusion

MAX_LABELS = 60
"""Maximum number of labels in a confusion matrix; the less frequent ones are joined."""

OTHERS = "(others)"

MAX_NUMBERED = 25
"""Maximum number of labels up to which each cell shows its count."""

_INCHES_PER_LABEL, _MARGIN, _COLOR_BAR = 0.42, 2.0, 0.8
_SQUARE = (5.0, 5.0)
_DARK = 0.6
"""Share above which a cell is dark, and its count white."""


def plot_confusion_matrix(confusions: Sequence[Confusion], picture: Path, listen: Listener = null_listener) -> None:
    """Plot a confusion matrix: rows are labels of the reference, columns predictions, shades the shares of a row.

    Args:
        confusions: Cells that are not zero.
        picture: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.
        listen: Receives a warning about characters that no installed font has.

    Raises:
        DataError: The extension is unknown.
    """
    labels, count_CC = dense_matrix(confusions)
    size = _MARGIN + _INCHES_PER_LABEL * len(labels)
    with default_style(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = new_figure((size + _COLOR_BAR, size))
        axes = figure.add_subplot()
        share_CC = count_CC / np.maximum(count_CC.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(share_CC, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        figure.colorbar(image, ax=axes, label="share of the label in the reference")
        axes.set_xlabel("prediction")
        axes.set_ylabel("reference")
        _set_labels(axes, labels)
        if len(labels) <= MAX_NUMBERED:
            _write_counts(axes, count_CC, share_CC)
        figure.draw_without_rendering()  # reports missing glyphs
        save_figure(figure, picture)
    warn_missing_glyphs(picture, caught, listen)


def dense_matrix(confusions: Sequence[Confusion], limit: int = MAX_LABELS) -> tuple[list[str], NDArray[np.int64]]:
    """Return labels and counts of a confusion matrix.

    Args:
        confusions: Cells that are not zero.
        limit: Maximum number of labels. If there are more, the less frequent ones are joined, in the last row and
            column.
    """
    frequency: dict[str, int] = {}
    for cell in confusions:
        for label in (cell.reference, cell.hypothesis):
            frequency[label] = frequency.get(label, 0) + cell.count
    labels = sorted(frequency)
    if len(labels) > limit:
        kept = sorted(labels, key=lambda label: -frequency[label])[: limit - 1]
        labels = [*sorted(kept), OTHERS]
    index = {label: number for number, label in enumerate(labels)}
    count_CC = np.zeros((len(labels), len(labels)), dtype=np.int64)
    last = len(labels) - 1
    for cell in confusions:
        count_CC[index.get(cell.reference, last), index.get(cell.hypothesis, last)] += cell.count
    return labels, count_CC


def _set_labels(axes: Axes, labels: Sequence[str]) -> None:
    fonts = installed_fonts()
    axes.set_xticks(range(len(labels)), [""] * len(labels), rotation=90, family=fonts)
    axes.set_yticks(range(len(labels)), [""] * len(labels), family=fonts)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticklabels([escape_line(label) for label in labels], parse_math=False)


def _write_counts(axes: Axes, count_CC: NDArray[np.int64], share_CC: NDArray[np.float64]) -> None:
    for row, column in np.argwhere(count_CC):
        color = "white" if share_CC[row, column] > _DARK else "black"
        text = f"{count_CC[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=max(4, 9 - len(text) / 2))


def plot_reliability(calibration: Calibration, picture: Path) -> None:
    """Plot a reliability diagram: the accuracy of each bin over its mean probability, and the number of predictions.

    Args:
        calibration: The calibration.
        picture: Output file; its extension (`.png`, `.svg`, `.pdf`) selects the format.

    Raises:
        DataError: The extension is unknown.
    """
    filled = [each for each in calibration.bins if each.count]
    total = sum(each.count for each in filled)
    with default_style():
        figure = new_figure(_SQUARE)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1, label="perfectly calibrated")
        upper.plot(
            [each.probability for each in filled],
            [each.accuracy for each in filled],
            color="C0",
            marker="o",
            label=f"predictions, calibration error {calibration.error:.4f}",
        )
        upper.set_ylabel("accuracy")
        upper.set_xlim(0, 1)
        upper.set_ylim(0, 1)
        upper.grid(alpha=0.3)
        upper.legend(loc="upper left")
        widths = [each.high - each.low for each in filled]
        lower.bar([each.low for each in filled], [each.count / total for each in filled], widths, align="edge")
        lower.set_xlabel("probability of the predicted label")
        lower.set_ylabel("share")
        save_figure(figure, picture)
