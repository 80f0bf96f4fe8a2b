"""Folders that are one level off: a workspace where its model is meant, a file where its folder is meant."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rnnkit.errors import ArtefactError
from rnnkit.io import manifest
from rnnkit.io.workspace import Workspace

FOLDERS = {"model": "model", "models": "model", "data": "data", "tokenizer": "tokenizer", "vectors": "embeddings"}
"""Options that name an artefact's folder, and what it is called in a workspace."""


def check(options: Any) -> None:
    """Look at the paths of a command's options before it reads them.

    Raises:
        ArtefactError: A path is the folder above or a file below what is meant; the message names the right one.
    """
    for field in dataclasses.fields(options):
        if field.name in FOLDERS:
            given = getattr(options, field.name)
            for path in given if isinstance(given, list) else [given]:
                if isinstance(path, Path):
                    _check(path, FOLDERS[field.name])


def _check(path: Path, kind: str) -> None:
    inner = getattr(Workspace(path), kind)
    if path.is_dir() and not (path / manifest.NAME).exists() and (inner / manifest.NAME).exists():
        raise ArtefactError(
            f"{path} is a workspace; its {kind} is {inner}", hint=f"name {inner}, or give --work {path}"
        )
    if path.is_file() and (path.parent / manifest.NAME).exists() and path.suffix == ".safetensors" and kind == "model":
        raise ArtefactError(f"{path} is a file of the model {path.parent}", hint=f"name {path.parent}")
    if kind == "data" and path.is_file():
        raise ArtefactError(f"{path} is a file", "--data takes the folder that `rnnkit align` makes")
