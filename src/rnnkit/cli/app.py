"""The `rnnkit` command: the table of all commands, and the way from a command line to an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, NoReturn

import typer

import rnnkit
from rnnkit.cli import (
    boundary,
    evaluation,
    files,
    pages,
    showing,
    signature,
    suggestions,
    text,
    training,
    use,
)
from rnnkit.cli.command import Command, register, register_name, spellings
from rnnkit.errors import escape_control

GROUPS: dict[str, tuple[Command, ...]] = {
    "Text": text.COMMANDS,
    "Training": training.COMMANDS,
    "Use": use.COMMANDS,
    "Evaluation": evaluation.COMMANDS,
    "Files": files.COMMANDS,
    "Showing": showing.COMMANDS,
}
"""Every command, under its heading in `rnnkit --help`."""

COMMANDS = {command.name: command for group in GROUPS.values() for command in group}

SUMMARY = """From raw text files to trained, scored sequence models. Every command reads files and writes files;
each has a default place for them inside one folder, `work`, so that the chain below runs as it is typed."""

CHAIN = """
rnnkit tokenize train.de train.en valid.de valid.en --type unigram --size 8000
rnnkit vocab
rnnkit align --source de --target en
rnnkit train --arch lstm
rnnkit decode --beam 5 < test.de > test.hyp
rnnkit bleu test.en < test.hyp
"""

COMPLETION = "_RNNKIT_COMPLETE"
"""Variable in which a shell says that it asks for completions."""


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run a command line, given without the program's name; returns the exit code."""
    boundary.open_streams()
    debug = boundary.debugging(os.environ) or "--debug" in words
    with boundary.termination():
        code = boundary.guard(lambda: _dispatch(words), debug)
        flushed = boundary.guard(boundary.flush, debug)
    boundary.silence()
    return code or flushed


def build(full: Collection[Command]) -> typer.Typer:
    """The Typer application.

    Args:
        full: The commands to build with all their options. The others get a name and a line, for lists and
            suggestions, and their stages are not imported.
    """
    # Typer imports its validation library for the sake of options that are None; these two need not be.
    settled = {"default_map": {"install_completion": False, "show_completion": False}}
    app = typer.Typer(
        add_help_option=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=settled
    )
    app.callback()(_root)
    for command in COMMANDS.values():
        if command in full:
            register(app, command, list(COMMANDS))
        else:
            register_name(app, command)
    return app


def overview() -> str:
    """The page of `rnnkit --help`."""
    groups = {title: [(command.name, command.summary) for command in group] for title, group in GROUPS.items()}
    options = [
        ("--version", "Show the versions of rnnkit, Python and torch, and the device."),
        ("--install-completion", "Install completion for the current shell."),
        ("--show-completion SHELL", "Print the completion script of bash, zsh, fish or powershell."),
        ("-h, --help", "Show this page."),
    ]
    return pages.overview(SUMMARY, groups, options, CHAIN)


def version() -> str:
    """What `--version` prints. This is the one place where asking costs an import of torch."""
    import platform

    try:
        import torch

        release = str(torch.__version__)
        device = (
            torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
        )
    except (ImportError, OSError) as error:  # a broken installation is a reason to ask for versions
        release, device = escape_control(f"cannot be used: {error}"), "unknown"
    return f"rnnkit {rnnkit.__version__}\nPython {platform.python_version()}\ntorch {release}\ndevice {device}"


def _dispatch(words: Sequence[str]) -> int:
    """Let Typer parse, and call the command that the first word names."""
    if len(words) == 2 and words[0] == "--show-completion":  # Typer's own takes no shell where it can detect one
        os.environ[COMPLETION] = f"source_{words[1]}"
    completing = COMPLETION in os.environ
    if not words and not completing:
        typer.echo(overview())
        return boundary.USAGE
    named = COMMANDS.get(words[0]) if words else None
    if named is not None:
        typed = signature.hide_signs(words[1:], named.options_type)
        spelled = spellings(named)
        taking = {flag for flag, has_value in spelled.items() if has_value}
        suggestions.refuse_single_hyphens(typed, named.name, taking, spelled)
        words = [named.name, *signature.spread(typed, named.options_type)]
    full = COMMANDS.values() if completing else [named] if named else []
    code = build(full)(list(words), prog_name="rnnkit", standalone_mode=False)
    return code if isinstance(code, int) else boundary.DONE


def _answer(page: Callable[[], str]) -> Callable[[bool], None]:
    """A callback that prints a page, where its flag was given, and ends."""

    def show(wanted: bool) -> None:
        if wanted:
            typer.echo(page())
            raise typer.Exit

    return show


def _root(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_answer(version))] = False,
    help: Annotated[bool, typer.Option("--help", "-h", is_eager=True, callback=_answer(overview))] = False,
) -> None:
    """Take the options of `rnnkit` itself; they answer while they are parsed."""
