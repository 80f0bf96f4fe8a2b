"""Commands of inference: decoding, and queries to word vectors."""

from __future__ import annotations

import glob
from pathlib import Path
from types import ModuleType
from typing import Any

from rnnkit.cli import filters
from rnnkit.cli.command import Command
from rnnkit.cli.console import Console
from rnnkit.io import resumable_output
from rnnkit.options.declare import STDIN


def pictures(path: Path) -> list[Path]:
    """The files that `--attention` may write and that exist: the maps of further lines have a number in their name."""
    if path.suffix == ".json":
        return [path]
    numbered = path.parent.glob(f"{glob.escape(path.stem)}-[0-9]*{glob.escape(path.suffix)}")
    return [path, *sorted(numbered)]


def decode(stage: ModuleType, options: Any, console: Console) -> None:
    """Write outputs as they are decoded."""
    from rnnkit.stages.outputs import check_not_inputs, check_output_file, input_paths

    outputs = [path for path in (options.output, options.alignments) if path is not None]
    # No other process may add lines between the check of the outputs and the first line of this run.
    with resumable_output.exclusive_writer(*(path for path in outputs if path != STDIN)):
        for path in outputs:
            others = [other for other in outputs if other is not path]
            if options.resume:
                check_not_inputs(path, [*input_paths(options), *others])
                continue
            check_output_file(options, path, beside=others)
            if path != STDIN and not options.overwrite:
                resumable_output.check_no_partial(path)
        if options.attention is not None and not options.resume:
            for picture in pictures(options.attention):
                check_output_file(options, picture, beside=outputs)
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
    Command("decode", "Translate, generate text, or fill gaps", decode, json=False, module="inference.decode"),
    Command(
        "neighbors", "Find the nearest neighbors of a word", answer_apart, json=False, module="inference.neighbors"
    ),
    Command("similarity", "Compute the similarity of two words", answer, json=False, module="inference.similarity"),
    Command(
        "analogy", "Add and subtract words: king - man + woman", answer_apart, json=False, module="inference.analogy"
    ),
    Command(
        "odd-one-out",
        "Find the word that does not match the others",
        answer,
        json=False,
        module="inference.odd_one_out",
    ),
)
