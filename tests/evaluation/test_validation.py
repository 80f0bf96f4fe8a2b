"""Validation during training and the scoring commands give the same figures for the same lines."""

from __future__ import annotations

import json
import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.reliability.runs import finish, start

from rnnkit.data.aligned_data import AlignedData
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.errors import ArtefactError, FormatError
from rnnkit.evaluation.validation import (
    UNKNOWN_PLACEHOLDER,
    ValidationSettings,
    choose_metric,
    make_seq2seq_validation,
    score_outputs,
)
from rnnkit.events import Event, Note, WarningEvent
from rnnkit.models import store
from rnnkit.stages.evaluation import bleu, error_rate
from rnnkit.stages.inference import decode, decode_options
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.stages.training import train_seq2seq, train_seq2seq_options
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.training.signals import StopRequest

WORDS = ("der", "Hund", "sieht", "einen", "alten", "Mann", "im", "Garten", "und", "Schnee")
SAID = ("the", "dog", "sees", "an", "old", "man", "in", "Garden", "and", "snow")
UNSEEN = ("Łódź", "qwx", "ﬁn", "日本")

CASES: dict[str, dict[str, Any]] = {
    "words": {"tokenize": {"type": "words"}, "vocab": {"min_count": 3}},
    "words, copy": {"tokenize": {"type": "words"}, "vocab": {"min_count": 3}, "train": {"copy": True}},
    "words, right to left": {"tokenize": {"type": "words"}, "train": {"right_to_left": True}},
    "words, lower case": {"tokenize": {"type": "words", "lowercase": True}},
    "words, nfkc": {"tokenize": {"type": "words", "normalize": "nfkc"}},
    "words, features": {"tokenize": {"type": "words", "features": True}},
    "words, white space kept": {"tokenize": {"type": "words", "normalize": "none"}},
    "words, cut": {"tokenize": {"type": "words"}, "align": {"max_length": 5, "long": "truncate"}},
    "spaces": {"tokenize": {"type": "spaces"}, "vocab": {"min_count": 3}},
    "chars": {"tokenize": {"type": "chars"}},
    "bytes": {"tokenize": {"type": "bytes"}},
    "unigram": {"tokenize": {"type": "unigram"}},
    "bpe": {"tokenize": {"type": "bpe"}},
}
FAST = ("words, copy", "chars", "unigram")


def write_corpus(folder: Path, features: bool) -> None:
    """Word-for-word pairs; most lines of the validation part have words that the training part lacks."""
    draw = random.Random(5)
    for split, count in (("train", 90), ("valid", 17)):
        pairs = []
        for number in range(count):
            places = draw.choices(range(len(WORDS)), k=draw.randint(2, 5))
            strange = [draw.choice(UNSEEN)] if split == "valid" and number % 3 else []
            pairs.append((" ".join([*(WORDS[at] for at in places), *strange]) + ".",
                          "  ".join([*(SAID[at] for at in places), *strange]) + " ."))  # fmt: skip
        if split == "valid":
            pairs[3] = ("der Hund", "")  # left out of the data: the lines behind it move up
        behind = "\tNews;formal" if features else ""
        for side, name in enumerate(("aa", "bb")):
            text = "".join(f"{pair[side]}{'' if side else behind}\n" for pair in pairs)
            (folder / f"{split}.{name}").write_text(text, encoding="utf-8")


def prepare(folder: Path, case: dict[str, Any]) -> Path:
    """Aligned data in a workspace."""
    write_corpus(folder, bool(case["tokenize"].get("features")))
    work = folder / "work"
    files = [folder / f"{split}.{side}" for split in ("train", "valid") for side in ("aa", "bb")]
    tokenize.run(tokenize_options.TokenizeOptions(files, work=work, **case["tokenize"]))
    vocab.run(vocab.VocabOptions(work=work, **case.get("vocab", {})))
    align.run(align_options.AlignOptions(source="aa", target="bb", work=work, **case.get("align", {})))
    return work


def options(work: Path, **changes: Any) -> train_seq2seq_options.TrainSeq2SeqOptions:
    small = {
        "arch": "gru", "layers": 1, "hidden": 24, "embedding": 16, "batch_tokens": 120, "warmup": 5, "max_steps": 60,
        "validate_every": 60, "learning_rate": 0.01, "threads": 1, "precision": "fp32", "samples": 4, "dropout": 0.0,
    }  # fmt: skip
    return train_seq2seq_options.TrainSeq2SeqOptions(work=work, **{**small, **changes})


def kept_lines(folder: Path, side: str, count: int) -> list[str]:
    """The raw lines that are in the data."""
    lines = (folder / f"valid.{side}").read_text(encoding="utf-8").split("\n")[:-1]
    return [line for number, line in enumerate(lines) if number != 3][:count]


