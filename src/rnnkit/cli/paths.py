"""Paths one level off: a workspace instead of its model, or a file instead of its folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace

if TYPE_CHECKING:
    from rnnkit.stages.outputs import Options

FOLDERS = {"model": "model", "models": "model", "data": "data", "tokenizer": "tokenizer", "vectors": "embeddings"}
"""Options that name the folder of an artefact, and its name in a workspace."""

NOUNS = {"embeddings": "word vectors are"}
"""How messages name an artifact, if not by its name in a workspace."""

MADE_BY = {"model": "train", "data": "align", "tokenizer": "tokenize", "embeddings": "train-embeddings"}
"""The command that makes each."""


def check(options: Options) -> None:
    """Check the folders among the options of a command.

    Raises:
        ArtefactError: A path is the folder above or a file inside the right folder; the message names the folder.
    """
    for field in dataclasses.fields(options):
        if field.name in FOLDERS:
            given = getattr(options, field.name)
            for path in given if isinstance(given, list) else [given]:
                if isinstance(path, Path):
                    check_folder(path, FOLDERS[field.name])


def check_folder(path: Path, kind: str) -> None:
    """Check the path of one artefact, as `check` does."""
    inner = getattr(Workspace(path), kind)
    if path.is_dir() and not (path / manifest.NAME).exists():
        if (inner / manifest.NAME).exists():
            raise ArtefactError(
                f"{path} is a workspace; its {NOUNS.get(kind, kind + ' is')} {inner}",
                hint=f"name {inner}, or give --work {path}",
            )
        if any((getattr(Workspace(path), name) / manifest.NAME).exists() for name in FOLDERS.values()):
            raise ArtefactError(
                f"{path} is a workspace, and {inner} does not exist", hint=f"`rnnkit {MADE_BY[kind]}` makes it"
            )
    if path.is_file() and (path.parent / manifest.NAME).exists() and path.suffix == ".safetensors" and kind == "model":
        raise ArtefactError(f"{path} is a file of the model {path.parent}", hint=f"name {path.parent}")
    if kind == "data" and path.is_file():
        raise ArtefactError(f"{path} is a file", "--data takes the folder that `rnnkit align` makes")
