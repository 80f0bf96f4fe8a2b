"""Options of `score`: what goes together, and how models and their weights are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnkit.config import STDIN
from rnnkit.errors import UsageError
from rnnkit.stages.evaluation.score.options import FLATNESSES, MixtureWeights, ScoreOptions, check, check_model
from rnnkit.stages.usual_options import parse_weighted_model


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("work/lm", "work/lm", None),
        ("work/lm:0.25", "work/lm", 0.25),
        ("work/lm:0", "work/lm", 0.0),
        ("work/lm:1e-2", "work/lm", 0.01),
        ("C:lm", "C:lm", None),
        ("a:b:0.5", "a:b", 0.5),
    ],
)
def test_a_number_behind_the_last_colon_is_a_weight(text: str, path: str, weight: float | None) -> None:
    assert parse_weighted_model(text, "--interpolate") == (Path(path), weight)


def test_the_main_model_has_what_the_others_leave() -> None:
    assert check(ScoreOptions()) == MixtureWeights((), (1.0,))
    mixed = ScoreOptions(interpolate=["a:0.25", "b:0.5"], cache=True, cache_weight=0.125)
    assert check(mixed) == MixtureWeights((Path("a"), Path("b")), (0.125, 0.25, 0.5, 0.125))
    assert check(ScoreOptions(interpolate=["a:0.7", "b:0.2", "c:0.1"])).given[0] == pytest.approx(0, abs=1e-12)
    open_one = ScoreOptions(interpolate=["a:0.25", "b"], tune=Path("t"))
    assert check(open_one) == MixtureWeights((Path("a"), Path("b")), (None, 0.25, None))


def test_flatnesses_that_are_tried() -> None:
    cached = ScoreOptions(cache=True, tune=Path("t"))
    assert check_model(cached, check(cached), neural=True) == FLATNESSES
    assert check_model(cached, check(cached), neural=False) == (0.0,)
    given = replace(cached, cache_flatness=0.3)
    assert check_model(given, check(given), neural=True) == (0.3,)
    plain = ScoreOptions()
    assert check_model(plain, check(plain), neural=True) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cache_weight": 0.1, "cache_size": 7}, "--cache-size and --cache-weight say nothing without --cache\n"),
        ({"dynamic_rate": 0.1}, "--dynamic-rate says nothing without --dynamic\n  hint: add --dynamic"),
        ({"split": "test", "files": [Path("a")]}, "text files and aligned data cannot both be scored"),
        ({"tokens": True, "summary": True}, "--tokens and --summary exclude each other"),
        ({"files": [STDIN], "tune": STDIN, "cache": True}, "standard input is asked for twice"),
        ({"interpolate": ["a:0.7", "b:0.2"], "cache": True, "cache_weight": 0.2},
         "the weights sum to more than 1: 0.7 + 0.2 + 0.2\n"),
        ({"interpolate": ["a:0.7", "b:0.3", "c"]}, "the weights that are given leave nothing for those to be fitted"),
        ({"interpolate": ["a:1.5"]}, "--interpolate a:1.5: a weight lies between 0 and 1, not at 1.5"),
        ({"interpolate": ["a:nan"]}, "--interpolate a:nan: a weight lies between 0 and 1, not at nan"),
        ({"interpolate": [":0.5"]}, "--interpolate :0.5: no model is named"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(replace(ScoreOptions(model=Path("nowhere")), **changes))
    assert str(caught.value).startswith(message)
