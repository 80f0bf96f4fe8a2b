"""Options of a stage: declared once as a frozen dataclass, filled from flags, environment, file and defaults.

A stage declares

    @dataclass(frozen=True)
    class Options:
        beam: int = option(5, help="Hypotheses kept a sentence.", panel="Search")

and everything else is made from it: the command line's signature, the `RNNKIT_BEAM` variable, the key `beam`
in the command's table of a TOML file, and the record kept with the result. Flag > environment > file > default.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from rnnkit.errors import ConfigError, UsageError

STDIN = Path("-")
"""The path that means standard input (or standard output, for results)."""

PREFIX = "RNNKIT_"
_LONGEST_FILE = 1 << 20
T = TypeVar("T")


def option(
    default: Any,
    *,
    help: str,
    panel: str = "Data",
    unit: str = "",
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    shown_default: str | None = None,
    flags: Sequence[str] = (),
    metavar: str | None = None,
    many: bool = False,
) -> Any:
    """Declare one option of a stage.

    Args:
        default: Value when nobody says otherwise. A list's default is given as a tuple or list.
        help: One sentence for `--help`.
        panel: Group in `--help`: Data, Model, Optimisation, Search, Output and so on.
        unit: What a number counts, such as `tokens`; shown beside the default.
        choices: The only values allowed.
        minimum: Least value allowed.
        maximum: Greatest value allowed.
        shown_default: Text that `--help` shows where the value itself would not explain itself.
        flags: Spellings on the command line, the long one first; `--` and the name with hyphens unless given.
        metavar: Word that stands for the value in `--help`; made from the type unless given.
        many: One flag takes every value up to the next flag, as `--train SRC TGT` does. For lists.
    """
    metadata = {
        "help": help,
        "panel": panel,
        "unit": unit,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
        "shown_default": shown_default,
        "flags": tuple(flags),
        "metavar": metavar,
        "many": many,
        "argument": False,
        "signed": False,
    }
    return _field(default, metadata)


def argument(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    metavar: str | None = None,
    shown_default: str | None = None,
    signed: bool = False,
) -> Any:
    """Declare one positional argument; without a default it must be given. Annotated as a list, it takes many.

    Args:
        default: As for `option`, and so are `help`, `metavar` and `shown_default`.
        help: One sentence for `--help`.
        metavar: Word that stands for the value in `--help`.
        shown_default: Text that `--help` shows for the default.
        signed: Its words may begin with a minus sign, and are no options for that.
    """
    metadata = {
        "help": help,
        "panel": "Arguments",
        "unit": "",
        "choices": (),
        "minimum": None,
        "maximum": None,
        "shown_default": shown_default,
        "flags": (),
        "metavar": metavar,
        "many": False,
        "argument": True,
        "signed": signed,
    }
    return _field(default, metadata)


def _field(default: Any, metadata: Mapping[str, Any]) -> Any:
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, list | tuple):
        frozen = tuple(default)
        return dataclasses.field(default_factory=lambda: list(frozen), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def resolve(
    options_type: type[T],
    command: str,
    given: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    config_file: Path | None = None,
    commands: Sequence[str] = (),
) -> T:
    """Merge the four sources into one checked set of options.

    Args:
        options_type: The stage's dataclass.
        command: Name of the command, which is the table's name in the file.
        given: What the command line said; None and absent both mean that it said nothing.
        environment: Variables, `os.environ` unless given.
        config_file: TOML file with one table a command.
        commands: Every command there is; a table of another name is an error. Empty: any table may stand there.

    Raises:
        ConfigError: An unknown key or table, or a value that does not fit, in the file or an environment variable.
        UsageError: A value on the command line that does not fit, or an argument that is missing.
    """
    environment = os.environ if environment is None else environment
    hints = typing.get_type_hints(options_type)
    table = read_table(config_file, command, options_type, commands) if config_file else {}
    values: dict[str, Any] = {}
    for field in dataclasses.fields(options_type):  # type: ignore[arg-type]
        name, wanted = field.name, hints[field.name]
        variable = PREFIX + flag(name).replace("-", "_").upper()
        if given.get(name) is not None:
            values[name] = _accept(field, given[name], wanted, spelling(field), UsageError)
        elif not field.metadata["argument"] and environment.get(variable):
            values[name] = _accept(field, environment[variable], wanted, variable, ConfigError)
        elif name in table:
            where = f"{config_file}: [{command}] {flag(name)}"
            values[name] = _accept(field, table[name], wanted, where, ConfigError)
        elif required(field):
            raise UsageError(f"{spelling(field)} is missing", str(field.metadata["help"]))
    return options_type(**values)


def read_table(path: Path, command: str, options_type: type[Any], commands: Sequence[str] = ()) -> dict[str, Any]:
    """The command's table of a TOML file, keys spelled as field names.

    Raises:
        ConfigError: The file cannot be read or parsed, or has a key or a table that nobody knows.
    """
    document = _parse(path)
    for name, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{path}: {name!r} stands outside any table",
                hint=f"put a command's options under its name, such as [{command}]",
            )
        if commands and name not in commands:
            raise ConfigError(
                f"{path}: there is no command for the table [{name}]",
                hint=did_you_mean(name, commands) or f"the commands are {', '.join(commands)}",
            )
    known = {flag(field.name): field.name for field in dataclasses.fields(options_type)}
    result = {}
    for key, value in document.get(command, {}).items():
        spelled = key.replace("_", "-")
        if spelled not in known:
            raise ConfigError(
                f"{path}: [{command}] has an unknown key {key!r}",
                hint=did_you_mean(spelled, list(known)) or f"`rnnkit {command} --help` lists the options",
            )
        result[known[spelled]] = value
    return result


def _parse(path: Path) -> dict[str, Any]:
    try:
        if (size := path.stat().st_size) > _LONGEST_FILE:
            raise ConfigError(
                f"{path} is no configuration", f"{size:,} bytes are too many, {_LONGEST_FILE:,} is the most"
            )
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}", str(error.strerror)) from error
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML", "it is nested too deeply") from None
    except ValueError as error:  # what is no TOML or no UTF-8, and numbers with thousands of digits
        raise ConfigError(f"{path} is not valid TOML", str(error)) from error


def required(field: dataclasses.Field[Any]) -> bool:
    """Whether a field must be given because it has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def spelling(field: dataclasses.Field[Any]) -> str:
    """A field as the command line spells it: its first flag, or an argument's name in capitals."""
    if field.metadata["argument"]:
        return str(field.metadata["metavar"] or flag(field.name).upper()).rstrip("….")
    flags = field.metadata["flags"]
    return str(flags[0]).partition("/")[0] if flags else f"--{flag(field.name)}"


