"""A command: its name, one line of help, and how the result of its stage is shown.

The options class of the stage becomes the signature of the command (`signature`); Typer parses, converts and documents.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from rnnkit.cli import config_file, failures, pages, paths, signature, worker
from rnnkit.cli.console import Console
from rnnkit.errors import escape_json, escape_line
from rnnkit.events import WarningEvent
from rnnkit.options.declare import declaration_of, flags_of, option, typed_fields
from rnnkit.options.record import to_toml
from rnnkit.system.machine import available_cores, limit_library_threads
from rnnkit.training.process_group import rank_from_environment

_CAPITALS = {"lm": "LM", "seq2seq": "Seq2Seq"}
"""Words of a command's name that its options class spells otherwise than with one capital."""


@dataclass(frozen=True)
class GlobalOptions:
    """Options of every command; `--config` is declared in `register`."""

    print_config: bool = option(
        False, help="Print the resolved options as TOML and stop.", panel="Command", flags=("--print-config",)
    )
    json: bool = option(False, help="Print the result as one JSON object.", panel="Command")
    quiet: bool = option(False, help="Only print results and errors.", panel="Command")
    debug: bool = option(False, help="Show a traceback if the command fails.", panel="Command")


def report(stage: ModuleType, options: Any, console: Console) -> None:
    """Run a stage whose result is printed: its `lines`, or `as_dict()` with `--json`.

    `--quiet` hides no result: if the result has `brief` or `numbers`, the figures without their names, it prints those.
    """
    result = stage.run(options, console.listen)
    short = getattr(result, "brief", getattr(result, "numbers", result.lines))
    lines = short if console.quiet else result.lines
    console.report("\n".join(map(escape_line, lines)), result.as_dict())


def make(stage: ModuleType, options: Any, console: Console) -> None:
    """Run a stage whose result is files: `as_dict()` for `--json`; `lines` are notes that it has not sent as events.

    Figures that no file holds are a result too: `figures` of the result go to standard output.
    """
    result = stage.run(options, console.listen)
    figures = getattr(result, "figures", ())
    console.summarize([line for line in getattr(result, "lines", ()) if line not in figures], result.as_dict())
    if not console.json:
        for line in figures:
            console.write(line)


@dataclass(frozen=True)
class Command:
    """One row of the table of commands.

    Attributes:
        name: The word that is typed.
        summary: One line for `rnnkit --help`.
        act: Runs the stage with the options and shows the result; returns an exit code, or None for 0.
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
        """The module of the stage, imported at the first access."""
        return import_module(f"rnnkit.stages.{self.module or self.name.replace('-', '_')}")

    @property
    def options_type(self) -> type[Any]:
        """The options class of the stage: `AlignWordsOptions` for `align-words`."""
        words = (_CAPITALS.get(word, word.capitalize()) for word in self.name.split("-"))
        stage_options: type[Any] = getattr(self.stage, f"{''.join(words)}Options")
        return stage_options


def register(app: typer.Typer, command: Command, panel: str, table: str, commands: Collection[str]) -> None:
    """Add a command with all its options.

    Args:
        app: The application.
        command: The command.
        panel: Its group in `rnnkit --help`.
        table: Its table in a configuration file.
        commands: Names of all commands, for the tables of a configuration file.
    """
    stage_options = command.options_type
    parameters = signature.parameters(stage_options)
    parameters += signature.parameters(GlobalOptions, skip=_not_global(command))
    names = [parameter.name for parameter in parameters]
    fields = [*typed_fields(stage_options), *typed_fields(GlobalOptions)]
    booleans = {field.name for field, wanted in fields if wanted is bool}

    def load(context: typer.Context, value: Path | None) -> Path | None:
        if value is not None:
            context.default_map = config_file.read_table(value, table, names, commands, booleans)
        return value

    info = typer.Option("--config", envvar="RNNKIT_CONFIG", help="TOML file with one table per command.", is_eager=True,
                        callback=load, show_default=signature.NO_VALUE, rich_help_panel="Command")  # fmt: skip
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters.append(inspect.Parameter("config", kind, default=None, annotation=Annotated[Path | None, info]))
    parameters.sort(key=lambda each: pages.ORDER.get(_panel(each), 2))

    def call(**values: Any) -> None:
        debug = failures.debugging(os.environ) or bool(values.get("debug"))
        if code := failures.guard(lambda: invoke(command, values), debug):
            raise typer.Exit(code)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    text = inspect.cleandoc(stage_options.__doc__ or "").partition("\n\nAttributes:")[0]
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    app.command(
        command.name,
        help=pages.escape(text),
        short_help=command.summary,
        epilog=pages.example(command.stage.EXAMPLE),
        cls=pages.CommandPage,
        rich_help_panel=panel,
        context_settings={"ignore_unknown_options": signature.takes_signs(stage_options)},
    )(call)


def _panel(parameter: inspect.Parameter) -> str:
    return str(parameter.annotation.__metadata__[0].rich_help_panel)


def register_name(app: typer.Typer, command: Command, panel: str) -> None:
    """Add the name of a command, for lists and suggestions, without an import of its stage."""

    def call() -> None:
        raise AssertionError(f"{command.name} was registered by name only")

    app.command(command.name, help=command.summary, rich_help_panel=panel)(call)


def invoke(command: Command, values: Mapping[str, Any]) -> int | None:
    """Run a command, or print its options with `--print-config`.

    Args:
        command: The command.
        values: Converted values by parameter.
    """
    common = signature.build(GlobalOptions, values)
    options = signature.build(command.options_type, values)
    if signature.takes_signs(command.options_type):
        signature.refuse_unknown(command.options_type, values, command.name)
    worker.require_single_process(command.name, options)
    quiet = bool(getattr(options, "quiet", common.quiet))
    with Console(quiet=quiet, json=command.json and common.json, debug=common.debug, silent=worker.silent()) as console:
        if common.print_config:
            console.write(escape_json(to_toml(command.name, options).rstrip()))
            return failures.DONE
        from rnnkit.kernels import kernel_cache

        paths.check(options)
        if values.get("config") is not None:
            from rnnkit.stages import outputs

            for output in outputs.output_paths(options):
                outputs.check_not_inputs(output, [values["config"]])
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
    """Every flag of a command, and whether a value follows it."""
    fields = [*typed_fields(command.options_type), *typed_fields(GlobalOptions)]
    flags = {
        flag: wanted is not bool
        for field, wanted in fields
        if not declaration_of(field).argument
        for spelled in flags_of(field, wanted)
        for flag in spelled.split("/")
    }
    return {**flags, "--config": True, "--help": False, "-h": False}


def _not_global(command: Command) -> list[str]:
    """Global options that this command does not have, or that its stage declares itself."""
    own = [field.name for field in dataclasses.fields(command.options_type)]
    return own if command.json else [*own, "json"]