def measured_by_commands(folder: Path, model: Path, count: int) -> dict[str, float]:
    """What decoding and the scoring commands give for the first lines of the validation part."""
    for side in ("aa", "bb"):
        lines = kept_lines(folder, side, count)
        (folder / f"some.{side}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    decoded = list(
        decode.run(decode_options.DecodeOptions(files=[folder / "some.aa"], model=[model], beam=1, threads=1))
    )
    hypotheses = folder / "hypotheses"
    hypotheses.write_text("".join(f"{line}\n" for line in decoded), encoding="utf-8")
    scored = bleu.run(bleu.BleuOptions([folder / "some.bb"], hypotheses=hypotheses, metric=["bleu", "chrf"]))
    wrong = error_rate.run(error_rate.ErrorRateOptions([folder / "some.bb"], hypotheses=hypotheses, unit=["lines"]))
    found = {"bleu": scored.scores[0].value, "chrf": scored.scores[1].value}
    return {**found, "accuracy": 100 - wrong.rates[0].percent}


def measured_in_training(work: Path, model: Path, count: int, heard: list[Event]) -> dict[str, float]:
    """What a validation measures with the same weights."""
    data, loaded, found = AlignedData.open(work / "data"), store.load_seq2seq(model, "best", torch.device("cpu")), {}
    for measure in ("bleu", "chrf", "accuracy"):
        what = ValidationSettings(count, measure, 2, SearchOptions(beam=1), 240)
        validation = make_seq2seq_validation(loaded, data, what, nullcontext, heard.append)(StopRequest())
        assert validation is not None
        found[measure] = validation.facts[measure]
    return found


