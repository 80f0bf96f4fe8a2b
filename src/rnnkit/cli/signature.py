"""From an options class to the parameters of a Typer command.

Typer does the rest: conversion, bounds, choices, environment variables, completion, help pages.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rnnkit.cli import pages
from rnnkit.errors import UsageError
from rnnkit.options.declare import (
    Field,
    check,
    declaration_of,
    default_of,
    flags_of,
    spelling,
    typed_fields,
    variable_of,
)
from rnnkit.options.record import plain

NO_VALUE = "none"
"""How help shows a default that is no value."""


LONGEST_CHOICES = 34
"""Characters of choices beside the flag; longer lists are in the text."""


def parameters(options_type: type[Any], skip: Sequence[str] = ()) -> list[inspect.Parameter]:
    """Keyword parameters of a Typer command, one for each field that is not skipped."""
    return [_parameter(field, wanted) for field, wanted in typed_fields(options_type) if field.name not in skip]


def build(options_type: type[Any], values: Mapping[str, Any]) -> Any:
    """Make options from the values that Typer passes, by field name.

    Raises:
        UsageError: A value of a list is not among its choices or out of bounds.
    """
    fields = {field.name: wanted for field, wanted in typed_fields(options_type) if field.name in values}
    lists = {name for name, wanted in fields.items() if typing.get_origin(wanted) is list}
    options = options_type(**{name: list(values[name] or ()) if name in lists else values[name] for name in fields})
    check(options)
    return options


def _parameter(field: Field, wanted: Any) -> inspect.Parameter:
    meta, default = declaration_of(field), default_of(field)
    # Typer has no lists of choices; `declare.check` holds their values to the choices.
    listed = typing.get_origin(wanted) is list
    kind: Any = Literal[tuple(meta.choices)] if meta.choices and not listed else wanted
    if default is None:
        kind = kind | None
    long = len("|".join(meta.choices)) > LONGEST_CHOICES
    text = f"{meta.help} One of {', '.join(meta.choices)}." if long else meta.help
    common: dict[str, Any] = {
        "help": pages.escape(text),
        "show_default": _shown(field, default),
        "rich_help_panel": meta.panel,
    }
    if meta.argument:
        info: Any = typer.Argument(metavar=spelling(field), **common)
    else:
        info = typer.Option(
            *flags_of(field, wanted),
            envvar=variable_of(field),
            metavar=meta.metavar or ("NAME" if long else None),
            min=meta.minimum,
            max=meta.maximum,
            **common,
        )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is dataclasses.MISSING else default,
        annotation=Annotated[kind, info],
    )


def _shown(field: Field, default: Any) -> bool | str:
    """The default as help shows it: always a value, with its unit."""
    unit, shown = declaration_of(field).unit, declaration_of(field).shown_default
    if shown is not None:
        return str(shown)
    if default is None or default == []:
        return f"{NO_VALUE}; in {unit}" if unit else NO_VALUE
    if default is dataclasses.MISSING or not unit:
        return True
    return f"{plain(default)} {unit}"


def separate_values(words: Sequence[str], options_type: type[Any]) -> list[str]:
    """Repeat the flag of a list before each of its values.

    `--metric bleu,chrf` and, for this release, `--train SRC TGT` become `--metric bleu --metric chrf` and
    `--train SRC --train TGT`. A value that names a file is not split at its commas.
    """
    fields = typed_fields(options_type)
    lists = {
        flag: bool(declaration_of(field).many)
        for field, wanted in fields
        if typing.get_origin(wanted) is list and not declaration_of(field).argument
        for flag in flags_of(field, wanted)
    }
    result: list[str] = []
    current, first = "", False
    for index, word in enumerate(words):
        flag, joined, value = word.partition("=")
        if word == "--":
            return [*result, *words[index:]]
        if flag in lists:
            current, first = ("", False) if joined else (flag, True)
            if joined:
                result += [f"{flag}={part}" for part in _parts(value)]
            elif not _is_value(words[index + 1 : index + 2]):
                result.append(word)  # without a value: Typer reports it
        elif current and _is_value([word]) and (first or lists[current]):
            result += [item for part in _parts(word) for item in (current, part)]
            first = False
        else:
            current = ""
            result.append(word)
    return result


def refuse_empty_paths(words: Sequence[str], options_type: type[Any]) -> None:
    """Refuse `--output ""`, which would be the current folder.

    Raises:
        UsageError: The value of a path is empty.
    """
    flags = {flag for field, wanted in typed_fields(options_type) if wanted is Path for flag in flags_of(field, wanted)}
    for flag, value in [*itertools.pairwise(words), *(word.split("=", 1) for word in words if "=" in word)]:
        if flag in flags and not value:
            raise UsageError(f"{flag} expects a path, not ''", option=flag)


def _parts(value: str) -> list[str]:
    return [value] if "," not in value or Path(value).exists() else value.split(",")


def _is_value(words: Sequence[str]) -> bool:
    """Whether the first word is a value: no flag, or a negative number, or `-`."""
    return bool(words) and (not words[0].startswith("-") or re.fullmatch(r"-|-\.?\d.*", words[0]) is not None)


def takes_signs(options_type: type[Any]) -> bool:
    """Whether an argument may begin with a minus sign, as in `king - man`."""
    return any(declaration_of(field).signed for field, _ in typed_fields(options_type))


def refuse_unknown(options_type: type[Any], values: Mapping[str, Any], command: str) -> None:
    """Refuse flags among the words of an argument that takes signs: there Typer passes unknown options on.

    Raises:
        UsageError: A word begins with two hyphens.
    """
    for field in dataclasses.fields(options_type):
        for word in values[field.name] if declaration_of(field).signed else ():
            if word.startswith("--"):
                hint = f"`rnnkit {command} --help` lists the options"
                raise UsageError(f"no such option: {word}", hint=hint, option=word)
