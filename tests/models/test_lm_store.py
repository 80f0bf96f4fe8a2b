"""The directory of a cloze model: what was written is what is read, and what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.tiny_models import SIZE, filler, filler_folder, speaker, speaker_folder, vocabulary

from rnnkit.errors import ArtefactError, DataError, FormatError
from rnnkit.io import manifest
from rnnkit.models import lm_store, store
from rnnkit.text.tokenizers.word_tokenizer import WordTokenizer

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


def test_text_in_tokens_needs_no_tokenizer(tmp_path: Path) -> None:
    assert lm_store.load_masked_lm(filler_folder(tmp_path, filler(), None), "best", CPU).tokenizer is None


def test_a_model_for_something_else_is_refused_with_what_it_is_for(tmp_path: Path) -> None:
    folder = speaker_folder(tmp_path, speaker())
    with pytest.raises(ArtefactError, match="is no cloze model\n  it is a language model: `rnnkit score`"):
        lm_store.load_masked_lm(folder, "best", CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 6}, "does not fit its config.json"),
        ({"arch": "transformer"}, "config.json describes no network\n  arch 'transformer' has no recurrent layer"),
        ({"breadth": 6}, "config.json describes no network"),
        ({"vocabulary": SIZE + 1}, "does not fit its config.json"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = filler_folder(tmp_path, filler())
    document = json.loads((folder / store.CONFIG_FILE).read_text(encoding="utf-8"))
    document["network"].update(change)
    (folder / store.CONFIG_FILE).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(FormatError, match=message):
        lm_store.load_masked_lm(folder, "best", CPU)


def test_a_vocabulary_that_does_not_fit_is_named(tmp_path: Path) -> None:
    folder = filler_folder(tmp_path, filler())
    vocabulary("more").save(folder / "vocab.tsv")
    with pytest.raises(FormatError, match=rf"vocab.tsv has {SIZE + 1} rows, config.json says {SIZE}"):
        lm_store.load_masked_lm(folder, "best", CPU)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no average checkpoint"):
        lm_store.load_masked_lm(filler_folder(tmp_path, filler()), "average", CPU)
