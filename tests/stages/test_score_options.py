"""Options of `score`: which can be combined, and how models and their weights are parsed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.errors import UsageError
from rnnkit.options.declare import STDIN
from rnnkit.stages.evaluation.score_options import FLATNESSES, MixtureWeights, ScoreOptions, check, check_model
from rnnkit.stages.shared_options import parse_weighted_model


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
def test_number_after_last_colon_is_a_weight(text: str, path: str, weight: float | None) -> None:
    assert parse_weighted_model(text, "--interpolate") == (Path(path), weight)


def test_main_model_gets_the_remaining_weight() -> None:
    assert check(ScoreOptions()) == MixtureWeights((), (1.0,))
    mixed = ScoreOptions(interpolate=["a:0.25", "b:0.5"], cache=True, cache_weight=0.125)
    assert check(mixed) == MixtureWeights((Path("a"), Path("b")), (0.125, 0.25, 0.5, 0.125))
    assert check(ScoreOptions(interpolate=["a:0.7", "b:0.2", "c:0.1"])).given[0] == pytest.approx(0, abs=1e-12)
    open_one = ScoreOptions(interpolate=["a:0.25", "b"], tune=Path("t"))
    assert check(open_one) == MixtureWeights((Path("a"), Path("b")), (None, 0.25, None))


def test_candidate_flatnesses() -> None:
    cached = ScoreOptions(cache=True, tune=Path("t"))
    assert check_model(cached, check(cached), neural=True) == FLATNESSES
    assert check_model(cached, check(cached), neural=False) == (0.0,)
    given = replace(cached, cache_flatness=0.3)
    assert check_model(given, check(given), neural=True) == (0.3,)
    plain = ScoreOptions()
    assert check_model(plain, check(plain), neural=True) == ()


@pytest.mark.parametrize(
    ("changes", "option", "values"),
    [
        ({"cache_weight": 0.1, "cache_size": 7}, "--cache-size", ["--cache-weight", "without --cache\n"]),
        ({"dynamic_rate": 0.1}, "--dynamic-rate", ["without --dynamic\n", "hint: add --dynamic"]),
        ({"split": "test", "files": [Path("a")]}, "--data", ["--split"]),
        ({"tokens": True, "summary": True}, "--tokens", ["--summary"]),
        ({"files": [STDIN], "tune": STDIN, "cache": True}, None, ["standard input"]),
        ({"interpolate": ["a:0.7", "b:0.2"], "cache": True, "cache_weight": 0.2}, "--interpolate", ["0.7 + 0.2 + 0.2"]),
        ({"interpolate": ["a:0.7", "b:0.3", "c"]}, "--interpolate", ["1"]),
        ({"interpolate": ["a:1.5"]}, "--interpolate", ["a:1.5", "0 and 1", "got 1.5"]),
        ({"interpolate": ["a:nan"]}, "--interpolate", ["a:nan", "0 and 1", "got nan"]),
        ({"interpolate": [":0.5"]}, "--interpolate", [":0.5", "model"]),
    ],
)  # fmt: skip
def test_incompatible_options_are_refused(changes: dict[str, Any], option: str | None, values: list[str]) -> None:
    with raises(UsageError, *values, option=option) as raised:
        check(replace(ScoreOptions(model=Path("nowhere")), **changes))
    assert raised.value.option == option
