"""Model directories: what was written is loaded, and an invalid `config.json` is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.tiny_models import translator, translator_folder

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.models import store


def load(folder: Path, checkpoint: str = "best") -> store.LoadedSeq2Seq:
    return store.load_seq2seq(folder, checkpoint, torch.device("cpu"))


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    network = translator()
    model = load(translator_folder(tmp_path, network))
    assert model.network.config == network.config
    assert model.languages == ("de", "en")
    for name, tensor in network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], tensor)


@pytest.mark.parametrize("key", ["task", "languages", "vocabularies", "network"])
def test_a_missing_or_misspelled_key_is_damage(tmp_path: Path, key: str) -> None:
    folder = translator_folder(tmp_path, translator())
    document = json.loads((folder / store.CONFIG_FILE).read_text())
    value = document.pop(key)
    for more in ({}, {f"{key}s": value}):
        (folder / store.CONFIG_FILE).write_text(json.dumps({**document, **more}))
        with raises(FormatError, key, "copy the model directory again", path=folder / store.CONFIG_FILE):
            load(folder)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        (lambda document: document.update(languages=["de"]), "2 languages, not 1"),
        (lambda document: document.update(languages=[]), "languages are []"),
        (lambda document: document.update(vocabularies=["../vocab.tsv"]), "vocabularies are ['../vocab.tsv']"),
        (lambda document: document.update(network=[]), "network or task"),
        (lambda document: document["network"].update(hidden=-1), "hidden is -1"),
        (lambda document: document["network"].update(source_size=0), "valid network"),
        (lambda document: document["network"].update(breadth=1), "breadth"),
    ],
)
def test_an_invalid_config_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], value: str) -> None:
    folder = translator_folder(tmp_path, translator())
    document = json.loads((folder / store.CONFIG_FILE).read_text())
    change(document)
    (folder / store.CONFIG_FILE).write_text(json.dumps(document))
    with raises(FormatError, value, folder / store.CONFIG_FILE, path=folder / store.CONFIG_FILE):
        load(folder)


def test_a_model_for_another_task_is_refused(tmp_path: Path) -> None:
    folder = translator_folder(tmp_path, translator())
    document = json.loads((folder / store.CONFIG_FILE).read_text())
    (folder / store.CONFIG_FILE).write_text(json.dumps({**document, "task": "dancing"}))
    with raises(ArtefactError, "dancing", path=folder):
        load(folder)


def test_a_missing_checkpoint_has_a_hint(tmp_path: Path) -> None:
    folder = translator_folder(tmp_path, translator())
    with raises(DataError, f"`rnnkit average {folder}`", path=folder, option="--checkpoint"):
        load(folder, "average")
