"""Commands that score."""

from __future__ import annotations

from rnnkit.cli.command import Command

COMMANDS = (
    Command.report("bleu", "Score hypotheses against references: BLEU, chrF, TER"),
    Command.report("error-rate", "Measure how many lines, tokens and characters are wrong"),
)
