"""Options of a command, declared once as the fields of a frozen dataclass.

    @dataclass(frozen=True)
    class DecodeOptions(ComputeOptions):
        beam: int = option(5, help="Beam size; 1 is greedy search.", panel="Search", minimum=1)

The declaration is the source of the command line (`--beam`), of the environment variable (`RNNKIT_BEAM`), of the key
`beam` in the command's table of a TOML file, of the help page, and of the record that is kept with the result.
Options that several commands share are declared in a base class, a group. Typer converts and checks values from
outside (`rnnkit.cli.signature`); `check` holds values from Python to the same choices and bounds.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from rnnkit.errors import UsageError

STDIN = Path("-")
"""The path that means standard input, or standard output for results."""

PREFIX = "RNNKIT_"
"""Beginning of every environment variable."""


@dataclass(frozen=True)
class Declaration:
    """What is declared of an option or argument beside its name, type and default.

    Attributes:
        help: One sentence for `--help`.
        panel: Group in `--help`: Data, Model, Optimization, Search, Output and so on.
        unit: Unit of a number, such as `tokens`; shown beside the default.
        choices: The only values allowed.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        shown_default: Default in `--help` if the value itself does not explain it, such as `WORK/model`.
        metavar: Placeholder of the value in `--help`; by default the type.
        variable: Environment variable without its prefix; by default the name in capitals. One variable has one
            meaning: where the same name means something else, the variable includes the command.
        formerly: The name before it was renamed; flag, key and variable of that name still work, with a warning.
        once: Whether a boolean has no `--no-` form.
        many: Whether the flag takes several words, such as `--train SRC TGT`.
        argument: Whether it is a positional argument.
        signed: Whether words of an argument may begin with a minus sign, as in `king - man`.
    """

    help: str
    panel: str = "Data"
    unit: str = ""
    choices: Sequence[str] = ()
    minimum: float | None = None
    maximum: float | None = None
    shown_default: str | None = None
    metavar: str | None = None
    variable: str = ""
    formerly: str = ""
    once: bool = False
    many: bool = False
    argument: bool = False
    signed: bool = False


@dataclass(frozen=True)
class Parameter:
    """An option or argument of a command.

    Attributes:
        name: The field of the options class.
        kind: Its type without `| None`.
        default: Its default, or `dataclasses.MISSING` if it is required.
        declared: The rest of its declaration.
    """

    name: str
    kind: Any
    default: Any
    declared: Declaration

    @property
    def key(self) -> str:
        """The name with hyphens, without the underscore that keeps it from being a keyword of Python."""
        return option_name(self.name)

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return typing.get_origin(self.kind) is list

    @property
    def flags(self) -> list[str]:
        """The spellings on the command line: none of an argument, two of a boolean."""
        return [] if self.declared.argument else self.spelled(self.key)

    @property
    def spelling(self) -> str:
        """How messages name it: the first flag, or the name of an argument in capitals."""
        if self.declared.argument:
            return (self.declared.metavar or self.key.upper()).rstrip("….")
        return self.flags[0]

    @property
    def variable(self) -> str | None:
        """The environment variable; None for an argument."""
        return None if self.declared.argument else PREFIX + (self.declared.variable or variable_name(self.key))

    def spelled(self, key: str) -> list[str]:
        """The flags of this option under some key."""
        return [f"--{key}", f"--no-{key}"] if self.kind is bool and not self.declared.once else [f"--{key}"]


def option(default: Any, **declared: Any) -> Any:
    """Declare one option, a field of an options class.

    Args:
        default: Value unless another is given. The default of a list is a tuple or list.
        **declared: Attributes of `Declaration`.
    """
    return redeclared(default, Declaration(**declared))


def argument(default: Any = MISSING, **declared: Any) -> Any:
    """Declare one positional argument; without a default it is required. A list takes any number of words.

    Args:
        default: As for `option`.
        **declared: Attributes of `Declaration`.
    """
    return redeclared(default, Declaration(panel="Arguments", argument=True, **declared))


def redeclared(default: Any, declaration: Declaration) -> Any:
    """A field with a default and a declaration."""
    metadata = {Declaration: declaration}
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, list | tuple):
        frozen = tuple(default)
        return dataclasses.field(default_factory=lambda: list(frozen), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def changed(group: type[Any], name: str, **declared: Any) -> Any:
    """Declare an option of a group again, with other attributes of `Declaration`; below `_: KW_ONLY`."""
    old = next(each for each in parameters_of(group) if each.name == name)
    return redeclared(old.default, dataclasses.replace(old.declared, **declared))


def parameters_of(options_type: type[Any]) -> tuple[Parameter, ...]:
    """The options and arguments of an options class, then those of its groups."""
    return _parameters_of(options_type)  # type: ignore[arg-type]  # a class is hashable, although mypy misses it


@functools.cache
def _parameters_of(options_type: type[Any]) -> tuple[Parameter, ...]:
    hints = typing.get_type_hints(options_type)
    depth = {name: at for at, base in enumerate(options_type.__mro__) for name in inspect.get_annotations(base)}
    found = []
    for field in dataclasses.fields(options_type):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        found.append(Parameter(field.name, _without_none(hints[field.name]), default, field.metadata[Declaration]))
    return tuple(sorted(found, key=lambda each: depth[each.name]))


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def option_name(name: str) -> str:
    """The name of a field as flags and keys spell it."""
    return name.rstrip("_").replace("_", "-")


def variable_name(key: str) -> str:
    """A key as environment variables spell it, without their prefix."""
    return key.replace("-", "_").upper()


def did_you_mean(wrong: str, known: Sequence[str], show: Callable[[str], str] = str) -> str | None:
    """A hint that names the closest known word; None if there is none."""
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"did you mean {show(close[0])!r}?" if close else None


def check(options: object) -> None:
    """Check options that were made in Python against the declared choices and bounds.

    Raises:
        UsageError: A value is not among the choices or out of bounds; `option` is its flag.
    """
    for parameter in parameters_of(type(options)):
        value = getattr(options, parameter.name)
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                _check(parameter, item)


def _check(parameter: Parameter, item: Any) -> None:
    name, declared = parameter.spelling, parameter.declared
    if declared.choices and item not in declared.choices:
        hint = did_you_mean(str(item), declared.choices)
        listed = ", ".join(declared.choices)
        raise UsageError(f"{name} cannot be {item!r}", f"choose from: {listed}", hint=hint, option=name)
    if parameter.kind in (int, float) and not isinstance(item, int if parameter.kind is int else int | float):
        expected = "an integer" if parameter.kind is int else "a number"
        raise UsageError(f"{name} expects {expected}, not {item!r}", option=name)
    if declared.minimum is not None and not item >= declared.minimum:
        raise UsageError(f"{name} must be at least {declared.minimum}, not {item}", option=name)
    if declared.maximum is not None and not item <= declared.maximum:
        raise UsageError(f"{name} must be at most {declared.maximum}, not {item}", option=name)
