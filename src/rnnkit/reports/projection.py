"""Projection of vectors to two dimensions by PCA, t-SNE or UMAP.

PCA is linear: distances in the plane are a lower bound of those in the full space. t-SNE and UMAP preserve
neighborhoods; large distances in their output have no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rnnkit.errors import ConfigError

METHODS = ("pca", "tsne", "umap")

PACKAGES = {"sklearn.manifold": "scikit-learn", "umap": "umap-learn"}
"""Package that provides each optional module."""

PERPLEXITY = 30.0
NEIGHBORS = 15


@dataclass(frozen=True)
class Projection:
    """Points in the plane.

    Attributes:
        points_N2: One point per vector.
        axes: Labels of the axes; empty if they have no meaning.
    """

    points_N2: Any
    axes: tuple[str, str]


def project(vectors_ND: Any, method: str, seed: int) -> Projection:
    """Project vectors to two dimensions.

    Args:
        vectors_ND: At least three vectors, normalized if proximity means cosine similarity.
        method: One of `METHODS`.
        seed: Random seed of t-SNE and UMAP.

    Raises:
        ConfigError: The method needs a package that is not installed.
    """
    if method == "pca":
        return principal_components(vectors_ND)
    if method == "tsne":
        return Projection(_tsne(vectors_ND, seed), ("", ""))
    return Projection(_umap(vectors_ND, seed), ("", ""))


def principal_components(vectors_ND: Any) -> Projection:
    """Project to the first two principal components, with signs such that the largest coordinate is positive."""
    import numpy as np

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


def _tsne(vectors_ND: Any, seed: int) -> Any:
    """t-SNE (van der Maaten and Hinton 2008); the perplexity must be smaller than the number of vectors."""
    perplexity = min(PERPLEXITY, (len(vectors_ND) - 1) / 3)
    learner = _needed("sklearn.manifold", "tsne").TSNE(
        2, perplexity=perplexity, metric="cosine", init="random", random_state=seed
    )
    return learner.fit_transform(vectors_ND)


def _umap(vectors_ND: Any, seed: int) -> Any:
    """UMAP (McInnes et al. 2018, arXiv:1802.03426)."""
    neighbors = min(NEIGHBORS, len(vectors_ND) - 1)
    learner = _needed("umap", "umap").UMAP(
        n_neighbors=neighbors, metric="cosine", init="random", random_state=seed, n_jobs=1
    )
    return learner.fit_transform(vectors_ND)


def _needed(module: str, method: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--method {method} needs {PACKAGES[module]}, which cannot be loaded",
            str(error),
            hint=f"`pip install {PACKAGES[module]}`; --method pca needs no extra package",
            option="--method",
        ) from error
