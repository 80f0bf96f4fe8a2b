"""Commands that use a trained model."""

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


COMMANDS = (Command("decode", "Translate raw text with a trained model", decode, json=False),)
