"""Encoders with the layers of a language model: its states, embeddings matched by token, and characters."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.raising import raises

from rnnkit.data.word_table import Alphabet, SparseRows, WordBatch, WordTable
from rnnkit.errors import ArtefactError, FormatError
from rnnkit.io import manifest
from rnnkit.models import store
from rnnkit.models.labelling.causal_encoder import CausalEncoder
from rnnkit.models.labelling.labelling_encoder import LabellingConfig, LabellingEncoder
from rnnkit.models.labelling.labelling_store import character_features
from rnnkit.models.labelling.lm_initialization import CausalShape, copy_language_model, read_causal_shape
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text.special_tokens import EOS, NAMES, PAD
from rnnkit.text.vocabulary import Vocabulary

WORDS = ("</s>", "a", "bird", "sings", "now")
SENTENCES = [[1, 2, 3, 0], [4, 0], [2, 2, 4, 1, 3, 2, 0]]
ALPHABET = Alphabet.of_words(WORDS[1:])
VOCABULARY = Vocabulary((*NAMES, *WORDS[1:]), (0,) * 8)


def language_model(arch: str, **changes: Any) -> LanguageModelNetwork:
    torch.manual_seed(3)
    sizes = {"embedding": 6, "hidden": 6} if arch == "transformer" else {"embedding": 5, "hidden": 7}
    config = LMConfig(arch, len(VOCABULARY), layers=3, heads=2, memory=4, **{**sizes, **changes})  # type: ignore[arg-type]
    return LanguageModelNetwork(config).eval()


def labelling(source: LMConfig, **changes: Any) -> LabellingConfig:
    shape = CausalShape(
        source.arch, source.embedding, source.hidden, source.layers,
        source.embedding if source.tied else source.hidden, source.residual, source.heads, source.memory,
    )  # fmt: skip
    config = LabellingConfig(
        source.arch, len(VOCABULARY), [3, 2], alphabet=len(ALPHABET), character_embedding=3, character_hidden=4,
        unknown=0.0,
    )  # fmt: skip
    return shape.extend(dataclasses.replace(config, **{"characters": "none", **changes}))


def batch(config: LabellingConfig, pieces: bool = False) -> WordBatch:
    tokens = [[EOS], [4], [5, 6] if pieces else [5], [6], [7]]
    table = WordTable(WORDS, SparseRows.from_lists(tokens)).with_features(character_features(config, ALPHABET))
    return table.batch([np.array(sentence) for sentence in SENTENCES])


@pytest.mark.parametrize("changes", [{}, {"tied": False}, {"residual": True, "hidden": 5, "embedding": 5}], ids=str)
@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
def test_the_states_are_those_of_the_language_model(arch: str, changes: dict[str, Any]) -> None:
    source = language_model(arch, **({} if arch == "transformer" else changes))
    config = labelling(source.config)
    encoder = LabellingEncoder(config).eval()
    assert copy_language_model(encoder, source, VOCABULARY, VOCABULARY) == 0
    encoded = encoder(batch(config))
    for row, sentence in enumerate(SENTENCES):
        stream_1T = torch.tensor([[EOS, *(index + 3 if index else EOS for index in sentence)]])
        expected = source.hidden_states(stream_1T, source.initial_state(1)).hidden_BTE[0, 1:]
        torch.testing.assert_close(encoded.state_BTH[row, : len(sentence)], expected)


def test_a_word_of_several_pieces_has_the_state_of_the_last() -> None:
    source = language_model("gru")
    config = labelling(source.config)
    encoder = LabellingEncoder(config).eval()
    copy_language_model(encoder, source, VOCABULARY, VOCABULARY)
    encoded = encoder(batch(config, pieces=True))
    expected = source.hidden_states(torch.tensor([[EOS, 4, 5, 6]]), source.initial_state(1)).hidden_BTE[0, -1]
    torch.testing.assert_close(encoded.state_BTH[0, 1], expected)


@pytest.mark.parametrize("arch", ["lstm", "transformer"])
@pytest.mark.parametrize("characters", ["lstm", "cnn", "ngrams"])
def test_characters_join_the_states(arch: str, characters: str) -> None:
    source = language_model(arch)
    plain = labelling(source.config)
    config = labelling(source.config, characters=characters)
    alone, joined = LabellingEncoder(plain).eval(), LabellingEncoder(config).eval()
    for encoder in (alone, joined):
        copy_language_model(encoder, source, VOCABULARY, VOCABULARY)
    states = joined(batch(config)).state_BTH
    assert config.state_size == plain.state_size + 4 == states.shape[2]
    torch.testing.assert_close(states[:, :, :-4], alone(batch(plain)).state_BTH)
    assert not torch.equal(states[0, 0, -4:], states[0, 1, -4:])


def test_embeddings_are_matched_by_token() -> None:
    source = language_model("lstm")
    own = Vocabulary((*NAMES, "sings", "new", "a", "other"), (0,) * 8)
    encoder = LabellingEncoder(labelling(source.config))
    assert copy_language_model(encoder, source, VOCABULARY, own) == 2
    table_VE, other_VE = encoder.embedding.weight, source.embedding.weight
    torch.testing.assert_close(table_VE[[EOS, 4, 6]], other_VE[[EOS, 6, 4]])
    torch.testing.assert_close(table_VE[[5, 7]], other_VE[4:].mean(0).expand(2, -1))
    assert not table_VE[PAD].any()


def test_every_parameter_has_its_depth() -> None:
    config = labelling(language_model("lstm").config, characters="cnn")
    encoder = LabellingEncoder(config)
    by_depth = encoder.layer_parameters()
    assert isinstance(encoder.layers, CausalEncoder)
    expected = [*reversed(list(encoder.layers.layers)), encoder.embedding]
    assert [len(group) for group in by_depth] == [4, 4, 4, 1]
    for group, module in zip(by_depth, expected, strict=True):
        assert all(found is each for found, each in zip(group, module.parameters(), strict=True))


@pytest.mark.parametrize("changes", [{"layer_norm": True}, {"arch": "transformer", "heads": 2}], ids=str)
def test_the_depths_of_other_encoders_have_all_their_parameters(changes: dict[str, Any]) -> None:
    config = LabellingConfig("lstm", 9, [3], embedding=5, hidden=6, layers=3, alphabet=9)
    encoder = LabellingEncoder(dataclasses.replace(config, **changes))
    by_depth = encoder.layer_parameters()
    assert len(by_depth) == 4
    found = [id(parameter) for group in by_depth for parameter in group]
    assert sorted(found) == sorted(map(id, encoder.parameters()))


def test_the_outputs_have_the_size_of_the_states() -> None:
    config = labelling(language_model("lstm", tied=False).config, pooling="all", characters="ngrams", alphabet=50)
    scores = ClassifierNetwork(config).scores(batch(config))
    assert [each.shape for each in scores] == [(3, 3), (3, 2)]


def write_model(folder: Path, task: str, network: dict[str, Any]) -> Path:
    folder.mkdir()
    store.write_config(folder, task, ["en"], ["vocab.tsv"], network)
    manifest.write(folder / manifest.NAME, manifest.Manifest(store.KIND, store.VERSION))
    return folder


@pytest.mark.parametrize(("tied", "last"), [(True, 5), (False, 7)])
def test_the_shape_of_a_language_model(tmp_path: Path, tied: bool, last: int) -> None:
    config = language_model("gru", tied=tied, residual=True).config
    folder = write_model(tmp_path / "lm", store.LANGUAGE_MODEL, dataclasses.asdict(config))
    shape = read_causal_shape(folder)
    assert shape == CausalShape("gru", 5, 7, 3, last, residual=True, heads=1, memory=0)
    labeller = write_model(tmp_path / "tagger", store.TAGGING, dataclasses.asdict(labelling(config)))
    assert read_causal_shape(labeller) == dataclasses.replace(shape, heads=2, memory=4)


def test_other_models_have_no_such_shape(tmp_path: Path) -> None:
    plain = dataclasses.asdict(LabellingConfig("lstm", 9, [3]))
    assert read_causal_shape(write_model(tmp_path / "tagger", store.TAGGING, plain)) is None
    assert read_causal_shape(write_model(tmp_path / "masked", store.MASKED_LM, {})) is None


@pytest.mark.parametrize(
    ("network", "value"),
    [
        ({"arch": "ngram", "order": 3}, "n-gram"),
        ({"arch": "gru", "vocabulary": 9, "direction": "backward"}, "backward"),
    ],
)
def test_language_models_that_no_encoder_starts_from(tmp_path: Path, network: dict[str, Any], value: str) -> None:
    folder = write_model(tmp_path / "lm", store.LANGUAGE_MODEL, network)
    with raises(ArtefactError, value, path=folder, option="--init-from"):
        read_causal_shape(folder)


@pytest.mark.parametrize("network", [{}, {"arch": "lstm", "vocabulary": 9, "unheard_of": 1}], ids=str)
def test_a_damaged_configuration_is_named(tmp_path: Path, network: dict[str, Any]) -> None:
    folder = write_model(tmp_path / "lm", store.LANGUAGE_MODEL, network)
    with raises(FormatError, path=folder / "config.json"):
        read_causal_shape(folder)
