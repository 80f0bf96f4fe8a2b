"""Model directories of masked language models: what was written is loaded, and errors name what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.raising import raises
from tests.tiny_models import SIZE, filler, filler_folder, speaker, speaker_folder, vocabulary

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import manifest
from rnnkit.models import lm_store, store
from rnnkit.text.rule_based_tokenizers import WordTokenizer

CPU = torch.device("cpu")


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    network = filler("gru", tied=False)
    loaded = lm_store.load_masked_lm(filler_folder(tmp_path, network), "best", CPU)
    assert loaded.network.config == network.config
    assert not loaded.network.training
    for one, other in zip(loaded.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert isinstance(loaded.tokenizer, WordTokenizer)
    assert (loaded.vocabulary.tokens, loaded.language) == (vocabulary().tokens, "en")
    assert loaded.facts == {"step": 1}
    assert manifest.find_mismatches(loaded.folder) == []


def test_a_model_of_tokens_has_no_tokenizer(tmp_path: Path) -> None:
    assert lm_store.load_masked_lm(filler_folder(tmp_path, filler(), None), "best", CPU).tokenizer is None


def test_a_model_for_another_task_is_refused(tmp_path: Path) -> None:
    """The error names the task that the model is for."""
    folder = speaker_folder(tmp_path, speaker())
    with raises(ArtefactError, "a masked language model", "a language model", "`rnnkit score`", path=folder):
        lm_store.load_masked_lm(folder, "best", CPU)


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ({"hidden": 6}, "best.safetensors", "tensor backwards.0.fused.bias_hh_l0 is (20,), config.json expects (24,)"),
        ({"arch": "transformer"}, "config.json", "transformer"),
        ({"breadth": 6}, "config.json", "breadth"),
        ({"vocabulary": SIZE + 1}, "best.safetensors", f"config.json expects ({SIZE + 1}"),
    ],
)
def test_a_config_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, object], name: str, value: str) -> None:
    folder = filler_folder(tmp_path, filler())
    document = json.loads((folder / store.CONFIG_FILE).read_text(encoding="utf-8"))
    document["network"].update(change)
    (folder / store.CONFIG_FILE).write_text(json.dumps(document), encoding="utf-8")
    with raises(FormatError, value, path=folder / name):
        lm_store.load_masked_lm(folder, "best", CPU)


def test_a_vocabulary_that_does_not_fit_is_named(tmp_path: Path) -> None:
    folder = filler_folder(tmp_path, filler())
    vocabulary("more").save(folder / "vocab.tsv")
    with raises(FormatError, SIZE + 1, SIZE, path=folder / "vocab.tsv"):
        lm_store.load_masked_lm(folder, "best", CPU)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    folder = filler_folder(tmp_path, filler())
    with raises(DataError, "average", path=folder, option="--checkpoint"):
        lm_store.load_masked_lm(folder, "average", CPU)
