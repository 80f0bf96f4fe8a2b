"""Help pages as plain text, for pipes and dumb terminals; on a terminal Typer draws them with Rich.

Typer's plain pages have no panels; these have the panels of the Rich pages, and the example as it is typed.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import typer.core

FIRST, LAST = ("Arguments", "Data"), ("Output", "Parallel processing", "Command")
"""Panels with a fixed position; the others keep the order of their declaration, in between."""


def markup_mode() -> Literal["rich"] | None:
    """Typer's `rich_markup_mode`: Rich on a terminal, plain text elsewhere and without color."""
    plain = not sys.stdout.isatty() or os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return None if plain else "rich"


def escape(text: str) -> str:
    """A text without meaning as markup, for the Rich pages."""
    if markup_mode() is None:
        return text
    from rich.markup import escape as escape_markup

    return escape_markup(text)


def example(text: str) -> str:
    """Command lines as the epilog of a page; Typer joins lines of a Rich page unless they are paragraphs."""
    lines = text.strip().splitlines()
    return "\n".join(lines) if markup_mode() is None else escape("\n\n".join(["Example:", *lines]))


def position(panel: str) -> int:
    """The rank of a panel among those of a page."""
    return FIRST.index(panel) - len(FIRST) if panel in FIRST else LAST.index(panel) + 1 if panel in LAST else 0


class Formatter(Protocol):
    """What Typer writes plain help with."""

    def section(self, name: str) -> AbstractContextManager[None]:
        """A heading, and indented lines below it."""

    def write_dl(self, rows: list[tuple[str, str]]) -> None:
        """Write terms and their explanations in two columns."""

    def write(self, string: str) -> None:
        """Write a text as it is."""


def _write_panels(records: list[tuple[str, tuple[str, str]]], formatter: Formatter) -> None:
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, record in records:
        panels.setdefault(panel, []).append(record)
    for panel, rows in panels.items():
        with formatter.section(panel):
            formatter.write_dl(rows)


def _write_example(text: str | None, formatter: Formatter) -> None:
    if text:
        with formatter.section("Example"):
            for line in text.splitlines():
                formatter.write(f"  {line}\n")


class CommandPage(typer.core.TyperCommand):
    """A command whose plain help has panels."""

    def format_options(self, ctx: Any, formatter: Formatter) -> None:
        """Write the options of each panel."""
        records = []
        for parameter in self.get_params(ctx):
            panel = getattr(parameter, "rich_help_panel", None) or "Command"
            if (record := parameter.get_help_record(ctx)) is not None:
                name, text = record
                # Typer writes the type of an argument, such as `<list[Path]>`, behind its name.
                records.append((panel, (name.partition(" <")[0] if panel == "Arguments" else name, text)))
        _write_panels(records, formatter)

    def format_epilog(self, ctx: Any, formatter: Formatter) -> None:
        """Write the example, line by line."""
        _write_example(self.epilog, formatter)


class GroupPage(typer.core.TyperGroup):
    """The command `rnnkit`, whose plain help has panels of commands."""

    def format_options(self, ctx: Any, formatter: Formatter) -> None:
        """Write the commands of each panel, then the options."""
        commands: Any = self.commands.values()
        rows = [(each.rich_help_panel, (each.name, each.help or "")) for each in commands if not each.hidden]
        _write_panels(rows, formatter)
        found = [parameter.get_help_record(ctx) for parameter in self.get_params(ctx)]
        _write_panels([("Options", row) for row in found if row is not None], formatter)

    def format_epilog(self, ctx: Any, formatter: Formatter) -> None:
        """Write the example, line by line."""
        _write_example(self.epilog, formatter)
