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
    Command("tokenize", "Cut raw text into tokens", convert, module="text.tokenize"),
    Command("detokenize", "Put tokens together to text again", stream, json=False, module="text.detokenize"),
    Command("phrases", "Join words that often occur together: new_york", convert, module="text.phrases"),
    Command("vocab", "Count tokens and give each a row", make, module="text.vocab"),
    Command("align", "Turn tokens into ids and pair the two sides", make, module="text.align"),
    Command("align-words", "Find out which words translate each other; shortlists", make, module="text.align_words"),
    Command("represent", "Write aligned data as one-hot or bag-of-words matrices", make, module="text.represent"),
)
