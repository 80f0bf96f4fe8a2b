"""Commands that look after files."""

from __future__ import annotations

from rnnkit.cli.command import Command, make

COMMANDS = (
    Command("inspect", "Describe a file or directory", module="files.inspect"),
    Command("verify", "Verify files against their checksums", module="files.verify"),
    Command("average", "Average the weights of several checkpoints or models", make, module="training.average"),
    Command("convert-embeddings", "Convert word vectors between formats", make, module="files.convert_embeddings"),
    Command("convert-ngrams", "Convert n-gram models to and from ARPA", make, module="files.convert_ngrams"),
)
