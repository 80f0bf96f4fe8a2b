"""Options as plain values: the record in a manifest, the TOML of `--print-config`, the words of a command line."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any

from rnnkit.options.declare import declaration_of, flags_of, option_name, typed_fields


def as_dict(options: Any) -> dict[str, Any]:
    """Options as JSON values by name with hyphens; None if not set."""
    return {option_name(field.name): plain(getattr(options, field.name)) for field in dataclasses.fields(options)}


def plain(value: Any) -> Any:
    """A value as JSON has it: paths as text, enums by value, tuples as lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def to_toml(command: str, options: Any) -> str:
    """The options as a TOML table that `--config` reads; options that are not set are comments."""
    import tomli_w

    lines = [f"[{command}]"]
    for key, value in as_dict(options).items():
        lines.append(f"# {key} is not set" if value is None else tomli_w.dumps({key: value}, indent=1).rstrip("\n"))
    return "\n".join(lines) + "\n"


def to_argv(options: Any) -> list[str]:
    """The flags of a command line with these options; without arguments and options that are not set."""
    words: list[str] = []
    for field, wanted in typed_fields(type(options)):
        value = plain(getattr(options, field.name))
        if value is None or declaration_of(field).argument:
            continue
        flag = flags_of(field, wanted)[0]
        if wanted is bool:
            words.append(flag.split("/")[0 if value else -1])
        else:
            words += [f"{flag}={item}" for item in (value if isinstance(value, list) else [value])]
    return words
