"""Figures as files: the learning curve and gradient flow, whose table tells the same; columns of any script."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.evaluation.gradient_profile import GradientProfile
from rnnkit.reports.figures import (
    describe_crossing,
    describe_profile,
    display_width,
    format_columns,
    format_gradient_table,
    new_figure,
    plot_gradient_flow,
    plot_learning_curve,
    reported_distances,
    save_figure,
)
from rnnkit.training import checkpoint


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


def test_cells_are_padded_on_the_side_that_is_asked_for() -> None:
    rows = [("section", "asked", ""), ("a", "17", "x"), ("longer name", "3", "y")]
    assert format_columns(rows, right=[1], indent="> ") == [
        "> section      asked",
        "> a               17  x",
        "> longer name      3  y",
    ]


def test_width_is_that_of_a_terminal() -> None:
    assert [display_width(text) for text in ("abc", "東京", "ｱ", "e\u0301", "")] == [3, 4, 1, 1, 0]
    assert format_columns([("東京", "1"), ("a", "2")]) == ["東京  1", "a     2"]


def test_no_rows_are_no_lines() -> None:
    assert format_columns([]) == []


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


FLOWS = {
    "falls": GradientProfile(tuple(0.5**step / 4 for step in range(13)), 5),
    "stays": GradientProfile((2.0,) * 13, 5),
    "stops": GradientProfile((1.0, 0.5, *(0.0,) * 11), 5),
}


@pytest.mark.parametrize(("name", "head"), [("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("f.pdf", b"%PDF")])
def test_the_ending_chooses_the_format_of_a_gradient_plot(tmp_path: Path, name: str, head: bytes) -> None:
    plot_gradient_flow(FLOWS, 0.01, "state", tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(head)


def test_labels_of_a_gradient_plot_say_what_is_drawn(tmp_path: Path) -> None:
    plot_gradient_flow(FLOWS, 0.01, "input", tmp_path / "f.svg")
    text = (tmp_path / "f.svg").read_text(encoding="utf-8")
    for label in (
        "falls: under 1 % at k = 7",
        "stays: not under 1 % within 12 steps",
        "stops: under 1 % at k = 2",
        "steps back, k",
        "norm of the loss gradient w.r.t. the input",
    ):
        assert f">{label}" in text


def test_the_same_gradients_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        plot_gradient_flow(FLOWS, 0.01, "state", tmp_path / name)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_an_unknown_ending_of_a_gradient_plot_lists_the_known(tmp_path: Path) -> None:
    with raises(DataError, "f.doc", "png", "svg"):
        plot_gradient_flow(FLOWS, 0.01, "state", tmp_path / "f.doc")


def test_a_table_has_both_norms_and_shares() -> None:
    lines = format_gradient_table({name: FLOWS[name] for name in ("falls", "stays")}, 0.1)
    assert lines == [
        " k     falls  of k = 0     stays  of k = 0",
        " 0  2.50e-01  1.00e+00  2.00e+00  1.00e+00",
        " 1  1.25e-01  5.00e-01  2.00e+00  1.00e+00",
        " 2  6.25e-02  2.50e-01  2.00e+00  1.00e+00",
        " 5  7.81e-03  3.12e-02  2.00e+00  1.00e+00",
        "10  2.44e-04  9.77e-04  2.00e+00  1.00e+00",
        "12  6.10e-05  2.44e-04  2.00e+00  1.00e+00",
        "",
        "falls  under 10 % at k = 4, each step from k = 1 on leaves 50.0 %",
        "stays  not under 10 % within 12 steps, each step from k = 1 on leaves 100.0 %",
    ]


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        (1, [0, 1]),
        (2, [0, 1, 2]),
        (7, [0, 1, 2, 5, 7]),
        (10, [0, 1, 2, 5, 10]),
        (200, [0, 1, 2, 5, 10, 20, 50, 100, 200]),
    ],
)
def test_telling_steps(steps: int, rows: list[int]) -> None:
    assert reported_distances(steps) == rows


def test_small_shares_are_said_whole() -> None:
    assert describe_crossing(FLOWS["stops"], 0.0005) == "under 0.05 % at k = 2"


def test_words_where_there_is_a_step_only() -> None:
    assert describe_profile(GradientProfile((1.0, 0.5), 3), 0.01) == "not under 1 % within 1 steps"
