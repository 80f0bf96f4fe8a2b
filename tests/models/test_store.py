"""A model directory comes back as it was written, and a `config.json` that cannot be is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
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
def test_a_key_that_is_missing_or_misspelt_is_a_damage(tmp_path: Path, key: str) -> None:
    folder = translator_folder(tmp_path, translator())
    document = json.loads((folder / store.CONFIG_FILE).read_text())
    value = document.pop(key)
    for more in ({}, {f"{key}s": value}):
        (folder / store.CONFIG_FILE).write_text(json.dumps({**document, **more}))
        with pytest.raises(FormatError) as caught:
            load(folder)
        assert str(caught.value) == (
            f"{folder / store.CONFIG_FILE} is damaged\n  keys are missing\n  hint: copy the model directory again"
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.update(languages=["de"]), "a translation has two languages, not 1"),
        (lambda document: document.update(languages=[]), "languages are []"),
        (lambda document: document.update(vocabularies=["../vocab.tsv"]), "vocabularies are ['../vocab.tsv']"),
        (lambda document: document.update(network=[]), "network or task is of another kind"),
        (lambda document: document["network"].update(hidden=-1), "hidden is -1"),
        (lambda document: document["network"].update(source_size=0), "config.json describes no network"),
        (lambda document: document["network"].update(breadth=1), "config.json describes no network"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    folder = translator_folder(tmp_path, translator())
    document = json.loads((folder / store.CONFIG_FILE).read_text())
    change(document)
    (folder / store.CONFIG_FILE).write_text(json.dumps(document))
    with pytest.raises(FormatError) as caught:
        load(folder)
    assert message in str(caught.value) and str(folder / store.CONFIG_FILE) in str(caught.value)


def test_a_model_for_something_else_is_no_translation_model(tmp_path: Path) -> None:
    folder = translator_folder(tmp_path, translator())
    document = json.loads((folder / store.CONFIG_FILE).read_text())
    (folder / store.CONFIG_FILE).write_text(json.dumps({**document, "task": "dancing"}))
    with pytest.raises(ArtefactError, match="its task is dancing"):
        load(folder)


def test_a_checkpoint_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    folder = translator_folder(tmp_path, translator())
    with pytest.raises(DataError) as caught:
        load(folder, "average")
    assert str(caught.value) == f"{folder} has no average checkpoint\n  hint: `rnnkit average {folder}` makes it"
