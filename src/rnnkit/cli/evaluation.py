"""Commands that score."""

from __future__ import annotations

from rnnkit.cli.command import Command

COMMANDS = (
    Command("bleu", "Score hypotheses against references: BLEU, chrF, TER"),
    Command("error-rate", "Measure how many lines, tokens and characters are wrong"),
)
