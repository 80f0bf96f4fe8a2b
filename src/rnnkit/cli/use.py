"""Commands that use what was trained: models, word vectors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rnnkit.cli import filters
from rnnkit.cli.command import Command
from rnnkit.config import STDIN
from rnnkit.console import Console
from rnnkit.files import growing


def decode(stage: ModuleType, options: Any, console: Console) -> None:
    """Write translations as they come."""
    outputs = [path for path in (options.output, options.alignments) if path is not None]
    for path in outputs:
        filters.refuse_folder(path)
    # Nobody else may add lines between the look at what is there and the first line of this run.
    with growing.only_writer(*(path for path in outputs if path != STDIN)):
        for path in outputs:
            filters.refuse_existing(path, options.overwrite or options.resume)
            if path != STDIN and not (options.overwrite or options.resume):
                growing.refuse_partial(path)
        filters.announce(options.files, console)
        lines = stage.run(options, console.listen)
        with stage.recorded(options):
            filters.grow(lines, options.output, stage.lines_done(options) * options.group_lines, console)


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
