"""Commands that use what was trained: models, word vectors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rnnkit.cli import filters
from rnnkit.cli.command import Command
from rnnkit.config import STDIN
from rnnkit.console import Console
from rnnkit.files import growing
from rnnkit.stages.outputs import claim_file, input_paths, refuse_inputs


def decode(stage: ModuleType, options: Any, console: Console) -> None:
    """Write translations as they come."""
    outputs = [path for path in (options.output, options.alignments) if path is not None]
    # Nobody else may add lines between the look at what is there and the first line of this run.
    with growing.only_writer(*(path for path in outputs if path != STDIN)):
        for path in outputs:
            others = [other for other in outputs if other is not path]
            if options.resume:
                refuse_inputs(path, [*input_paths(options), *others])
                continue
            claim_file(options, path, others=others)
            if path != STDIN and not options.overwrite:
                growing.refuse_partial(path)
        if options.attention is not None and not options.resume:
            claim_file(options, options.attention, others=outputs)
        filters.announce(options.files, console)
        if options.output == STDIN:
            filters.pour(stage.run(options, console.listen), options.output, console)
        else:
            stage.write(options, console.listen)


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
