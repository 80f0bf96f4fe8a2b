"""Options of a command, declared once as the fields of a frozen dataclass.

    @dataclass(frozen=True)
    class DecodeOptions:
        beam: int = option(5, help="Beam size; 1 is greedy search.", panel="Search", minimum=1)

The declaration is the source of the command line (`--beam`), of the environment variable (`RNNKIT_BEAM`), of the key
`beam` in the command's table of a TOML file, of the help page, and of the record that is kept with the result.
Typer converts and checks values from outside (`rnnkit.cli.signature`); `check` holds values from Python to the same
choices and bounds.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnkit.errors import UsageError

STDIN = Path("-")
"""The path that means standard input, or standard output for results."""

PREFIX = "RNNKIT_"
"""Beginning of every environment variable."""

Field = dataclasses.Field[Any]
_KEY = "rnnkit"


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
        flags: Spellings on the command line, the long one first; by default `--` and the name with hyphens.
        metavar: Placeholder of the value in `--help`; by default the type.
        variable: Environment variable; by default `RNNKIT_` and the name in capitals. One variable has one meaning, so
            an option whose name means something else elsewhere has the command in its variable.
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
    flags: Sequence[str] = ()
    metavar: str | None = None
    variable: str | None = None
    many: bool = False
    argument: bool = False
    signed: bool = False


def option(default: Any, **declared: Any) -> Any:
    """Declare one option, a field of an options class.

    Args:
        default: Value unless another is given. The default of a list is a tuple or list.
        **declared: Attributes of `Declaration`.
    """
    return redeclared(default, Declaration(**declared))


def argument(default: Any = dataclasses.MISSING, **declared: Any) -> Any:
    """Declare one positional argument; without a default it is required. A list takes any number of words.

    Args:
        default: As for `option`.
        **declared: Attributes of `Declaration`.
    """
    return redeclared(default, Declaration(panel="Arguments", argument=True, **declared))


def redeclared(default: Any, declaration: Declaration) -> Any:
    """A field with a default and a declaration, such as a changed one of another field."""
    metadata = {_KEY: declaration}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, list | tuple):
        frozen = tuple(default)
        return dataclasses.field(default_factory=lambda: list(frozen), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def declaration_of(field: Field) -> Declaration:
    """The declaration of a field of an options class."""
    declared: Declaration = field.metadata[_KEY]
    return declared


def typed_fields(options_type: type[Any]) -> list[tuple[Field, Any]]:
    """The fields of an options class, each with its type without `| None`."""
    hints = typing.get_type_hints(options_type)
    return [(field, _without_none(hints[field.name])) for field in dataclasses.fields(options_type)]


def _without_none(wanted: Any) -> Any:
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(wanted) if part is not type(None))
    return wanted


def default_of(field: Field) -> Any:
    """The default of a field, or `dataclasses.MISSING` if it is required."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def flags_of(field: Field, wanted: Any) -> list[str]:
    """The spellings of an option; a boolean without spellings of its own has a `--no-` form behind a slash."""
    if declaration_of(field).flags:
        return list(declaration_of(field).flags)
    name = option_name(field.name)
    return [f"--{name}/--no-{name}" if wanted is bool else f"--{name}"]


def variable_of(field: Field) -> str | None:
    """The environment variable of an option; None for an argument."""
    if declaration_of(field).argument:
        return None
    return declaration_of(field).variable or PREFIX + option_name(field.name).replace("-", "_").upper()


def spelling(field: Field) -> str:
    """A field as the command line spells it: its first flag, or the name of an argument in capitals."""
    if declaration_of(field).argument:
        return str(declaration_of(field).metavar or option_name(field.name).upper()).rstrip("….")
    flags = declaration_of(field).flags
    return str(flags[0]).partition("/")[0] if flags else f"--{option_name(field.name)}"


def option_name(name: str) -> str:
    """The name of a field with hyphens, without the underscore that keeps it from being a keyword of Python."""
    return name.rstrip("_").replace("_", "-")


def did_you_mean(wrong: str, known: Sequence[str], show: Any = str) -> str | None:
    """A hint that names the closest known word; None if there is none."""
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"did you mean {show(close[0])!r}?" if close else None


def check(options: Any) -> None:
    """Check options that were made in Python against the declared choices and bounds.

    Raises:
        UsageError: A value is not among the choices or out of bounds; `option` is its flag.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                _check(field, item)


def _check(field: Field, item: Any) -> None:
    name, choices = spelling(field), declaration_of(field).choices
    if choices and item not in choices:
        hint = did_you_mean(str(item), choices)
        raise UsageError(f"{name} cannot be {item!r}", f"choose from: {', '.join(choices)}", hint=hint, option=name)
    low, high = declaration_of(field).minimum, declaration_of(field).maximum
    if low is not None and not item >= low:
        raise UsageError(f"{name} must be at least {low}, not {item}", option=name)
    if high is not None and not item <= high:
        raise UsageError(f"{name} must be at most {high}, not {item}", option=name)
