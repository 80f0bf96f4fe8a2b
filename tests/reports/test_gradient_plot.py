"""Gradient flow for people: a picture whose legend says where it falls, and a table of the telling steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.evaluation.gradient_profile import GradientProfile
from rnnkit.reports.gradient_plot import (
    describe_crossing,
    describe_profile,
    format_gradient_table,
    plot_gradient_flow,
    reported_distances,
)

FLOWS = {
    "falls": GradientProfile(tuple(0.5**step / 4 for step in range(13)), 5),
    "stays": GradientProfile((2.0,) * 13, 5),
    "stops": GradientProfile((1.0, 0.5, *(0.0,) * 11), 5),
}


@pytest.mark.parametrize(("name", "head"), [("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("f.pdf", b"%PDF")])
def test_the_ending_chooses_the_format(tmp_path: Path, name: str, head: bytes) -> None:
    plot_gradient_flow(FLOWS, 0.01, "state", tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(head)


def test_labels_say_what_is_drawn(tmp_path: Path) -> None:
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


def test_the_same_numbers_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        plot_gradient_flow(FLOWS, 0.01, "state", tmp_path / name)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
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
