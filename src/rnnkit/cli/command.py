"""A command: a name, one line about it, and how its stage's result is shown.

The rest (flags, help page, merging of the sources, `--print-config`) is made from the stage's options.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from rnnkit.cli import boundary, pages, places, signature, worker
from rnnkit.config import option, resolve, to_toml
from rnnkit.console import Console
from rnnkit.errors import escape_json, escape_line
from rnnkit.events import WarningEvent
from rnnkit.system.machine import available_cores, limit_library_threads
from rnnkit.training.distributed import rank_from_environment

_CAPITALS = {"lm": "LM", "seq2seq": "Seq2Seq"}
"""Words of a command's name that its options class spells otherwise than with one capital."""


@dataclass(frozen=True)
class Common:
    """Options that every command has."""

    config: Path | None = option(None, help="TOML file with one table a command.", panel="Command")
    print_config: bool = option(
        False, help="Print the resolved options as TOML and stop.", panel="Command", flags=("--print-config",)
    )
    json: bool = option(False, help="Print the result as one JSON object.", panel="Command")
    quiet: bool = option(False, help="Say nothing but results and errors.", panel="Command")
    debug: bool = option(False, help="Show a traceback where the command fails.", panel="Command")
    help: bool = option(False, help="Show this page.", panel="Command", flags=("--help", "-h"))


def report(stage: ModuleType, options: Any, console: Console) -> None:
    """Run a stage whose result knows itself what is printed: `lines`, and `as_dict()` for `--json`.

    `--quiet` hides no result: where it leaves less than the lines, such as the figures without their names, the result
    has `numbers` too, or `brief` where that is more than numbers.
    """
    result = stage.run(options, console.listen)
    short = getattr(result, "brief", getattr(result, "numbers", result.lines))
    lines = short if console.quiet else result.lines
    console.report("\n".join(map(escape_line, lines)), result.as_dict())


def make(stage: ModuleType, options: Any, console: Console) -> None:
    """Run a stage whose result is files: `as_dict()` is for `--json`, `lines` say what its notes have not yet said.

    Figures that no file holds are a result too: the result names them in `figures`, and they go to standard output.
    """
    result = stage.run(options, console.listen)
    figures = getattr(result, "figures", ())
    console.summarise([line for line in getattr(result, "lines", ()) if line not in figures], result.as_dict())
    if not console.json:
        for line in figures:
            console.write(line)


@dataclass(frozen=True)
class Command:
    """One row of the table of commands.

    Attributes:
        name: As it is typed; the stage is the module of the same name.
        summary: One line for `rnnkit --help`.
        act: Runs the stage with the resolved options and shows the result; returns an exit code, or None for 0.
        json: Whether `--json` can print the result as one object.
        module: The stage's module below `rnnkit.stages`; by default the name of the command.
    """

    name: str
    summary: str
    act: Callable[[ModuleType, Any, Console], int | None] = report
    json: bool = True
    module: str = ""

    @property
    def stage(self) -> ModuleType:
        """The stage's module, imported only when somebody asks for this very command."""
        return import_module(f"rnnkit.stages.{self.module or self.name.replace('-', '_')}")

    @property
    def options_type(self) -> type[Any]:
        """The stage's options: `AlignWordsOptions` for `align-words`."""
        words = (_CAPITALS.get(word, word.capitalize()) for word in self.name.split("-"))
        stage_options: type[Any] = getattr(self.stage, f"{''.join(words)}Options")
        return stage_options


def register(app: typer.Typer, command: Command, commands: Sequence[str]) -> None:
    """Add a command with all its options."""
    parameters = signature.parameters(command.options_type)
    parameters += signature.parameters(Common, skip=[*_hidden(command), "help"])
    parameters.append(_help_parameter(command))

    def call(**given: Any) -> None:
        debug = boundary.debugging(os.environ) or bool(given.get("debug"))
        code = boundary.guard(lambda: invoke(command, given, commands), debug)
        if code:
            raise typer.Exit(code)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    app.command(command.name, help=command.summary, add_help_option=False)(call)


def register_name(app: typer.Typer, command: Command) -> None:
    """Add a command by name only, for lists and suggestions: its stage is not imported."""

    def call() -> None:
        raise AssertionError(f"{command.name} was registered by name only")

    app.command(command.name, help=command.summary, add_help_option=False)(call)


def invoke(command: Command, given: Mapping[str, Any], commands: Sequence[str]) -> int | None:
    """Resolve the options and act, or print the options where `--print-config` asks for that.

    Args:
        command: What to do.
        given: What the command line said, by field; None where it said nothing.
        commands: Every command's name, to check the tables of a configuration file.
    """
    common = resolve(Common, command.name, given)
    options = resolve(command.options_type, command.name, given, None, common.config, commands)
    worker.refuse_several(command.name, options)
    quiet = bool(getattr(options, "quiet", common.quiet))
    json = command.json and common.json
    with Console(quiet=quiet, json=json, debug=common.debug, silent=worker.silent()) as console:
        if common.print_config:
            console.write(escape_json(to_toml(command.name, options).rstrip()))
            return boundary.DONE
        from rnnkit.kernels import kernel_cache

        places.check(options)
        if common.config is not None:
            from rnnkit.stages import outputs

            for output in outputs.output_paths(options):
                outputs.check_not_inputs(output, [common.config])
        _warn_of_many_processes(options, console)
        limit_library_threads()
        with kernel_cache.report_warnings_to(console.listen):
            return command.act(command.stage, options, console)


def _warn_of_many_processes(options: Any, console: Console) -> None:
    """More processes than cores are slower than fewer, and take more memory."""
    processes, cores = getattr(options, "processes", 1), available_cores()
    if processes > cores and rank_from_environment().world_size == 1:
        have = "1 core" if cores == 1 else f"{cores} cores"
        console.listen(WarningEvent(f"{processes} processes share {have}: --processes {cores} is faster"))


def spellings(command: Command) -> dict[str, bool]:
    """Every option of a command as it is spelled, and whether a value follows it."""
    fields = [*signature.typed_fields(command.options_type), *signature.typed_fields(Common)]
    return {
        flag: wanted is not bool
        for field, wanted in fields
        if not field.metadata["argument"]
        for spelled in signature.flags(field, wanted)
        for flag in spelled.split("/")
    }


def page(command: Command) -> str:
    """The command's help page."""
    return pages.command_page(command.name, command.options_type, Common, _hidden(command), command.stage.EXAMPLE)


def _hidden(command: Command) -> list[str]:
    """Common options that this command does not have, or that its stage declares itself."""
    own = [field.name for field in dataclasses.fields(command.options_type)]
    return own if command.json else [*own, "json"]


def _help_parameter(command: Command) -> inspect.Parameter:
    def show(wanted: bool) -> None:
        if wanted:
            typer.echo(page(command))
            raise typer.Exit

    # A default of None would make Typer import its validation library only to find that there is no value.
    info = typer.Option("--help", "-h", help="Show this page.", is_eager=True, callback=show, expose_value=False)
    return inspect.Parameter("help", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, info])
