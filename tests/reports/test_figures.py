"""Figures as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.reports.figures import new_figure, save_figure


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}.{ending}" for number in range(2)]
    for number, path in enumerate(paths):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(10**9 * number))  # what the formats would take for now
        figure = new_figure((3, 2))
        figure.add_subplot().plot([1, 3, 2], label="a line")
        save_figure(figure, path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert len(first) > 500


def test_an_ending_that_cannot_be_drawn_leaves_nothing(tmp_path: Path) -> None:
    with raises(DataError, "pdf", "svg", path=tmp_path / "a.doc"):
        save_figure(new_figure((3, 2)), tmp_path / "a.doc")
    assert list(tmp_path.iterdir()) == []
