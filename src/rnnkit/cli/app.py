"""The `rnnkit` command: the table of all commands, and the way from a command line to an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, NoReturn

import typer

import rnnkit
from rnnkit.cli import evaluation, failures, files, pages, showing, signature, suggestions, text, training, use
from rnnkit.cli.command import Command, register, register_name, spellings
from rnnkit.errors import UsageError, escape_control

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
            register(app, command, panel, table or command.name, list(COMMANDS))
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
    completing = COMPLETION in os.environ
    table = words[0] if words else ""
    if table == "train" and not completing and not {"-h", "--help"} & {*words}:
        _refuse_unknown(words[1:], "train", {**spellings(COMMANDS["train-seq2seq"]), **spellings(COMMANDS["train-lm"])})
        words = [training.command_for(words[1:]), *words[1:]]
    named = COMMANDS.get(words[0]) if words else None
    if named is not None:
        options_type = named.options_type
        if not signature.takes_signs(options_type):
            flags = spellings(named)
            taking = {flag for flag, has_value in flags.items() if has_value}
            suggestions.refuse_single_hyphens(words[1:], named.name, taking, flags)
        signature.refuse_empty_paths(words[1:], options_type)
        words = [named.name, *signature.separate_values(words[1:], options_type)]
    full = COMMANDS.values() if completing else [named] if named else []
    shown = list(words) if words or completing else ["--help"]
    code = build(full, table)(shown, prog_name="rnnkit", standalone_mode=False)
    return failures.USAGE if not words and not completing else code if isinstance(code, int) else failures.DONE


def _refuse_unknown(words: Sequence[str], command: str, flags: Mapping[str, bool]) -> None:
    """Refuse options that no training command has, before the data decides which one runs.

    Raises:
        UsageError: There is such an option.
    """
    taking = {flag for flag, has_value in flags.items() if has_value}
    suggestions.refuse_single_hyphens(words, command, taking, flags)
    for before, word in zip(["", *words], words, strict=False):
        name = word.partition("=")[0]
        if word == "--":
            return
        if name.startswith("--") and name not in flags and before not in taking:
            hint = suggestions.for_option(name, command, flags) or f"`rnnkit {command} --help` lists what there is"
            raise UsageError(f"no such option: {name}", hint=hint, option=name)


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
