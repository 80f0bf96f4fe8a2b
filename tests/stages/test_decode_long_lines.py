"""Lines longer than any of training: warnings, what is read of them, and outputs that were cut."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_models import translator, translator_folder

from rnnkit.events import Event, Note, WarningEvent
from rnnkit.io import manifest
from rnnkit.models import store
from rnnkit.reports import attention_map
from rnnkit.stages.evaluation import score, score_options
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.training import average

LONGEST = {"de": 8, "en": 6}
LINES = ["the king sat", "", "a cat ran " * 4, "the " * 30_000, "a dog ran", "the king " * 80]


@pytest.fixture(scope="module", params=["lstm", "transformer"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that records the longest lines of training, as it ends seldom if ever."""
    folder = translator_folder(tmp_path_factory.mktemp(request.param), translator(request.param, seed=2, spread=1.0))
    meta = manifest.load(folder / manifest.NAME)
    store.write_manifest(folder, meta.options, meta.inputs, {**meta.facts, "longest": LONGEST}, finished=True)
    return folder


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    return path


def decoded(model: Path, text: Path, **changes: Any) -> tuple[list[dict[str, Any]], list[str]]:
    heard: list[Event] = []
    lines = list(decode.run(DecodeOptions(files=[text], model=[model], threads=1, json=True, **changes), heard.append))
    return [json.loads(line) for line in lines], [one.text for one in heard if isinstance(one, WarningEvent)]


@pytest.mark.parametrize("beam", [1, 5])
def test_overlong_line_does_not_stall_a_file(model: Path, text: Path, beam: int) -> None:
    begun = time.process_time()
    found, warnings = decoded(model, text, beam=beam)
    assert time.process_time() - begun < 15
    assert [len(one["source_tokens"]) for one in found] == [3, 0, 12, 131, 3, 131]
    assert [one.get("source_tokens_left_out") for one in found] == [None, None, None, 29_869, None, 29]
    assert all(len(each["tokens"]) < 4 * 6 + 100 for one in found for each in one["outputs"])
    assert warnings[0] == (
        "3 lines have more tokens than the longest training source (8): lines 3, 4, 6; "
        "2 lines were truncated to 132 tokens: lines 4, 6; see --max-source-length"
    )
    unfinished = [one["line"] for one in found if one["outputs"] and not one["outputs"][0]["finished"]]
    assert len(warnings) == (2 if unfinished else 1)


def test_ordinary_lines_are_translated_as_without_the_bounds(model: Path, text: Path, tmp_path: Path) -> None:
    found, _ = decoded(model, text, beam=2)
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("".join(f"{LINES[place]}\n" for place in (0, 1, 2, 4)), encoding="utf-8")
    old = translator_folder(tmp_path / "old", translator(model.parent.name.rstrip("0123456789"), seed=2, spread=1.0))
    wanted, _ = decoded(old, ordinary, beam=2)
    pairs = zip([found[place]["outputs"] for place in (0, 1, 2, 4)], [one["outputs"] for one in wanted], strict=True)
    for outputs, others in pairs:
        assert [one["text"] for one in outputs] == [one["text"] for one in others]


def test_truncated_outputs_are_marked(model: Path, text: Path) -> None:
    found, warnings = decoded(model, text, beam=1, max_length=4, max_source_length=50)
    cut = [one["line"] for one in found if one["outputs"] and len(one["outputs"][0]["tokens"]) == 3]
    assert cut
    assert cut == [one["line"] for one in found if one["outputs"] and not one["outputs"][0]["finished"]]
    shown = ", ".join(map(str, cut[:5])) + (", …" if len(cut) > 5 else "")
    what = "the output of 1 line was" if len(cut) == 1 else f"the outputs of {len(cut)} lines were"
    plural = "" if len(cut) == 1 else "s"
    assert warnings[-1] == (
        f"{what} truncated at the maximum length, perhaps inside a word: line{plural} {shown}; see --max-length"
    )
    assert [len(one["source_tokens"]) for one in found][3] == 49


def test_a_model_without_the_record_is_bounded_too(tmp_path: Path, text: Path) -> None:
    old = translator_folder(tmp_path / "old", translator(seed=2, spread=1.0))
    found, warnings = decoded(old, text, beam=1, max_length=5)
    assert len(found[3]["source_tokens"]) == 4 * 500 + 100 - 1
    assert warnings[0].startswith("1 line was truncated to 2,100 tokens: line 4; ")


def test_scores_are_of_what_is_read(model: Path, text: Path) -> None:
    heard: list[Event] = []
    lines = list(score.run(score_options.ScoreOptions(files=[text, text], model=model, threads=1), heard.append))
    assert [one.score.tokens for one in lines[:-1]] == [4, 1, 13, 124, 4, 124]
    warning = next(one.text for one in heard if isinstance(one, WarningEvent) and "exceed" in one.text)
    assert warning.startswith("2 lines exceed")
    assert all(value in warning for value in ("131 tokens", "123 of a target")) and warning.endswith("lines 4, 6")


def test_average_of_models_keeps_recorded_lengths(model: Path, tmp_path: Path) -> None:
    average.run(average.AverageOptions(models=[model, model], output=tmp_path / "mean"))
    assert store.training_max_lengths(tmp_path / "mean", ("de", "en")) == (8, 6)


def test_pictures_of_attention_are_counted(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_map, "MAX_IMAGES", 4)
    text = tmp_path / "short"
    text.write_text("the king\n\n" * 3, encoding="utf-8")
    heard: list[Event] = []
    options = DecodeOptions(
        files=[text], model=[model], threads=1, beam=1, max_length=3, attention=tmp_path / "att.png"
    )
    list(decode.run(options, heard.append))
    pictures = list(tmp_path.glob("att*.png"))
    assert len(pictures) == 2
    last = [one.text for one in heard if isinstance(one, Note)][-1]
    assert last == (
        f"{tmp_path / 'att.png'} to att-3.png: 2 pictures of attention, of the first 4 lines; 1 line has none, "
        "NAME.json holds the maps of all"
    )
