"""From a stage's options to the parameters that Typer parses.

Typer only collects text and flags here: every value is optional and unconverted, because `config.resolve` merges
the command line with the environment, the file and the defaults, and speaks with one voice where a value is wrong.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from rnnkit import config

Field = dataclasses.Field[Any]


def parameters(options_type: type[Any], skip: Sequence[str] = ()) -> list[inspect.Parameter]:
    """One keyword parameter for each field, annotated for Typer."""
    return [_parameter(field, wanted) for field, wanted in typed_fields(options_type) if field.name not in skip]


def typed_fields(options_type: type[Any]) -> list[tuple[Field, Any]]:
    """The fields of a dataclass, each with its type without `| None`."""
    hints = typing.get_type_hints(options_type)
    return [(field, value_type(hints[field.name])) for field in dataclasses.fields(options_type)]


def value_type(wanted: Any) -> Any:
    """An annotation without its `| None`."""
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(wanted) if part is not type(None))
    return wanted


def flags(field: Field, wanted: Any) -> list[str]:
    """The field's spellings; a boolean whose flags are not written out has a `--no-` form after a slash."""
    if field.metadata["flags"]:
        return list(field.metadata["flags"])
    name = config.flag(field.name)
    return [f"--{name}/--no-{name}" if wanted is bool else f"--{name}"]


def words(options: Any) -> list[str]:
    """Flags that say what options say; not those that are as they are where nobody says anything, and no arguments."""
    said: list[str] = []
    for field, wanted in typed_fields(type(options)):
        value = config.plain(getattr(options, field.name))
        if value is None or field.metadata["argument"]:
            continue
        if wanted is bool:
            said.append(flags(field, wanted)[0].split("/")[0 if value else -1])
        else:
            flag = flags(field, wanted)[0]
            said += [f"{flag}={item}" for item in (value if isinstance(value, list) else [value])]
    return said


def spread(words: Sequence[str], options_type: type[Any]) -> list[str]:
    """Repeat a flag that takes many values before each of them: `--train A B` becomes `--train A --train B`."""
    greedy = {
        spelled
        for field in dataclasses.fields(options_type)
        if field.metadata["many"]
        for spelled in flags(field, None)
    }
    result: list[str] = []
    taking = ""
    for place, word in enumerate(words):
        if word == "--":
            return [*result, *words[place:]]
        if word in greedy:
            taking = word
            if not _is_value(words[place + 1 : place + 2]):
                result.append(word)  # without a value: the parser's error to explain
        elif taking and _is_value([word]):
            result += [taking, word]
        else:
            taking = ""
            result.append(word)
    return result


def hide_signs(words: Sequence[str], options_type: type[Any]) -> list[str]:
    """Put a space before `-man` where an argument takes signed words, so that the parser sees no option in it.

    `-h` and other flags with one hyphen stay what they are, and so does the value of a flag.
    """
    fields = typed_fields(options_type)
    if not any(field.metadata["signed"] for field, _ in fields):
        return list(words)
    spelled = [(flag, wanted) for field, wanted in fields for flag in flags(field, wanted)]
    taking = {flag for flag, wanted in spelled if wanted is not bool}
    short = {"-h", *(flag for flag, _ in spelled)}
    end = words.index("--") if "--" in words else len(words)
    hidden = [
        f" {word}" if _SIGNED.match(word) and word not in short and before not in taking else word
        for before, word in zip(["", *words], words[:end], strict=False)
    ]
    return [*hidden, *words[end:]]


_SIGNED = re.compile(r"-[^-]|-.*\s")


def _is_value(words: Sequence[str]) -> bool:
    """Whether the first word is a value: no flag, or a negative number, or `-`."""
    return bool(words) and (not words[0].startswith("-") or re.fullmatch(r"-|-\.?\d.*", words[0]) is not None)


def _parameter(field: Field, wanted: Any) -> inspect.Parameter:
    annotation: Any = str
    if wanted is bool:
        annotation = bool
    elif typing.get_origin(wanted) is list:
        annotation = list[str]
    choices = field.metadata["choices"]
    complete = _completion(choices) if choices else None
    help = field.metadata["help"]
    if field.metadata["argument"]:
        info = typer.Argument(help=help, metavar=config.spelling(field), autocompletion=complete)
    else:
        info = typer.Option(*flags(field, wanted), help=help, autocompletion=complete)
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation | None, info]
    )


def _completion(choices: Sequence[str]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete
