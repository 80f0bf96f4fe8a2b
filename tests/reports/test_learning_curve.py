"""The learning curve: a picture of what was measured, in the format that its name asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.reports.learning_curve import plot_learning_curve
from rnnkit.training import checkpoint


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    path = tmp_path / checkpoint.METRICS_FILE
    for step in (50, 100):
        checkpoint.append_metrics(path, {"step": step, "nll": 300 / step})
        checkpoint.append_metrics(path, {"step": step, "validation": {"loss": 250 / step, "bleu": step / 5}})
    return path


STARTS = {"curve.png": b"\x89PNG", "curve.svg": b"<?xml", "curve.pdf": b"%PDF"}


@pytest.mark.parametrize("name", STARTS)
def test_the_ending_chooses_the_format(measured: Path, name: str) -> None:
    picture = measured.with_name(name)
    plot_learning_curve(measured, picture)
    assert picture.read_bytes().startswith(STARTS[name])


def test_the_same_numbers_give_the_same_picture(measured: Path) -> None:
    first, second = (measured.with_name(f"{number}.png") for number in (1, 2))
    plot_learning_curve(measured, first)
    plot_learning_curve(measured, second)
    assert first.read_bytes() == second.read_bytes()


def test_labels_say_what_is_drawn(measured: Path) -> None:
    picture = measured.with_name("curve.svg")
    plot_learning_curve(measured, picture)
    text = picture.read_text(encoding="utf-8")
    for label in ("training loss", "validation loss", "validation BLEU", "step", "negative log-likelihood"):
        assert f">{label}" in text


def test_an_unknown_ending_lists_the_known_ones(measured: Path) -> None:
    with raises(DataError, "png", "svg"):
        plot_learning_curve(measured, measured.with_name("curve.doc"))
    assert not measured.with_name("curve.doc").exists()


def test_nothing_measured_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no measurements yet"):
        plot_learning_curve(tmp_path / checkpoint.METRICS_FILE, tmp_path / "curve.png")
