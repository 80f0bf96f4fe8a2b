"""Commands that score: `bleu`, `error-rate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnkit.cli.command import Command
from rnnkit.console import Console

if TYPE_CHECKING:
    from rnnkit.stages import bleu as bleu_stage
    from rnnkit.stages import error_rate as error_rate_stage


def bleu(options: bleu_stage.Options, console: Console) -> None:
    """Print the scores with their signatures, or with `--quiet` the figures alone."""
    from rnnkit.stages import bleu as stage

    result = stage.run(options, console.listen)
    console.report("\n".join(result.numbers if console.quiet else result.lines), result.as_dict())


def error_rate(options: error_rate_stage.Options, console: Console) -> None:
    """Print the rates with what they count, or with `--quiet` the figures alone."""
    from rnnkit.stages import error_rate as stage

    result = stage.run(options, console.listen)
    console.report("\n".join(result.numbers if console.quiet else result.lines), result.as_dict())


COMMANDS = (
    Command("bleu", "Score hypotheses against references: BLEU, chrF, TER", bleu, reports=True),
    Command("error-rate", "Measure how many lines, tokens and characters are wrong", error_rate, reports=True),
)
