"""Principal components against their definition; a picture of words in which every name is seen, and none hidden."""

from __future__ import annotations

import importlib.util
import re
import sys
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.errors import ConfigError
from rnnkit.events import Event, WarningEvent
from rnnkit.reports import word_map
from rnnkit.reports.word_map import PACKAGES, Projection, plot_word_map, principal_components, project


@given(st.integers(0, 1000), st.integers(3, 11), st.integers(2, 7))
def test_components_are_eigenvectors_of_the_covariance(seed: int, count: int, dimension: int) -> None:
    vectors_ND = np.random.default_rng(seed).normal(size=(count, dimension))
    points_N2 = principal_components(vectors_ND).points_N2
    strongest = np.sort(np.linalg.eigvalsh(np.cov(vectors_ND.T)))[::-1][:2]
    np.testing.assert_allclose(np.cov(points_N2.T), np.diag(strongest), atol=1e-9)


def test_a_plane_is_laid_out_as_it_is() -> None:
    points_N2 = np.array([[4, 0], [-4, 0], [0, 2], [0, -2]])
    turned_ND = points_N2 @ np.linalg.qr(np.random.default_rng(3).normal(size=(5, 2)))[0].T
    found = principal_components(turned_ND)
    between = np.linalg.norm(points_N2[:, None] - points_N2, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found.points_N2[:, None] - found.points_N2, axis=-1), between)
    assert found.axes == ("component 1, 80 % of variance", "component 2, 20 % of variance")


def test_signs_do_not_depend_on_chance() -> None:
    vectors_ND = np.random.default_rng(5).normal(size=(7, 3))
    points_N2 = principal_components(vectors_ND).points_N2
    assert (points_N2[np.abs(points_N2).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize("vectors_ND", [np.ones((3, 5)), np.array([[1.0], [2.0], [4.0]])])
def test_vectors_that_need_no_plane(vectors_ND: NDArray[np.float64]) -> None:
    found = principal_components(vectors_ND)
    assert found.points_N2.shape == (3, 2)
    assert not found.points_N2[:, 1].any()


@pytest.mark.parametrize(("method", "module"), [("tsne", "sklearn.manifold"), ("umap", "umap")])
def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, method: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as caught:
        project(np.eye(3), method, seed=1)
    first, _, hint = str(caught.value).splitlines()
    assert first == f"--method {method} needs {PACKAGES[module]}, which cannot be loaded"
    assert hint == f"  hint: `pip install {PACKAGES[module]}`; --method pca needs no extra package"


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed")
def test_t_sne_of_few_vectors() -> None:
    vectors_ND = np.random.default_rng(7).normal(size=(5, 3)).astype(np.float32)
    found = project(vectors_ND, "tsne", seed=3)
    assert found.points_N2.shape == (5, 2)
    np.testing.assert_array_equal(found.points_N2, project(vectors_ND, "tsne", seed=3).points_N2)


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
        seen.append(given[4].box)
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
