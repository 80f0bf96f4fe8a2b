"""Options out of range are refused with a reason."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rnnkit.errors import ConfigError
from rnnkit.ngrams.options import Options


@pytest.mark.parametrize(
    ("prune", "thresholds"),
    [((), (0, 0, 0, 0)), ((0, 0, 1), (0, 0, 1, 1)), ((0, 2), (0, 2, 2, 2)), ((0, 0, 1, 3), (0, 0, 1, 3))],
)
def test_the_last_threshold_holds_for_longer_ngrams(prune: tuple[int, ...], thresholds: tuple[int, ...]) -> None:
    assert Options(order=4, prune=prune).thresholds() == thresholds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(order=0), "an order of 0 is not possible\n  it lies between 1 and 64"),
        (Options(order=65), "an order of 65 is not possible\n  it lies between 1 and 64"),
        (Options(smoothing="witten-bell"), "there is no smoothing 'witten-bell'"),  # type: ignore[arg-type]
        (Options(add=0), "add-k cannot add 0"),
        (Options(add=float("nan")), "add-k cannot add nan"),
        (Options(add=float("inf")), "add-k cannot add inf"),
        (Options(fallback=(0.5, 2.5, 3)), "fallback discounts (0.5, 2.5, 3) are not possible"),
        (Options(fallback=(-0.1, 1, 1)), "none is below 0 or above its count"),
        (Options(prune=(0, 2, 1)), "the thresholds 0 2 1 for pruning fall\n  an n-gram that is kept needs"),
        (
            Options(prune=(1,)),
            "words cannot be pruned: the first threshold is 1, not 0\n  hint: `rnnkit vocab --min-count`",
        ),
        (Options(prune=(0, -1)), "the thresholds 0 -1 for pruning fall"),
        (Options(order=2, prune=(0, 0, 0)), "3 thresholds for pruning, the model has order 2"),
        (Options(smoothing="add-k", prune=(0, 1)), "add-k is not pruned"),
        (Options(smoothing="maximum-likelihood", prune=(0, 1)), "maximum-likelihood is not pruned"),
    ],
)
def test_options_out_of_range_are_refused(options: Options, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        options.thresholds()
    assert message in str(caught.value)


def test_options_are_light_to_import() -> None:
    code = "import sys, rnnkit.ngrams.options; print(sorted({'numpy', 'numba', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
