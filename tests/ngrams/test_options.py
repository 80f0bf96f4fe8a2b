"""Options out of range are refused with a reason."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rnnkit.errors import ConfigError
from rnnkit.ngrams.options import NgramOptions


@pytest.mark.parametrize(
    ("prune", "thresholds"),
    [((), (0, 0, 0, 0)), ((0, 0, 1), (0, 0, 1, 1)), ((0, 2), (0, 2, 2, 2)), ((0, 0, 1, 3), (0, 0, 1, 3))],
)
def test_the_last_threshold_holds_for_longer_ngrams(prune: tuple[int, ...], thresholds: tuple[int, ...]) -> None:
    assert NgramOptions(order=4, prune=prune).thresholds() == thresholds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (NgramOptions(order=0), "an order of 0 is not possible\n  it lies between 1 and 64"),
        (NgramOptions(order=65), "an order of 65 is not possible\n  it lies between 1 and 64"),
        (NgramOptions(smoothing="witten-bell"), "there is no smoothing 'witten-bell'"),  # type: ignore[arg-type]
        (NgramOptions(add=0), "add-k cannot add 0"),
        (NgramOptions(add=float("nan")), "add-k cannot add nan"),
        (NgramOptions(add=float("inf")), "add-k cannot add inf"),
        (NgramOptions(fallback=(0.5, 2.5, 3)), "fallback discounts (0.5, 2.5, 3) are not possible"),
        (NgramOptions(fallback=(-0.1, 1, 1)), "none is below 0 or above its count"),
        (NgramOptions(prune=(0, 2, 1)), "the thresholds 0 2 1 for pruning fall\n  an n-gram that is kept needs"),
        (
            NgramOptions(prune=(1,)),
            "words cannot be pruned: the first threshold is 1, not 0\n  hint: `rnnkit vocab --min-count`",
        ),
        (NgramOptions(prune=(0, -1)), "the thresholds 0 -1 for pruning fall"),
        (NgramOptions(order=2, prune=(0, 0, 0)), "3 thresholds for pruning, the model has order 2"),
        (NgramOptions(smoothing="add-k", prune=(0, 1)), "add-k is not pruned"),
        (NgramOptions(smoothing="maximum-likelihood", prune=(0, 1)), "maximum-likelihood is not pruned"),
    ],
)
def test_options_out_of_range_are_refused(options: NgramOptions, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options.thresholds()
    assert message in str(caught.value)


def test_options_are_light_to_import() -> None:
    code = "import sys, rnnkit.ngrams.options; print(sorted({'numpy', 'numba', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
