"""Commands that look after files."""

from __future__ import annotations

from rnnkit.cli.command import Command, make

COMMANDS = (
    Command("inspect", "Say what a file or directory is"),
    Command("verify", "Compare files with the checksums written beside them"),
    Command("average", "Average the weights of several checkpoints or models", make),
    Command("convert-embeddings", "Take word vectors from one format into another", make),
    Command("convert-ngrams", "Take counted language models to ARPA files and back", make),
)
