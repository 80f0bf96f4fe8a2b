"""Pictures of label evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.evaluation.calibration import measure_calibration
from rnnkit.evaluation.label_metrics import Confusion
from rnnkit.reports.label_figures import OTHERS, dense_matrix, plot_confusion_matrix, plot_reliability

CELLS = [Confusion("$x$", "$x$", 1_500), Confusion("$x$", "b\x1b", 2), Confusion("b\x1b", "b\x1b", 40)]


def test_confusion_matrix(tmp_path: Path) -> None:
    pictures = [tmp_path / name for name in ("one.svg", "other.svg")]
    for picture in pictures:
        plot_confusion_matrix(CELLS, picture)
    text = pictures[0].read_text(encoding="utf-8")
    assert text == pictures[1].read_text(encoding="utf-8")
    assert all(part in text for part in ("$x$", r"b\x1b", "1,500", "reference", "prediction"))
    assert "\x1b" not in text


def test_rare_labels_are_joined() -> None:
    cells = [Confusion(f"l{n}", f"l{max(0, n - 1)}", n + 1) for n in range(6)]
    labels, count_CC = dense_matrix(cells, limit=4)
    assert labels == ["l2", "l3", "l4", OTHERS]
    assert count_CC.sum() == sum(cell.count for cell in cells)
    assert count_CC.tolist() == [[0, 0, 0, 3], [4, 0, 0, 0], [0, 5, 0, 0], [0, 0, 6, 1 + 2]]
    assert dense_matrix(cells)[0] == [f"l{n}" for n in range(6)]


@pytest.mark.parametrize("name", ["r.png", "r.pdf"])
def test_reliability(tmp_path: Path, name: str) -> None:
    calibration = measure_calibration(np.array([0.1, 0.7, 1.0]), np.array([False, True, True]))
    plot_reliability(calibration, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith((b"\x89PNG", b"%PDF"))


def test_unknown_extension(tmp_path: Path) -> None:
    with raises(DataError, "svg", path=tmp_path / "x.doc"):
        plot_confusion_matrix(CELLS, tmp_path / "x.doc")
