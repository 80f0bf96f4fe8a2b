"""From an options class to the parameters of a Typer command.

Typer does the rest: conversion, bounds, choices, environment variables, completion, help pages.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rnnkit.cli import pages
from rnnkit.json_types import JsonMapping
from rnnkit.options.declare import Parameter, check, parameters_of
from rnnkit.options.record import plain

NO_VALUE = "none"
"""How help shows a default that is no value."""

METAVARS = {Path: "PATH", int: "INT", float: "NUMBER", str: "TEXT"}
"""Placeholders of values by type."""

LONGEST_CHOICES = 34
"""Characters of choices beside the flag; longer lists are in the text."""


def signature(parameters: Sequence[Parameter], callbacks: Mapping[str, Callable[..., object]]) -> inspect.Signature:
    """The signature of a Typer command: a keyword for each parameter, in the order of the help page.

    Args:
        parameters: Those of the command.
        callbacks: By name of an option, what Typer calls with its value before it reads any other.
    """
    keywords = [_keyword(each, callbacks.get(each.name)) for each in parameters]
    keywords.sort(key=lambda each: pages.position(each.annotation.__metadata__[0].rich_help_panel))
    return inspect.Signature(keywords)


def build(options_type: type[Any], values: JsonMapping) -> Any:
    """Make options from the values that Typer passes, by field name.

    Raises:
        UsageError: A value of a list is not among its choices or out of bounds.
    """
    given = {each.name: each for each in parameters_of(options_type) if each.name in values}
    options = options_type(**{
        name: list(values[name] or ()) if parameter.is_list else values[name] for name, parameter in given.items()
    })  # fmt: skip
    check(options)
    return options


def _keyword(parameter: Parameter, callback: Callable[..., object] | None) -> inspect.Parameter:
    declared, default = parameter.declared, parameter.default
    # Typer has no lists of choices; `declare.check` holds their values to the choices.
    single = declared.choices and not parameter.is_list
    kind: Any = Literal[tuple(declared.choices)] if single else parameter.kind
    if default is None:
        kind = kind | None
    long = len("|".join(declared.choices)) > LONGEST_CHOICES
    text = f"{declared.help} One of {', '.join(declared.choices)}." if long else declared.help
    common: dict[str, Any] = {
        "help": pages.escape(text),
        "show_default": _shown_default(parameter),
        "rich_help_panel": declared.panel,
    }
    if declared.argument:
        info: Any = typer.Argument(metavar=parameter.spelling, **common)
    else:
        info = typer.Option(
            "/".join(parameter.flags),
            envvar=parameter.variable,
            metavar=declared.metavar or ("NAME" if long else _metavar(parameter)),
            min=declared.minimum,
            max=declared.maximum,
            callback=callback,
            is_eager=callback is not None,
            **common,
        )
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[kind, info],
    )


def _metavar(parameter: Parameter) -> str | None:
    """The placeholder of a value; None where Typer shows the choices, or for a boolean."""
    choices = parameter.declared.choices
    if choices:
        return "|".join(choices) if parameter.is_list else None
    item = typing.get_args(parameter.kind)[0] if parameter.is_list else parameter.kind
    return METAVARS.get(item)


def _shown_default(parameter: Parameter) -> bool | str:
    """The default as help shows it: always a value, with its unit."""
    unit, shown, default = parameter.declared.unit, parameter.declared.shown_default, parameter.default
    if shown is not None:
        return shown
    if default is None or default == []:
        return f"{NO_VALUE}; in {unit}" if unit else NO_VALUE
    if default is MISSING or not unit:
        return True
    return f"{plain(default)} {unit}"
