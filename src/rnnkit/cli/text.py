"""Commands that prepare text."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from rnnkit.cli import filters
from rnnkit.cli.command import Command, make
from rnnkit.cli.console import Console
from rnnkit.errors import UsageError
from rnnkit.options.declare import STDIN


def convert(stage: ModuleType, options: Any, console: Console) -> None:
    """Make files, or where no file is given, be a filter."""
    if not stage.is_filter(options):
        make(stage, options, console)
    elif console.json:
        raise UsageError("--json reports on files, a filter has none")
    else:
        stream(stage, options, console)


def stream(stage: ModuleType, options: Any, console: Console) -> None:
    """Be a filter."""
    filters.pour(stage.open_filter(options, console.listen), STDIN, console)


COMMANDS = (
    Command("tokenize", "Split raw text into tokens", convert, module="text.tokenize"),
    Command("detokenize", "Join tokens to text", stream, json=False, module="text.detokenize"),
    Command("phrases", "Join frequent word pairs: new_york", convert, module="text.phrases"),
    Command("vocab", "Build the vocabulary", make, module="text.vocab"),
    Command("align", "Encode tokens as ids and pair the two sides", make, module="text.align"),
    Command("align-words", "Align words of parallel data; lexicons, shortlists", make, module="text.align_words"),
    Command("represent", "Write aligned data as one-hot or bag-of-words matrices", make, module="text.represent"),
)
