"""Commands that score."""

from __future__ import annotations

from rnnkit.cli.command import Command

COMMANDS = (
    Command("bleu", "Score hypotheses against references: BLEU, chrF, TER"),
    Command("error-rate", "Count wrong lines, tokens and characters"),
    Command("evaluate-embeddings", "Test word vectors on analogies and rated pairs of words"),
)
