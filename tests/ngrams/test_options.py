"""Validation of the options, and their light import."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.raising import raises

from rnnkit.errors import ConfigError
from rnnkit.ngrams.options import NgramOptions


@pytest.mark.parametrize(
    ("prune", "thresholds"),
    [((), (0, 0, 0, 0)), ((0, 0, 1), (0, 0, 1, 1)), ((0, 2), (0, 2, 2, 2)), ((0, 0, 1, 3), (0, 0, 1, 3))],
)
def test_last_threshold_holds_for_higher_orders(prune: tuple[int, ...], thresholds: tuple[int, ...]) -> None:
    assert NgramOptions(order=4, prune=prune).thresholds() == thresholds


@pytest.mark.parametrize(
    ("options", "option", "values"),
    [
        (NgramOptions(order=0), "--order", ["order 0", "1 to 64"]),
        (NgramOptions(order=65), "--order", ["order 65", "1 to 64"]),
        (NgramOptions(smoothing="witten-bell"), "--smoothing", ["'witten-bell'", "add-k"]),  # type: ignore[arg-type]
        (NgramOptions(add=0), "--add-k", ["k = 0"]),
        (NgramOptions(add=float("nan")), "--add-k", ["k = nan"]),
        (NgramOptions(add=float("inf")), "--add-k", ["k = inf"]),
        (NgramOptions(fallback=(0.5, 2.5, 3)), None, ["(0.5, 2.5, 3)"]),
        (NgramOptions(fallback=(-0.1, 1, 1)), None, ["(-0.1, 1, 1)"]),
        (NgramOptions(prune=(0, 2, 1)), "--prune", ["0 2 1"]),
        (NgramOptions(prune=(1,)), "--prune", ["is 1", "must be 0", "rnnkit vocab --min-count"]),
        (NgramOptions(prune=(0, -1)), "--prune", ["0 -1"]),
        (NgramOptions(order=2, prune=(0, 0, 0)), "--prune", ["3 pruning thresholds", "order 2"]),
        (NgramOptions(smoothing="add-k", prune=(0, 1)), "--prune", ["add-k"]),
        (NgramOptions(smoothing="maximum-likelihood", prune=(0, 1)), "--prune", ["maximum-likelihood"]),
    ],
)
def test_invalid_options_are_rejected(options: NgramOptions, option: str | None, values: list[str]) -> None:
    with raises(ConfigError, *values, option=option):
        options.thresholds()


def test_options_are_light_to_import() -> None:
    code = "import sys, rnnkit.ngrams.options; print(sorted({'numpy', 'numba', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
