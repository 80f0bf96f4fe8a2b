"""The words of a command line before Typer parses them: unknown options, renamed ones, and lists of values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.cli import suggestions
from rnnkit.errors import UsageError
from rnnkit.options.declare import Parameter


@dataclass(frozen=True)
class Flag:
    """A spelling of an option.

    Attributes:
        name: The spelling that Typer parses: the present one of a renamed option.
        parameter: The option; None for `--help`.
    """

    name: str
    parameter: Parameter | None = None

    @property
    def has_value(self) -> bool:
        """Whether a value follows."""
        return self.parameter is not None and self.parameter.kind is not bool


def flags_of(parameters: Collection[Parameter]) -> dict[str, Flag]:
    """Every spelling of some options, former ones included, those of `--help`, and the names of arguments."""
    flags = {"--help": Flag("--help"), "-h": Flag("-h")}
    for parameter in parameters:
        if parameter.declared.argument:
            flags[parameter.name] = Flag(parameter.spelling, parameter)
        former = parameter.spelled(parameter.declared.formerly) if parameter.declared.formerly else []
        flags |= {flag: Flag(flag, parameter) for flag in parameter.flags}
        flags |= {old: Flag(new, parameter) for old, new in zip(former, parameter.flags, strict=False)}
    return flags


def resolve(
    words: Sequence[str], command: str, flags: Mapping[str, Flag], signed: bool, warn: Callable[[str], None]
) -> list[str]:
    """Replace former spellings of options, and give each value of a list a flag of its own, as Typer expects.

    `--metric bleu,chrf` becomes `--metric bleu --metric chrf`. For this release, so does `--metric bleu chrf` where
    the option is declared with `many`. A value that names a file is not split at its commas.

    Args:
        words: What follows the command.
        command: Its name, for messages.
        flags: Its options by spelling.
        signed: Whether `-` and a word is a value, as in `king -man`.
        warn: Called with a warning about each former spelling.

    Raises:
        UsageError: An option is unknown or has no value, or a path is empty.
    """
    result: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, joined, value = word.partition("=")
        if word == "--":
            return [*result, word, *rest]
        if _is_value(word) or (signed and not word.startswith("--")):
            result.append(word)
            continue
        flag = flags.get(name)
        if flag is None:
            _refuse_unknown(name, command, flags)
            result.append(word)  # short options joined, such as `-hx`
            continue
        if flag.name != name:
            warn(f"{name} is now {flag.name}; the former name works until the next release")
        if flag.parameter is None or not flag.has_value:
            result.append(f"{flag.name}{joined}{value}")
            continue
        values = [value] if joined else rest[:1]
        if not joined:
            del rest[:1]
            while flag.parameter.declared.many and rest and _is_value(rest[0]):
                values.append(rest.pop(0))
        if flag.parameter.kind is Path and "" in values:  # would be the current folder
            raise UsageError(f"{flag.name} expects a path, not ''", option=flag.name)
        if flag.parameter.is_list:
            values = [part for each in values for part in _split(each)]
        if not values:
            raise UsageError(f"{flag.name} expects a value", flag.parameter.declared.help, option=flag.name)
        result += [f"{flag.name}={each}" for each in values]
    return result


def _is_value(word: str) -> bool:
    """Whether a word is a value: no flag, or a negative number, or `-`."""
    return not word.startswith("-") or re.fullmatch(r"-|-\.?\d.*", word) is not None


def _split(value: str) -> list[str]:
    return [value] if "," not in value or Path(value).exists() else value.split(",")


def _refuse_unknown(name: str, command: str, flags: Collection[str]) -> None:
    """Refuse `--unknown`, and `-src`, which the parser would read as the options `-s -r -c`."""
    if not name.startswith("--") and (len(name) == 2 or name[:2] in flags) and f"-{name}" not in flags:
        return
    hint = suggestions.for_option(name, command, flags) or f"`rnnkit {command} --help` lists the options"
    raise UsageError(f"no such option: {name}", hint=hint, option=name)
