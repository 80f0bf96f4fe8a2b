"""Tests over the product of several parameters: a covering subset with `make test`, every case with `make test-all`.

A covering subset of strength 1 has each value of each parameter, one of strength 2 each pair of values of each two
parameters (all-pairs testing), and so on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import pytest

Case = tuple[int, ...]
"""A case of a product: the position of its value in each parameter."""


def covering_subset(sizes: Sequence[int], strength: int) -> list[Case]:
    """Choose cases of a product greedily, in the order of the product.

    Args:
        sizes: Number of values of each parameter.
        strength: Number of parameters of which every combination of values occurs in some case.

    Returns:
        A subset of the product, the same in every process; every value of a parameter is used about equally often.
    """
    strength = min(strength, len(sizes))
    left = set(product(*map(range, sizes)))
    columns = list(combinations(range(len(sizes)), strength))
    missing = {(chosen, case) for chosen in columns for case in product(*(range(sizes[column]) for column in chosen))}
    used: Counter[tuple[int, int]] = Counter()

    def covered(case: Case) -> set[tuple[tuple[int, ...], Case]]:
        return {(chosen, tuple(case[column] for column in chosen)) for chosen in columns}

    found = []
    while missing:
        best = min(
            left, key=lambda case: (-len(covered(case) & missing), sum(used[one] for one in enumerate(case)), case)
        )
        left.remove(best)
        missing -= covered(best)
        used.update(enumerate(best))
        found.append(best)
    return sorted(found)


def parametrize(strength: int = 2, **parameters: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrize a test by the product of parameters; cases outside a covering subset run with `--all` only.

    Args:
        strength: See `covering_subset`.
        parameters: Values by name, in the order in which they are named in the identifiers of the tests. A mapping
            gives the values names of their own; otherwise the values are strings, numbers, truth values or None.
    """
    axes = [list(values.items() if isinstance(values, Mapping) else _named(values)) for values in parameters.values()]
    chosen = set(covering_subset([len(axis) for axis in axes], strength))
    cases = []
    for case in product(*(range(len(axis)) for axis in axes)):
        names, values = zip(*(axis[place] for axis, place in zip(axes, case, strict=True)), strict=True)
        marks = [] if case in chosen else [pytest.mark.exhaustive]
        cases.append(pytest.param(*values, id="-".join(names), marks=marks))
    assert len(cases) == math.prod(map(len, axes))
    return pytest.mark.parametrize(tuple(parameters), cases)


def _named(values: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    for value in values:
        assert value is None or isinstance(value, str | int | float), f"{value!r} needs a name"
        yield str(value), value
