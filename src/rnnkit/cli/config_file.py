"""`--config FILE`: a TOML file with one table per command, as defaults for Typer's `default_map`."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rnnkit.errors import ConfigError
from rnnkit.options.declare import did_you_mean

LARGEST = 1 << 20
"""Bytes of a configuration file; a larger file is another kind of file, given by mistake."""


def read_table(
    path: Path, command: str, options: Collection[str], commands: Collection[str], booleans: Collection[str] = ()
) -> dict[str, Any]:
    """Read the table of a command; keys may be spelled with hyphens or underscores.

    Args:
        path: The TOML file.
        command: Its table.
        options: Names of the command's parameters, with underscores.
        commands: Every command: a table of another name is an error.
        booleans: Parameters that are true or false; Typer would also take numbers such as 1 for them.

    Returns:
        Values by parameter.

    Raises:
        ConfigError: The file is not TOML, or has an unknown table or key.
    """
    document = _parse(path)
    for name, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{path}: {name!r} is not inside a table",
                hint=f"put the options of a command below its name, such as [{command}]",
                path=path,
            )
        if name not in commands:
            hint = did_you_mean(name, list(commands)) or f"the commands are {', '.join(commands)}"
            raise ConfigError(f"{path}: no command is named [{name}]", hint=hint, path=path)
    known = {name.rstrip("_"): name for name in options}
    values = {}
    for key, value in document.get(command, {}).items():
        spelled = key.replace("-", "_")
        if spelled not in known:
            names = [name.replace("_", "-") for name in known]
            hint = did_you_mean(key.replace("_", "-"), names) or f"`rnnkit {command} --help` lists the options"
            raise ConfigError(f"{path}: [{command}] has an unknown key {key!r}", hint=hint, path=path)
        if known[spelled] in booleans and not isinstance(value, bool | str):
            raise ConfigError(f"{path}: [{command}] {key} expects true or false, not {value!r}", path=path)
        values[known[spelled]] = value
    return values


def _parse(path: Path) -> dict[str, Any]:
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise ConfigError(
                f"{path} is not a configuration file", f"{size:,} bytes; at most {LARGEST:,} are read", path=path
            )
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}", str(error.strerror), path=path) from error
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML", "nested too deeply", path=path) from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise ConfigError(f"{path} is not valid TOML", str(error), path=path) from error