def did_you_mean(wrong: str, known: Sequence[str], show: Any = str) -> str | None:
    """A hint that names the closest known word, or None where nothing is close."""
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"did you mean {show(close[0])!r}?" if close else None


def flag(name: str) -> str:
    """A field's name as it is spelled on the command line."""
    return name.rstrip("_").replace("_", "-")


def as_dict(options: Any) -> dict[str, Any]:
    """Options as plain JSON/TOML values; None where nothing was chosen."""
    return {flag(field.name): plain(getattr(options, field.name)) for field in dataclasses.fields(options)}


def plain(value: Any) -> Any:
    """A value as JSON knows it: paths as text, enums by value, tuples as lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def to_toml(command: str, options: Any) -> str:
    """The resolved options as a TOML table that `--config` reads back. Unset options are comments."""
    lines = [f"[{command}]"]
    for key, value in as_dict(options).items():
        lines.append(f"# {key} is not set" if value is None else f"{key} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _accept(field: dataclasses.Field[Any], value: Any, wanted: Any, where: str, error: type[ConfigError]) -> Any:
    """Convert a value to the field's type and hold it against choices and bounds; `where` names it in errors."""
    try:
        converted = _convert(value, wanted)
    except ValueError as reason:
        raise error(f"{where} wants {reason}, not {value!r}") from None
    for item in converted if isinstance(converted, list) else [converted]:
        _check(field, item, where, error)
    return converted


def _convert(value: Any, wanted: Any) -> Any:
    """Turn text or a TOML value into the annotated type. A ValueError's text is what was wanted."""
    origin = typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(wanted) if part is not type(None)]
        return _convert(value, inner[0])
    if origin is list:
        items = value.split(os.pathsep) if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise ValueError("a list")
        return [_convert(item, typing.get_args(wanted)[0]) for item in items]
    if wanted is bool:
        return _boolean(value)
    if wanted in (int, float):
        return _number(value, wanted)
    if wanted is Path:
        if isinstance(value, str | Path) and str(value) and "\0" not in str(value):
            return Path(value)
        raise ValueError("a path")
    if wanted is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError("text" if wanted is str else str(getattr(wanted, "__name__", wanted)))


def _boolean(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("true or false")


def _number(value: Any, wanted: type[int] | type[float]) -> int | float:
    kind = "a whole number" if wanted is int else "a number"
    if isinstance(value, bool) or (wanted is int and isinstance(value, float)):
        raise ValueError(kind)
    try:
        return wanted(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(kind) from None


def _check(field: dataclasses.Field[Any], item: Any, where: str, error: type[ConfigError]) -> None:
    choices = field.metadata["choices"]
    if choices and item not in choices:
        raise error(
            f"{where} cannot be {item!r}",
            f"choose from: {', '.join(choices)}",
            hint=did_you_mean(str(item), choices),
        )
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if low is not None and not item >= low:
        raise error(f"{where} must be at least {low}, not {item}")
    if high is not None and not item <= high:
        raise error(f"{where} must be at most {high}, not {item}")
