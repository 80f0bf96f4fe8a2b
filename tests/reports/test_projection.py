"""Principal components against their definition; the other methods where they are installed."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.errors import ConfigError
from rnnkit.reports.projection import PACKAGES, principal_components, project


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
def test_vectors_that_need_no_plane(vectors_ND: object) -> None:
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
