"""Commands that look after files."""

from __future__ import annotations

from rnnkit.cli.command import Command, make

COMMANDS = (
    Command("inspect", "Say what a file or directory is", module="files.inspect"),
    Command("verify", "Compare files with the checksums written beside them", module="files.verify"),
    Command("average", "Average the weights of several checkpoints or models", make, module="training.average"),
    Command(
        "convert-embeddings", "Take word vectors from one format into another", make, module="files.convert_embeddings"
    ),
    Command(
        "convert-ngrams", "Take counted language models to ARPA files and back", make, module="files.convert_ngrams"
    ),
)
