"""A picture of words: every name is in it, and none hides another."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnkit.events import Event, WarningEvent
from rnnkit.reports import word_map
from rnnkit.reports.projection import Projection
from rnnkit.reports.word_map import plot_word_map

AXES = ("component 1", "component 2")


def crowd(count: int) -> Projection:
    """Points close to each other, and some far away."""
    return Projection(np.random.default_rng(count).standard_t(3, size=(count, 2)), AXES)


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The boxes that names were written into, as left, bottom, right and top."""
    seen: list[Any] = []
    annotate = word_map._annotate

    def watch(*given: Any) -> None:
        seen.append(given[3])
        annotate(*given)

    monkeypatch.setattr(word_map, "_annotate", watch)
    return seen


def test_every_name_is_drawn(tmp_path: Path) -> None:
    words = ["king", "$x^2$", "C++", "a_b", "naïve"]
    plot_word_map(words, crowd(5), "5 words of $x$ files", tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text(encoding="utf-8")
    for label in (*words, "5 words of $x$ files", *AXES):
        assert f">{escape(label)}</text>" in text


def test_names_do_not_hide_each_other(tmp_path: Path, boxes: list[Any]) -> None:
    plot_word_map([f"word{number}" for number in range(60)], crowd(60), "", tmp_path / "map.png")
    boxes_N4 = np.array(boxes)
    shared = [word_map._overlap(box, np.delete(boxes_N4, number, axis=0)) for number, box in enumerate(boxes_N4)]
    whole = (boxes_N4[:, 2] - boxes_N4[:, 0]) * (boxes_N4[:, 3] - boxes_N4[:, 1])
    assert sum(shared) < 0.01 * whole.sum()


def test_points_in_one_place_are_told_apart(tmp_path: Path, boxes: list[Any]) -> None:
    plot_word_map(["one", "two", "three"], Projection(np.zeros((3, 2)), AXES), "", tmp_path / "map.png")
    assert word_map._overlap(boxes[0], np.array(boxes[1:])) == 0


def test_the_same_words_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plot_word_map(["one", "two", "three"], crowd(3), "title", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_axes_that_mean_nothing_have_no_numbers(tmp_path: Path) -> None:
    plot_word_map(["one", "two", "three"], Projection(crowd(3).points_N2, ("", "")), "title", tmp_path / "map.svg")
    texts = re.findall(r">([^<>]+)</text>", (tmp_path / "map.svg").read_text(encoding="utf-8"))
    assert texts == ["one", "two", "three", "title"]


def test_characters_that_no_font_has_are_reported(tmp_path: Path) -> None:
    heard: list[Event] = []
    plot_word_map(["\ue000", "one", "\ue001"], crowd(3), "", tmp_path / "map.png", heard.append)
    assert heard == [WarningEvent(f"{tmp_path / 'map.png'}: no installed font can draw 2 of the characters")]
