"""States of character language models: their definition, batches, threads, and which language models have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import tiny_models
from tests.raising import raises

from rnnkit.data.character_spelling import END_OF_SENTENCE, SpelledLine
from rnnkit.data.state_cache import States
from rnnkit.errors import ArtefactError, DataError, RnnkitError, UsageError
from rnnkit.models.labelling import language_model_states
from rnnkit.models.labelling.embedded_language_models import open_language_models
from rnnkit.models.labelling.language_model_states import LanguageModelStates
from rnnkit.text.special_tokens import EOS

CPU = torch.device("cpu")
LINES = [
    ["the", "king", "ate", "a", "queue", "."], [], ["a"], ["Zürich", "\u00a0", "is", "kind"], ["\u00a0"],
    ["the", "queen"] * 9, ["."],
]  # fmt: skip


@pytest.fixture(scope="module", params=["lstm", "gru", "rnn", "mingru"])
def states(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModelStates:
    folder = tmp_path_factory.mktemp("models")
    changes = {"residual": True, "hidden": 7} if request.param == "mingru" else {}
    return open_language_models(tiny_models.character_models(folder, request.param, **changes)[::-1], CPU)


def spelled(states: LanguageModelStates, lines: Sequence[Sequence[str]]) -> list[SpelledLine]:
    speller = states.speller(None)
    return [speller.join([*map(speller.spell, line), END_OF_SENTENCE]) for line in lines]


@torch.no_grad()
def stepwise(states: LanguageModelStates, line: Sequence[str]) -> States:
    """The states of the words of a line and of its end, from language models that read one character at a time."""
    text = " ".join(line).replace("\u00a0", "").split()
    characters = list("▁".join(text))
    found = []
    for model in states.models:
        network, is_backward = model.network, model.network.config.direction == "backward"
        state, after = network.initial_state(1), []
        for token in [EOS, *model.vocabulary.encode(characters[::-1] if is_backward else characters)]:
            output = network.hidden_states(torch.tensor([[token]]), state)
            state = output.state
            after.append(output.raw_BTE[0, 0])
        taken, position = [], 0
        for word in line:
            word = word.strip("\u00a0")
            position += bool(word) and position > 0
            start, position = position, position + len(word)
            taken.append(after[len(characters) - start] if is_backward else after[position])
        found.append(torch.stack([*taken, after[0] if is_backward else after[-1]]))
    return torch.cat(found, dim=1).numpy()


def test_states_are_those_of_reading_one_character_at_a_time(states: LanguageModelStates) -> None:
    assert states.size == 13
    assert states.directions == ["forward", "backward"]
    for line, found in zip(LINES, states.compute(spelled(states, LINES)), strict=True):
        assert found.dtype == np.float16
        assert found.shape == (len(line) + 1, 13)
        np.testing.assert_allclose(found.astype(np.float32), stepwise(states, line), atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("block", [16, 48, 512])
def test_a_line_has_the_same_states_alone_and_in_any_batch(
    states: LanguageModelStates, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model_states, "BLOCK_STEPS", block)
    lines = spelled(states, [*LINES, ["king"] * 31])
    together = states.compute(lines)
    monkeypatch.setattr(language_model_states, "BATCH_CHARACTERS", 70)
    for found in (states.compute(lines[::-1])[::-1], [states.compute([line])[0] for line in lines]):
        for one, other in zip(together, found, strict=True):
            np.testing.assert_array_equal(one, other)
    padded_BTD = states.compute_padded(lines[:3])
    np.testing.assert_array_equal(padded_BTD[0], together[0])
    assert not padded_BTD[2, 2:].any()


def test_the_number_of_threads_changes_no_state(states: LanguageModelStates) -> None:
    lines, threads = spelled(states, LINES * 3), torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(np.concatenate(states.compute(lines)))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_blocks_are_a_continuous_text(states: LanguageModelStates, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = spelled(states, [["the", "king"] * 20])
    whole = states.compute(lines)[0]
    monkeypatch.setattr(language_model_states, "BLOCK_STEPS", 32)
    np.testing.assert_allclose(states.compute(lines)[0], whole, atol=2e-3)


def test_backward_states_are_forward_states_of_the_mirrored_line(tmp_path: Path) -> None:
    size = len(tiny_models.ALPHABET) + 4
    pair = []
    for direction in ("forward", "backward"):
        network = tiny_models.speaker("lstm", 5, size, direction=direction)
        pair.append(tiny_models.character_model_folder(tmp_path / direction, network))
    states = open_language_models(pair, CPU)
    line = ["the", "king", "ate", "a", "queue"]
    found, mirrored = states.compute(spelled(states, [line, [word[::-1] for word in line[::-1]]]))
    half = states.size // 2
    np.testing.assert_array_equal(found[:-1, half:], mirrored[:-1, :half][::-1])
    np.testing.assert_array_equal(found[:-1, :half], mirrored[:-1, half:][::-1])


def made(folder: Path, kind: str) -> Path:
    """A directory that is not a recurrent language model over characters."""
    size = len(tiny_models.ALPHABET) + 4
    if kind == "missing":
        return folder / "nothing"
    if kind == "words":
        return tiny_models.speaker_folder(folder, tiny_models.speaker())
    if kind == "no tokenizer":
        return tiny_models.speaker_folder(folder, tiny_models.speaker(), None)
    if kind == "n-grams":
        return tiny_models.counts_folder(folder, tiny_models.counts())
    if kind == "translation":
        return tiny_models.translator_folder(folder, tiny_models.translator())
    if kind == "cloze":
        return tiny_models.filler_folder(folder, tiny_models.filler())
    if kind == "transformer":
        return tiny_models.character_model_folder(folder, tiny_models.speaker("transformer", 1, size))
    reordered = tiny_models.ALPHABET[::-1]
    return tiny_models.character_model_folder(folder, tiny_models.speaker(size=size, direction="backward"), reordered)


@pytest.mark.parametrize(
    ("kind", "error", "values"),
    [
        ("missing", DataError, ["nothing"]),
        ("words", ArtefactError, ["not a language model over characters", "its tokenizer is words"]),
        ("no tokenizer", ArtefactError, ["not a language model over characters", "tokenized outside rnnkit"]),
        ("n-grams", ArtefactError, ["not a recurrent language model", "n-gram model, which has no states"]),
        ("translation", ArtefactError, ["not a recurrent language model", "it is a sequence-to-sequence model"]),
        ("cloze", ArtefactError, ["not a recurrent language model", "it is a masked language model"]),
        ("transformer", ArtefactError, ["not a recurrent language model", "it is a Transformer"]),
        ("other vocabulary", ArtefactError, ["have different vocabularies"]),
    ],
)
def test_other_models_are_refused(tmp_path: Path, kind: str, error: type[RnnkitError], values: list[str]) -> None:
    good = tiny_models.character_models(tmp_path / "good")[0]
    wrong = made(tmp_path / "wrong", kind)
    with raises(error, *values, path=wrong):
        open_language_models([good, wrong], CPU)


def test_language_models_of_one_direction_are_refused(tmp_path: Path) -> None:
    first, backward = tiny_models.character_models(tmp_path / "first")
    second = tiny_models.character_models(tmp_path / "second")[0]
    with raises(UsageError, f"{first} and {second} are both forward", path=second, option="--language-model"):
        open_language_models([first, second], CPU)
    with raises(UsageError, "names 3 language models", option="--language-model"):
        open_language_models([first, backward, second], CPU)
