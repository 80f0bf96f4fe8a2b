"""Commands that use what was trained: models, word vectors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rnnkit.cli import filters
from rnnkit.cli.command import Command
from rnnkit.console import Console


def decode(stage: ModuleType, options: Any, console: Console) -> None:
    """Write translations as they come."""
    filters.refuse_existing(options.output, options.overwrite)
    filters.announce(options.files, console)
    filters.pour(stage.run(options, console.listen), options.output, console)


def answer(stage: ModuleType, options: Any, console: Console) -> int:
    """Answer questions in a line each."""
    return filters.answer(stage.run(options, console.listen), options.json, False, console)


def answer_apart(stage: ModuleType, options: Any, console: Console) -> int:
    """Answer questions in a block of lines each."""
    return filters.answer(stage.run(options, console.listen), options.json, True, console)


COMMANDS = (
    Command("decode", "Translate, go on from prompts, or fill gaps", decode, json=False),
    Command("neighbors", "Find the words nearest to a word", answer_apart, json=False),
    Command("similarity", "Say how near two words are", answer, json=False),
    Command("analogy", "Add and subtract words: king - man + woman", answer_apart, json=False),
    Command("odd-one-out", "Name the word that does not belong to the others", answer, json=False),
)
