"""The search space of `--tune-seconds`: the options that matter most for each architecture, and their ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnkit.errors import UsageError
from rnnkit.options.declare import parameters_of

if TYPE_CHECKING:
    from rnnkit.stages.training.labelling_options import LabellingOptions
    from rnnkit.training.hyperparameter_search import Dimension


@dataclass(frozen=True)
class Range:
    """Range of an option.

    Attributes:
        low: Smallest value.
        high: Largest value.
        relative: Whether both are factors of the default, which depends on preset and command.
        logarithmic: Whether equal ratios are equally probable.
        multiple: Of an integer, what it is a multiple of; 0 for a real number.
    """

    low: float
    high: float
    relative: bool = True
    logarithmic: bool = True
    multiple: int = 0


Searched = Range | tuple[tuple[Any, ...], ...]
"""A range, or possibilities: for each, the values of the options."""

HIDDEN_MULTIPLE = 8
"""Unit of the hidden size: whole vectors of the processor, and even, for two directions."""

_RECURRENT: Mapping[tuple[str, ...], Searched] = {
    # Of all options, the learning rate changes results most (Greff et al. 2017, arXiv:1503.04069).
    ("learning_rate",): Range(1 / 4, 4),
    # Small data needs much of it, large data hardly any.
    ("dropout",): Range(0.0, 0.7, relative=False, logarithmic=False),
    # The capacity; time grows with its square, so that the range is narrow.
    ("hidden",): Range(1 / 2, 2, multiple=HIDDEN_MULTIPLE),
    # Small data needs small batches, for enough steps.
    ("batch_tokens",): Range(1 / 6, 3 / 2, multiple=10),
    ("layers",): ((1,), (2,), (3,)),
}
SPACES: Mapping[str, Mapping[tuple[str, ...], Searched]] = {
    "recurrent": _RECURRENT,
    # Transformers diverge at rates that suit recurrent networks.
    "transformer": {**_RECURRENT, ("learning_rate",): Range(1 / 12, 1)},
    # The options of fastText's autotune except the buckets, with narrower ranges.
    "linear": {
        ("learning_rate",): Range(1 / 10, 4),
        ("epochs",): Range(1 / 5, 5 / 2, multiple=1),
        ("word_ngrams",): ((1,), (2,), (3,)),
        # They cost the most time, and help with rich morphology and misspellings.
        ("min_characters", "max_characters"): ((0, 0), (2, 4), (3, 6)),
        # Texts are separated by few directions; more dimensions mostly cost time.
        ("embedding",): Range(1 / 10, 2, multiple=2),
    },
}
"""For each kind of architecture, the searched options with their ranges. Options that are given are not searched."""

SHAPE = ("hidden", "layers")
"""Options that the weights of another model fix."""


def given_options(options: LabellingOptions) -> frozenset[str]:
    """Return the options that were given, of those whose default comes from a preset; before the preset is applied."""
    return frozenset(
        each.name
        for each in parameters_of(type(options))
        if each.default is None and getattr(options, each.name) is not None
    )


def make_space(options: LabellingOptions, given: frozenset[str]) -> list[Dimension]:
    """Return the dimensions of the search.

    Args:
        options: The options, with the values of the preset.
        given: Options that are not searched.

    Raises:
        UsageError: None is left.
    """
    from rnnkit.training.hyperparameter_search import Choices

    space: list[Dimension] = []
    arch = options.arch or ""  # the preset has filled it in
    kind = arch if arch in SPACES else "recurrent"
    fixed = {*given, *(SHAPE if options.init_from is not None else ())}
    for names, searched in SPACES[kind].items():
        if fixed.intersection(names):
            continue
        space.append(
            _interval(options, names[0], searched) if isinstance(searched, Range) else Choices(names, searched)
        )
    if not space:
        searched_names = [name for names in SPACES[kind] for name in names]
        raise UsageError(
            "--tune-seconds has nothing to search: all options that it would choose are given",
            f"with --arch {options.arch}: {', '.join(map(_flag, searched_names))}",
            hint="leave some of them out, or --tune-seconds",
            option="--tune-seconds",
        )
    return space


def _interval(options: LabellingOptions, name: str, searched: Range) -> Dimension:
    from rnnkit.training.hyperparameter_search import NumberRange

    unit = float(getattr(options, name)) if searched.relative else 1.0
    multiple = searched.multiple
    if name == "hidden" and options.arch == "transformer":
        multiple = 2 * (options.heads or 1)
    return NumberRange(name, searched.low * unit, searched.high * unit, searched.logarithmic, multiple)


def flags(values: Mapping[str, Any]) -> str:
    """Return options as the words of a command line."""
    return " ".join(f"{_flag(name)} {value}" for name, value in values.items())


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
