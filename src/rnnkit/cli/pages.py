"""Help pages, drawn from the options themselves: panels, defaults with their units, an example at the end.

Plain text in at most 100 columns, so that a page reads the same on a terminal, in a pipe and in a bug report.
Typer's own pages would parse the texts as markup and leave no room for them beside `--x/--no-x` at 80 columns.
"""

from __future__ import annotations

import dataclasses
import inspect
import shutil
import sys
import textwrap
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rnnkit import config
from rnnkit.cli.signature import Field, flags, typed_fields
from rnnkit.console import BOLD, CYAN, paint

WIDEST = 100
"""Longer lines are hard to read, however wide the terminal is."""

LONGEST_CHOICES = 34
"""Choices that take more characters are listed in the text instead of beside the flag."""

PLACES = {"Arguments": 0, "Data": 1, "Output": 3}
"""Panels that have a place of their own, whatever the order of declaration; others stand in their order at 2."""

NOTHING = "none"
"""How a default is shown that is no value at all."""

Row = tuple[str, str]


def command_page(
    command: str, options_type: type[Any], common_type: type[Any], hidden: Collection[str], example: str
) -> str:
    """The page of one command.

    Args:
        command: Its name.
        options_type: The stage's options; their docstring says what the command does.
        common_type: Options of every command.
        hidden: Names of common options that this command does not show.
        example: Command lines.
    """
    fields = typed_fields(options_type)
    usage = [_usage(field, wanted) for field, wanted in fields if field.metadata["argument"]]
    fields.sort(key=lambda pair: PLACES.get(pair[0].metadata["panel"], 2))
    fields += [(field, wanted) for field, wanted in typed_fields(common_type) if field.name not in hidden]
    panels: dict[str, list[Row]] = {}
    for field, wanted in fields:
        panels.setdefault(field.metadata["panel"], []).append((_label(field, wanted), _text(field, wanted)))
    parts = [f"{_heading('Usage:')} {' '.join([f'rnnkit {command} [OPTIONS]', *usage])}"]
    parts.append(_prose(options_type.__doc__ or ""))
    parts += [_panel(title, rows) for title, rows in panels.items()]
    parts.append(_verbatim("Example", example))
    return "\n\n".join(parts)


def overview(summary: str, groups: Mapping[str, Iterable[Row]], options: Sequence[Row], example: str) -> str:
    """The page of `rnnkit --help`: every command with one line, in groups."""
    rows = {title: list(commands) for title, commands in groups.items()}
    widest = max(len(label) for group in rows.values() for label, _ in group)
    parts = [f"{_heading('Usage:')} rnnkit COMMAND [OPTIONS] [ARGUMENTS]...", _prose(summary)]
    parts += [_panel(title, commands, widest) for title, commands in rows.items()]
    parts += [_panel("Options", options), _verbatim("Example", example)]
    parts.append(_prose("`rnnkit COMMAND --help` explains a command and its options."))
    return "\n\n".join(parts)


def _usage(field: Field, wanted: Any) -> str:
    name = config.spelling(field) if config.required(field) else f"[{config.spelling(field)}]"
    return f"{name}..." if typing.get_origin(wanted) is list else name


def _label(field: Field, wanted: Any) -> str:
    """An option as it is typed: `-o, --output PATH`, `--[no-]tie`, `--train PATH...`."""
    if field.metadata["argument"]:
        return config.spelling(field) + ("..." if typing.get_origin(wanted) is list else "")
    if wanted is bool:
        first, *others = flags(field, wanted)
        on, _, off = first.partition("/")
        name = on.removeprefix("--")
        joined = on if not off else f"--[no-]{name}" if off == f"--no-{name}" else f"{on}, {off}"
        return ", ".join([*others, joined])
    first, *others = flags(field, wanted)
    return f"{', '.join([*others, first])} {_placeholder(field, wanted)}" + ("..." if field.metadata["many"] else "")


def _placeholder(field: Field, wanted: Any) -> str:
    """The word that stands for the value."""
    if field.metadata["metavar"]:
        return str(field.metadata["metavar"])
    if field.metadata["choices"]:
        return "|".join(field.metadata["choices"]) if _fits(field) else "NAME"
    item = typing.get_args(wanted)[0] if typing.get_origin(wanted) is list else wanted
    return {int: "N", float: "X", str: "TEXT"}.get(item, "PATH")


def _fits(field: Field) -> bool:
    """Whether the choices are short enough to stand beside the flag."""
    return len("|".join(field.metadata["choices"])) <= LONGEST_CHOICES


def _text(field: Field, wanted: Any) -> str:
    """An option's help with its default, unit and bounds in brackets."""
    facts = [*_choices(field), *_default(field, wanted), *_bounds(field)]
    return f"{field.metadata['help']} [{'; '.join(facts)}]" if facts else str(field.metadata["help"])


def _choices(field: Field) -> list[str]:
    choices = field.metadata["choices"]
    return [f"one of {', '.join(choices)}"] if choices and not _fits(field) else []


def _default(field: Field, wanted: Any) -> list[str]:
    """The default with its unit; where the unit cannot stand beside it, the unit first."""
    if config.required(field):
        return ["required"]
    if wanted is bool and not any("/" in flag for flag in flags(field, wanted)):
        return []  # a flag that can only be given, such as --help
    unit, shown, value = field.metadata["unit"], field.metadata["shown_default"], _value(field)
    if shown is None and value != NOTHING:
        return [f"default: {value} {unit}".rstrip()]
    return [*([f"in {unit}"] if unit and unit not in (shown or "") else []), f"default: {shown or value}"]


def _bounds(field: Field) -> list[str]:
    """The bounds that one would not guess."""
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if high is None:
        return [f"at least {low}"] if low is not None and not 0 <= low <= 1 else []
    return [f"at most {high}" if low is None else f"{low} to {high}"]


def _value(field: Field) -> str:
    """The default as one would type it."""
    factory = field.default_factory
    value = field.default if factory is dataclasses.MISSING else factory()
    if value is None or value == []:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return str(config.plain(value))


def _panel(title: str, rows: Sequence[Row], column: int = 24) -> str:
    """A heading and its rows; a label too long for its column stands on a line of its own."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    lines = [_heading(title)]
    for label, text in rows:
        indent = " " * (column + 4)
        wrapped = textwrap.wrap(
            text, max(width, column + 30), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
        painted = paint(label, CYAN, sys.stdout)
        if len(label) > column:
            lines += [f"  {painted}", *wrapped]
        else:
            lines += [f"  {painted}{wrapped[0][2 + len(label) :]}", *wrapped[1:]]
    return "\n".join(lines)


def _prose(docstring: str) -> str:
    """A docstring's paragraphs, filled anew; the list of attributes is for readers of the code."""
    width = min(shutil.get_terminal_size().columns, WIDEST)
    paragraphs = inspect.cleandoc(docstring).partition("\n\nAttributes:")[0].split("\n\n")
    return "\n\n".join(textwrap.fill(paragraph, max(width, 40), break_on_hyphens=False) for paragraph in paragraphs)


def _verbatim(title: str, text: str) -> str:
    return "\n".join([_heading(title), *(f"  {line}" for line in text.strip().splitlines())])


def _heading(title: str) -> str:
    return paint(title, BOLD, sys.stdout)
