"""Options of a search, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rnnkit.errors import UsageError
from rnnkit.options.declare import did_you_mean

_AT_LEAST = {
    "beam": 1,
    "nbest": 1,
    "length_penalty": 0,
    "max_length": 0,
    "min_length": 0,
    "no_repeat_ngram": 0,
    "top_k": 1,
    "seed": 0,
}
"""Smallest values of the options of a search, as on the command line."""


def check_search(call: str, known: Iterable[str], given: dict[str, Any]) -> None:
    """Check the options of a search.

    Args:
        call: The method, for messages.
        known: Names of the options that it has.
        given: The options; None stands for the default.

    Raises:
        TypeError: An option is unknown, or not a number.
        UsageError: An option is out of bounds.
    """
    names = sorted(known)
    for name, value in given.items():
        if name not in names:
            hint = did_you_mean(name, names) or f"the options are {', '.join(names)}"
            raise TypeError(f"{call} has no option {name!r}: {hint}")
        if value is None:
            continue
        kinds = (int, float) if name in ("length_penalty", "temperature", "top_p") else (int,)
        if not isinstance(value, kinds) or isinstance(value, bool):
            expected = "a number" if float in kinds else "an integer"
            raise TypeError(f"{call}: {name} must be {expected}, not {value!r}")
        if name in _AT_LEAST and not value >= _AT_LEAST[name]:
            raise UsageError(f"{name} must be at least {_AT_LEAST[name]}, not {value}", option=name)
        if name in ("temperature", "top_p") and not value > 0:
            raise UsageError(f"{name} must be above 0, not {value}", option=name)
        if name == "top_p" and value > 1:
            raise UsageError(f"{name} must be at most 1, not {value}", option=name)
