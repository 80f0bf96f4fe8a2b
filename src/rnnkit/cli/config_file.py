"""`--config FILE`: a TOML file with one table per command, as defaults for Typer's `default_map`."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path

from rnnkit.errors import ConfigError
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import Parameter, did_you_mean

LARGEST = 1 << 20
"""Bytes of a configuration file; a larger file is another kind of file, given by mistake."""


def read_table(path: Path, command: str, parameters: Sequence[Parameter], commands: Collection[str]) -> JsonObject:
    """Read the table of a command; keys may be spelled with hyphens or underscores.

    Args:
        path: The TOML file.
        command: Its table.
        parameters: The parameters of the command.
        commands: Every command: a table of another name is an error.

    Returns:
        Values by field of the options class.

    Raises:
        ConfigError: The file is not TOML, or has an unknown table or key.
    """
    document = _parse(path)
    for name, table in document.items():
        if not isinstance(table, dict):
            hint = f"put the options of a command below its name, such as [{command}]"
            raise ConfigError(f"{path}: {name!r} is not inside a table", hint=hint, path=path)
        if name not in commands:
            hint = did_you_mean(name, list(commands)) or f"the commands are {', '.join(commands)}"
            raise ConfigError(f"{path}: no command is named [{name}]", hint=hint, path=path)
    known = {each.key: each for each in parameters}
    former = {each.declared.formerly: each for each in parameters if each.declared.formerly}
    values = {}
    for key, value in document.get(command, {}).items():
        spelled = key.replace("_", "-")
        parameter = known.get(spelled) or former.get(spelled)
        if parameter is None:
            hint = did_you_mean(spelled, list(known)) or f"`rnnkit {command} --help` lists the options"
            raise ConfigError(f"{path}: [{command}] has an unknown key {key!r}", hint=hint, path=path)
        if parameter.kind is bool and not isinstance(value, bool | str):  # Typer would also take 1
            raise ConfigError(f"{path}: [{command}] {key} expects true or false, not {value!r}", path=path)
        values[parameter.name] = value
    return values


def _parse(path: Path) -> JsonObject:
    try:
        if (size := path.stat().st_size) > LARGEST:
            reason = f"{size:,} bytes; at most {LARGEST:,} are read"
            raise ConfigError(f"{path} is not a configuration file", reason, path=path)
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}", str(error.strerror), path=path) from error
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML", "nested too deeply", path=path) from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise ConfigError(f"{path} is not valid TOML", str(error), path=path) from error
