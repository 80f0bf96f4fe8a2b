"""A command: its name, one line of help, and how the result of its stage is shown.

The options class of the stage becomes the signature of the command (`signature`); Typer parses, converts and documents.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

from rnnkit.cli import config_file, environment, failures, pages, paths, processes, signature
from rnnkit.cli.console import Console
from rnnkit.errors import escape_json, escape_line
from rnnkit.events import WarningEvent
from rnnkit.json_types import JsonMapping, JsonValue
from rnnkit.options.declare import Parameter, option, parameters_of
from rnnkit.options.record import to_toml
from rnnkit.system.machine import available_cores, limit_library_threads
from rnnkit.training.process_group import rank_from_environment

_CAPITALS = {"lm": "LM", "seq2seq": "Seq2Seq"}
"""Words of a command's name that its options class spells otherwise than with one capital."""


@dataclass(frozen=True)
class GlobalOptions:
    """Options of every command."""

    config: Path | None = option(None, help="TOML file with one table per command.", panel="Command")
    print_config: bool = option(False, help="Print the resolved options as TOML and stop.", panel="Command", once=True)
    json: bool = option(False, help="Print the result as one JSON object.", panel="Command")
    quiet: bool = option(False, help="Only print results and errors.", panel="Command")
    debug: bool = option(False, help="Show a traceback if the command fails.", panel="Command")


def report(stage: ModuleType, options: object, console: Console) -> None:
    """Run a stage whose result is printed: its `lines`, or `as_dict()` with `--json`.

    `--quiet` hides no result: if the result has `brief` or `numbers`, the figures without their names, it prints those.
    """
    result = stage.run(options, console.listen)
    short = getattr(result, "brief", getattr(result, "numbers", result.lines))
    lines = short if console.quiet else result.lines
    console.report("\n".join(map(escape_line, lines)), result.as_dict())


def make(stage: ModuleType, options: object, console: Console) -> None:
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

    @property
    def parameters(self) -> list[Parameter]:
        """The options of the stage and those of every command that the stage does not declare itself."""
        own = parameters_of(self.options_type)
        hidden = {each.name for each in own} | (set() if self.json else {"json"})
        return [*own, *(each for each in parameters_of(GlobalOptions) if each.name not in hidden)]

    @property
    def is_signed(self) -> bool:
        """Whether an argument may begin with a minus sign, as in `king - man`."""
        return any(each.declared.signed for each in self.parameters)


def register(app: typer.Typer, command: Command, panel: str, table: str, commands: Mapping[str, Command]) -> None:
    """Add a command with all its options.

    Args:
        app: The application.
        command: The command.
        panel: Its group in `rnnkit --help`.
        table: Its table in a configuration file.
        commands: All commands.
    """
    parameters = command.parameters

    def load(context: typer.Context, value: Path | None) -> Path | None:
        if value is not None:
            context.default_map = config_file.read_table(value, table, parameters, commands)
        return value

    def call(**values: JsonValue) -> None:
        debug = failures.debugging(os.environ) or bool(values.get("debug"))
        if code := failures.guard(lambda: invoke(command, values, commands), debug):
            raise typer.Exit(code)

    call.__signature__ = signature.signature(parameters, {"config": load})  # type: ignore[attr-defined]
    text = inspect.cleandoc(command.options_type.__doc__ or "").partition("\n\nAttributes:")[0]
    app.command(
        command.name,
        help=pages.escape("\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))),
        short_help=command.summary,
        epilog=pages.example(command.stage.EXAMPLE),
        cls=pages.CommandPage,
        rich_help_panel=panel,
        context_settings={"ignore_unknown_options": command.is_signed},
    )(call)


def register_name(app: typer.Typer, command: Command, panel: str) -> None:
    """Add the name of a command, for lists and suggestions, without an import of its stage."""

    def call() -> None:
        raise AssertionError(f"{command.name} was registered by name only")

    app.command(command.name, help=command.summary, rich_help_panel=panel)(call)


def invoke(command: Command, values: JsonMapping, commands: Mapping[str, Command]) -> int | None:
    """Run a command, or print its options with `--print-config`.

    Args:
        command: The command.
        values: Converted values by parameter.
        commands: All commands.
    """
    common = signature.build(GlobalOptions, values)
    options = signature.build(command.options_type, values)
    processes.require_single_process(command.name, options)
    quiet = bool(getattr(options, "quiet", common.quiet))
    with Console(
        quiet=quiet, json=command.json and common.json, debug=common.debug, silent=processes.silent()
    ) as console:
        if common.print_config:
            console.write(escape_json(to_toml(command.name, options).rstrip()))
            return failures.DONE
        from rnnkit.kernels import kernel_cache

        paths.check(options)
        if common.config is not None:
            from rnnkit.stages import outputs

            for output in outputs.output_paths(options):
                outputs.check_not_inputs(output, [common.config])
        for text in _warnings(command, options, commands):
            console.listen(WarningEvent(text))
        limit_library_threads()
        with kernel_cache.report_warnings_to(console.listen):
            return command.act(command.stage, options, console)


def _warnings(command: Command, options: object, commands: Mapping[str, Command]) -> Iterator[str]:
    if rank_from_environment().world_size > 1:
        return  # the process that started this one has printed them
    yield from environment.unread_variables(
        os.environ, command.parameters, lambda: [each for other in commands.values() for each in other.parameters]
    )
    count, cores = getattr(options, "processes", 1), available_cores()
    if count > cores:  # slower than fewer, and more memory
        have = "1 core" if cores == 1 else f"{cores} cores"
        yield f"{count} processes share {have}: --processes {cores} is faster"