@pytest.mark.parametrize(
    "name", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_validation_gives_the_figures_of_the_commands(tmp_path: Path, name: str) -> None:
    work = prepare(tmp_path, CASES[name])
    heard: list[Event] = []
    result = train_seq2seq.run(options(work, measure="chrf", **CASES[name].get("train", {})), heard.append)
    assert isinstance(result, TrainingResult)
    figures: list[dict[str, float]] = []
    for count in (16, 7, 1):
        figures.append(measured_by_commands(tmp_path, result.model, count))
        assert measured_in_training(work, result.model, count, heard) == figures[-1], f"{count} lines"
    assert result.scores["chrf"] == figures[0]["chrf"], "while it trained"
    assert figures[0]["chrf"] > 3, "there is something to measure"
    assert not [event for event in heard if isinstance(event, WarningEvent)]
    shown = [event.text for event in heard if isinstance(event, Note) and "(reference: " in event.text]
    reference = kept_lines(tmp_path, "bb", 1)[0]
    assert shown[0].endswith(f" (reference: {reference})")
    assert not any("<unk>" in line for line in shown)


def without_raw_lines(work: Path) -> None:
    """Make the data what an older rnnkit has made."""
    for path in [*work.glob("data/*.lines.txt"), *work.glob("tokens/*.raw")]:
        path.unlink()
    for place in [work / "data" / "meta.json", *work.glob("tokens/*.meta.json")]:
        document = json.loads(place.read_text(encoding="utf-8"))
        document["files"] = {
            name: entry for name, entry in document["files"].items() if not name.endswith((".lines.txt", ".raw"))
        }
        place.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize("kind", ["words", "chars"])
def test_without_raw_lines_an_unknown_token_is_a_wrong_word(tmp_path: Path, kind: str) -> None:
    work = prepare(tmp_path, {"tokenize": {"type": kind}, "vocab": {"min_count": 3}})
    result = train_seq2seq.run(options(work, measure="bleu"))
    assert isinstance(result, TrainingResult)
    without_raw_lines(work)
    heard: list[Event] = []
    found = measured_in_training(work, result.model, 16, heard)
    warned = [event.text for event in heard if isinstance(event, WarningEvent)]
    assert len(warned) == 3, "one for each validation that was made"
    assert warned[0].startswith(f"{work / 'data'} has no raw lines of its valid split: unknown tokens")
    known = measured_by_commands(tmp_path, result.model, 16)
    model = store.load_seq2seq(result.model, "best", torch.device("cpu"))
    references = []
    for line in kept_lines(tmp_path, "bb", 16):
        tokens = [
            token if token in model.target_vocabulary.ids else UNKNOWN_PLACEHOLDER
            for token in model.tokenizer.tokenize(line)
        ]
        references.append(model.tokenizer.detokenize(tokens))
    assert any(UNKNOWN_PLACEHOLDER in reference for reference in references)
    (tmp_path / "some.bb").write_text("".join(f"{line}\n" for line in references), encoding="utf-8")
    scored = bleu.run(bleu.BleuOptions([tmp_path / "some.bb"], hypotheses=tmp_path / "hypotheses", metric=["bleu"]))
    assert found["bleu"] == scored.scores[0].value
    assert abs(found["bleu"] - known["bleu"]) < 2, "an unknown word is wrong either way"


def test_raw_lines_are_those_of_the_kept_pairs(tmp_path: Path) -> None:
    work = prepare(tmp_path, {"tokenize": {"type": "words"}})
    data = AlignedData.open(work / "data")
    for side in data.sides:
        assert data.raw_lines("valid", side, 99) == kept_lines(tmp_path, side, 16)
        assert data.raw_lines("valid", side, 5) == kept_lines(tmp_path, side, 5)
        assert data.raw_lines("train", side, 5) is None
    path = work / "data" / "valid.bb.lines.txt"
    path.write_text("only one\n", encoding="utf-8")
    with raises(FormatError, "valid.bb.lines.txt", 1, 16):
        data.raw_lines("valid", "bb", 16)


def test_raw_lines_keep_what_stands_at_their_ends(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / f"{split}.aa").write_bytes("\ufeff\ufeff a\r\r\n\u00a0b\u2028 \r\nc".encode())
        (tmp_path / f"{split}.bb").write_bytes(b"x\ny\nz\n")
    files = [tmp_path / f"{split}.{side}" for split in ("train", "valid") for side in ("aa", "bb")]
    work = tmp_path / "work"
    tokenize.run(tokenize_options.TokenizeOptions(files, type="chars", work=work))
    vocab.run(vocab.VocabOptions(work=work))
    align.run(align_options.AlignOptions(source="aa", target="bb", work=work))
    data = AlignedData.open(work / "data")
    assert data.raw_lines("valid", "aa", 9) == ["\ufeff a\r", "\u00a0b\u2028 ", "c"]
    assert data.raw_lines("valid", "bb", 9) == ["x", "y", "z"]


def test_raw_lines_that_have_changed_are_refused(tmp_path: Path) -> None:
    work = prepare(tmp_path, {"tokenize": {"type": "words"}})
    again = align_options.AlignOptions(source="aa", target="bb", work=work, overwrite=True)
    raw = work / "tokens" / "valid.bb.tok.raw"
    raw.write_text(raw.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"valid\.bb\.tok\.raw has changed since `rnnkit tokenize` wrote it"):
        align.run(again)
    raw.unlink()
    data = AlignedData.open(align.run(again).data)
    assert data.raw_lines("valid", "bb", 1) is None
    assert data.raw_lines("valid", "aa", 1) is None, "one side alone cannot be compared"
    with pytest.raises(ArtefactError, match=r"valid\.aa\.tok already exists"):
        tokenize.run(replace(tokenize_options.TokenizeOptions([tmp_path / "valid.aa"], work=work)))


@pytest.mark.slow
def test_several_processes_validate_alike(tmp_path: Path) -> None:
    work = prepare(tmp_path, CASES["words"])
    model = tmp_path / "model"
    small = ["--arch", "gru", "--hidden", "24", "--embedding", "16", "--batch-tokens", "120", "--max-steps", "30"]
    more = ["--validate-every", "30", "--learning-rate", "0.01", "--measure", "chrf", "--threads", "1"]
    finish(start(work, model, "--processes", "2", *small, *more))
    scores = store.load_seq2seq(model, "best", torch.device("cpu")).facts
    assert scores["chrf"] == measured_by_commands(tmp_path, model, 16)["chrf"]


SENTENCES = ["A man in a hat .", "Two dogs run over a field ."]
GERMAN_WORDS = ["Häuser", "aufgegangen sein"]
CHINESE = ["我们在这里等你。", "他昨天没有来。"]


@pytest.mark.parametrize(
    ("references", "expected"),
    [(SENTENCES, "bleu"), (GERMAN_WORDS, "chrf"), (CHINESE, "chrf"), (["a b c d"], "bleu")],
)
def test_short_outputs_are_not_measured_by_bleu(references: list[str], expected: str) -> None:
    assert choose_metric("auto", references) == expected
    assert choose_metric("accuracy", references) == "accuracy"


def test_bleu_says_nothing_of_words() -> None:
    assert score_outputs("bleu", GERMAN_WORDS, GERMAN_WORDS) == 0
    assert score_outputs("chrf", GERMAN_WORDS, GERMAN_WORDS) == pytest.approx(100)


@pytest.mark.parametrize("measure", ["bleu", "chrf", "accuracy"])
def test_right_lines_have_the_full_score(measure: str) -> None:
    assert score_outputs(measure, SENTENCES, SENTENCES) == pytest.approx(100)
    assert score_outputs(measure, ["", ""], SENTENCES) == pytest.approx(0)


def test_accuracy_is_a_share_of_lines() -> None:
    assert score_outputs("accuracy", ["a", "b", "c"], ["a", "B", "c"]) == pytest.approx(200 / 3)
