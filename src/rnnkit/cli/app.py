"""The `rnnkit` command: from the words of a command line to an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from typing import Annotated, NoReturn

import typer

import rnnkit
from rnnkit.cli import arguments, commands, environment, failures, pages, processes
from rnnkit.cli.command import Command, register, register_name
from rnnkit.cli.commands import COMMANDS, GROUPS
from rnnkit.cli.console import YELLOW, write_line
from rnnkit.errors import escape_control

TRAINING = ("train-seq2seq", "train-lm", "train-tagger", "train-classifier")
"""What `rnnkit train` chooses from."""

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
"""Environment variable of a shell that requests completions."""


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Run a command line, given without the program's name; returns the exit code."""
    failures.open_streams()
    debug = failures.debugging(os.environ) or "--debug" in words
    with failures.termination():
        code = failures.guard(lambda: _dispatch(words), debug)
        flushed = failures.guard(failures.flush, debug)
    failures.close_streams()
    return code or flushed


def build(full: Collection[Command], table: str = "") -> typer.Typer:
    """Make the Typer application.

    Args:
        full: The commands to build with all their options. The others get a name and a line, for lists and
            suggestions, and their stages are not imported.
        table: The table of a configuration file to read; by default the one named as the command.
    """
    # Typer imports its validation library to convert options that are None; these need not be.
    settled = {"install_completion": False, "show_completion": False, "help": False}
    app = typer.Typer(
        cls=pages.GroupPage,
        help=pages.escape(SUMMARY),
        epilog=pages.example(CHAIN),
        rich_markup_mode=pages.markup_mode(),
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "default_map": settled},
    )
    app.callback()(_root)
    panels = {command.name: panel for panel, commands in GROUPS.items() for command in commands}
    for command in COMMANDS.values():
        panel = panels.get(command.name, "")
        if command in full:
            register(app, command, panel, table or command.name, COMMANDS)
        else:
            register_name(app, command, panel)
    return app


def version() -> str:
    """The text of `--version`; imports torch."""
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
    """Let Typer parse the words and call the command that the first word names."""
    if len(words) == 2 and words[0] == "--show-completion":  # Typer's own takes no shell where it can detect one
        os.environ[COMPLETION] = f"source_{words[1]}"
    if COMPLETION in os.environ:
        return _call(build(COMMANDS.values()), words)
    if not words:
        _call(build(()), ["--help"])
        return failures.USAGE
    command = COMMANDS.get(words[0])
    if command is None:
        return _call(build(()), words)
    rest = words[1:]
    if command.name == "train" and not {"-h", "--help"} & {*rest}:
        flags = arguments.flags_of([each for name in TRAINING for each in COMMANDS[name].parameters])
        # The command that is chosen resolves the words again, and warns.
        known = arguments.resolve(rest, command.name, flags, signed=False, warn=lambda message: None)
        command = COMMANDS[commands.training_command(known)]
    resolved = _resolve(rest, command)
    return _call(build([command], table=words[0]), [command.name, *resolved])


def _call(app: typer.Typer, words: Sequence[str]) -> int:
    code = app(list(words), prog_name="rnnkit", standalone_mode=False)
    return code if isinstance(code, int) else failures.DONE


def _resolve(words: Sequence[str], command: Command) -> list[str]:
    """The words of a command as Typer expects them, with warnings about former names unless `--quiet` is given."""
    parameters = command.parameters

    def warn(message: str) -> None:
        if "--quiet" not in words and not processes.silent():
            write_line(message, ("warning:", YELLOW))

    for message in environment.apply_former_names(os.environ, parameters):
        warn(message)
    return arguments.resolve(words, command.name, arguments.flags_of(parameters), command.is_signed, warn)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version())
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the versions of rnnkit, Python and torch."
        ),
    ] = False,
) -> None:
    """Take the options of `rnnkit` itself."""
