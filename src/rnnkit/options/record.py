"""Options as plain values: the record in a manifest, the TOML of `--print-config`, the words of a command line."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path

from rnnkit.json_types import JsonMapping, JsonObject, JsonValue
from rnnkit.options.declare import option_name, parameters_of


def as_dict(options: object) -> JsonObject:
    """Options as JSON values by name with hyphens; None if not set."""
    fields = dataclasses.fields(options)  # type: ignore[arg-type]  # every options class is a dataclass
    return {option_name(field.name): plain(getattr(options, field.name)) for field in fields}


def with_current_names(record: JsonMapping, options_type: type[object]) -> JsonObject:
    """A record with the present names of options that were renamed since it was written."""
    renamed = {each.declared.formerly: each.key for each in parameters_of(options_type) if each.declared.formerly}
    return {renamed.get(key, key): value for key, value in record.items()}


def plain(value: object) -> JsonValue:
    """A value as JSON has it: paths as text, enums by value, tuples as lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def to_toml(command: str, options: object) -> str:
    """The options as a TOML table that `--config` reads; options that are not set are comments."""
    import tomli_w

    lines = [f"[{command}]"]
    for key, value in as_dict(options).items():
        lines.append(f"# {key} is not set" if value is None else tomli_w.dumps({key: value}, indent=1).rstrip("\n"))
    return "\n".join(lines) + "\n"


def to_argv(options: object) -> list[str]:
    """The flags of a command line with these options; without arguments and options that are not set."""
    words: list[str] = []
    for parameter in parameters_of(type(options)):
        value = plain(getattr(options, parameter.name))
        if value is None or parameter.declared.argument:
            continue
        if parameter.kind is bool:
            words.append(parameter.flags[0 if value else 1])
        else:
            words += [f"{parameter.spelling}={item}" for item in (value if isinstance(value, list) else [value])]
    return words
