"""`decode` with language models and cloze models: lines, JSON, seeds, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.tiny_models import counts, counts_folder, filler, filler_folder, speaker, speaker_folder

from rnnkit.api.language_modeling import LanguageModel
from rnnkit.errors import DataError, UsageError
from rnnkit.events import Event, Note, Status
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.text.special_tokens import EOS

PROMPTS = ["the king", "", "A zebra, hungry", "a cat sat on"]
LINES = ["I am ___ very hungry", "___ king ___.", "the ___."]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One model of each kind."""
    places = {name: tmp_path_factory.mktemp(name) for name in ("lstm", "mingru", "ngram", "cloze")}
    return {
        "lstm": speaker_folder(places["lstm"], speaker("lstm")),
        "mingru": speaker_folder(places["mingru"], speaker("mingru"), None),
        "ngram": counts_folder(places["ngram"], counts(), "spaces"),
        "cloze": filler_folder(places["cloze"], filler()),
    }


def decoded(model: Path, lines: list[str], tmp_path: Path, **changes: Any) -> list[str]:
    text = tmp_path / "text"
    text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return list(decode.run(DecodeOptions(files=[text], model=[model], threads=1, **changes)))


@pytest.mark.parametrize("kind", ["lstm", "mingru", "ngram"])
def test_each_prompt_is_continued(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    lines = decoded(folders[kind], PROMPTS, tmp_path, max_length=6)
    assert len(lines) == 4
    for prompt, line in zip(PROMPTS, lines, strict=True):
        assert line.startswith(prompt)
    assert any(line != prompt for prompt, line in zip(PROMPTS, lines, strict=True))
    behind = decoded(folders[kind], PROMPTS, tmp_path, max_length=6, prompt=False)
    assert [line[len(prompt) :].strip() for prompt, line in zip(PROMPTS, lines, strict=True)] == behind


def test_backward_model_does_not_generate(tmp_path: Path) -> None:
    folder = speaker_folder(tmp_path, speaker("lstm", direction="backward"))
    with raises(UsageError, f"{folder} is a backward language model and cannot generate text"):
        decoded(folder, PROMPTS, tmp_path)
    with raises(UsageError, "cannot generate text"):
        LanguageModel.load(folder).generate(["the king"])


@pytest.mark.parametrize("kind", ["lstm", "ngram"])
def test_the_same_seed_gives_the_same_lines_in_any_batch(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    def drawn(seed: int, batch_tokens: int = 4096) -> list[str]:
        how = {"temperature": 0.9, "top_k": 15, "top_p": 0.97, "nbest": 2, "max_length": 12}
        return decoded(folders[kind], PROMPTS * 3, tmp_path, seed=seed, batch_tokens=batch_tokens, **how)

    first = drawn(4)
    assert len(first) == 24
    assert drawn(4) == drawn(4, batch_tokens=1) == first
    assert drawn(5) != first
    assert first[:8] != first[8:16], "the same prompts further down"


@pytest.mark.parametrize("kind", ["lstm", "ngram"])
@pytest.mark.parametrize("changes", [{"top_k": 1}, {"temperature": 1e-6}, {"top_p": 1e-6}, {"beam": 1}])
def test_sampling_with_top_k_one_is_greedy(
    folders: dict[str, Path], tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    assert decoded(folders[kind], PROMPTS, tmp_path, **changes) == decoded(folders[kind], PROMPTS, tmp_path)


def test_top_p_of_one_and_temperature_of_one_are_plain_sampling(folders: dict[str, Path], tmp_path: Path) -> None:
    plain = decoded(folders["lstm"], PROMPTS, tmp_path, sample=True)
    assert plain != decoded(folders["lstm"], PROMPTS, tmp_path)
    for changes in ({"top_p": 1.0}, {"temperature": 1.0}, {"top_k": 10_000}):
        assert decoded(folders["lstm"], PROMPTS, tmp_path, **changes) == plain


def test_json_has_prompt_tokens_and_probabilities(folders: dict[str, Path], tmp_path: Path) -> None:
    network = speaker("lstm")
    how = {"beam": 4, "nbest": 3, "max_length": 5, "length_penalty": 0.5}
    plain = decoded(folders["lstm"], PROMPTS, tmp_path, **how)
    for number, line in enumerate(decoded(folders["lstm"], PROMPTS, tmp_path, json=True, **how), start=1):
        document = json.loads(line)
        assert list(document) == ["line", "prompt_tokens", "outputs"]
        assert document["line"] == number
        assert [one["text"] for one in document["outputs"]] == plain[3 * number - 3 : 3 * number]
        for one in document["outputs"]:
            assert list(one) == ["text", "continuation", "score", "log_probability", "tokens", "ended"]
            assert one["ended"] == (len(one["tokens"]) < 5)
            assert one["score"] == pytest.approx(one["log_probability"] / (len(one["tokens"]) + 1) ** 0.5)
            assert one["log_probability"] == pytest.approx(_read(network, document["prompt_tokens"], one), abs=1e-4)


@torch.no_grad()
def _read(network: Any, prompt: list[str], output: dict[str, Any]) -> float:
    """Sum of the log-probabilities of what follows the prompt, the whole line read token by token."""
    from tests.tiny_models import vocabulary

    ids = vocabulary().encode([*prompt, *output["tokens"]]) + ([EOS] if output["ended"] else [])
    state, last, total = network.initial_state(1), EOS, 0.0
    for place, token in enumerate(ids):
        reading = network.hidden_states(torch.tensor([[last]]), state)
        if place >= len(prompt):
            total += network.log_probabilities(reading.hidden_BTE[:, -1])[0, token].item()
        state, last = reading.state, token
    return total


def test_unused_seed_is_noted(folders: dict[str, Path], tmp_path: Path) -> None:
    heard: list[Event] = []
    given: list[dict[str, Any]] = [{"seed": 3}, {"seed": 3, "sample": True}, {}]
    for changes in given:
        decode.run(DecodeOptions(files=[tmp_path], model=[folders["lstm"]], **changes), heard.append)
    assert [event for event in heard if not isinstance(event, Status)] == [
        Note("--seed has no effect without sampling")
    ]


def test_notes_name_the_model(folders: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("___\n", encoding="utf-8")
    said = {
        "lstm": "best weights, lstm en",
        "ngram": "3-grams, en",
        "cloze": "best weights, masked language model of en",
    }
    for kind, words in said.items():
        heard: list[Event] = []
        list(
            decode.run(
                DecodeOptions(files=[text], model=[folders[kind]], fill=kind == "cloze", threads=1), heard.append
            )
        )
        assert Note(f"{folders[kind]}: {words}") in heard


def test_counts_have_no_checkpoints(folders: dict[str, Path], tmp_path: Path) -> None:
    with raises(UsageError, "last", path=folders["ngram"], option="--checkpoint"):
        decoded(folders["ngram"], PROMPTS, tmp_path, checkpoint="last")


def test_gaps_are_filled_and_several_candidates_listed(folders: dict[str, Path], tmp_path: Path) -> None:
    lines = decoded(folders["cloze"], LINES, tmp_path, fill=True)
    assert len(lines) == 3
    assert not any("___" in line for line in lines)
    assert lines[2].startswith("the ")
    assert lines[2].endswith(".")
    ranked = decoded(folders["cloze"], [LINES[0], LINES[2]], tmp_path, fill=True, nbest=4)
    assert ranked[::4] == [lines[0], lines[2]]
    assert len(set(ranked)) == 8


def test_json_of_gaps_has_candidates_with_probabilities(folders: dict[str, Path], tmp_path: Path) -> None:
    plain = decoded(folders["cloze"], LINES, tmp_path, fill=True)
    found = [json.loads(line) for line in decoded(folders["cloze"], LINES, tmp_path, fill=True, nbest=3, json=True)]
    assert [len(one["outputs"]) for one in found] == [3, 1, 3]
    assert [len(one["gaps"]) for one in found] == [1, 2, 1]
    for number, (one, line) in enumerate(zip(found, plain, strict=True), start=1):
        assert list(one) == ["line", "outputs", "gaps"]
        assert one["line"] == number
        assert one["outputs"][0]["text"] == line
        for gap in one["gaps"]:
            p = [candidate["probability"] for candidate in gap["candidates"]]
            assert p == sorted(p, reverse=True)
            assert len(p) == 3
            assert 0 < sum(p) < 1
            assert one["outputs"][0]["tokens"][gap["place"]] == gap["candidates"][0]["token"]


def test_gap_marker_can_be_changed(folders: dict[str, Path], tmp_path: Path) -> None:
    usual = decoded(folders["cloze"], LINES, tmp_path, fill=True)
    lines = [line.replace("___", "[MASK]") for line in LINES]
    assert decoded(folders["cloze"], lines, tmp_path, fill=True, gap="[MASK]") == usual


def test_lines_that_cannot_be_filled_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with raises(DataError, "___", line=2, path=tmp_path / "text"):
        decoded(folders["cloze"], [LINES[0], "", LINES[1]], tmp_path, fill=True)
    with raises(DataError, 2, line=2, option="--nbest", path=tmp_path / "text"):
        decoded(folders["cloze"], LINES, tmp_path, fill=True, nbest=2)


def test_missing_model_is_reported_before_reading(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no model at"):
        decode.run(DecodeOptions(files=[tmp_path], model=[tmp_path / "nothing"]))
