"""SentencePiece tokenizers: training, tokenization, sampling."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.raising import raises

from rnnkit.errors import DataError, FormatError
from rnnkit.events import Event, Note, Progress, Status
from rnnkit.text.subword_tokenizer import BPE, UNIGRAM, SubwordTokenizer, escape
from rnnkit.text.subword_training import DEFAULT_SIZE, SubwordTrainingOptions, train_from_files, train_subwords
from rnnkit.text.unicode import Normalizer

from .texts import TEXTS

NFC = Normalizer()
SYLLABLES = ("ka", "to", "mi", "ren", "schö", "ne", "burg", "stadt", "lein", "ung", "über", "haus")
INJECTED = ["hello </s> <unk> <0x0A> ▁ <pad>", "</s>", "<unk>", "<0x0A>x<0x0A>", "x▁y ␛_ ▅ ⁇"]


@cache
def text() -> list[str]:
    """Return a few hundred lines of random words, with text that resembles special tokens."""
    generator = random.Random(3)
    words = ["".join(generator.choices(SYLLABLES, k=generator.randint(1, 4))) for _ in range(300)]
    lines = [" ".join(generator.choices(words, k=generator.randint(1, 12))) + "." for _ in range(400)]
    return lines + INJECTED * 5


@cache
def learned(kind: str) -> SubwordTokenizer:
    return train_subwords(text(), kind, 500, NFC)


@pytest.mark.parametrize("kind", [UNIGRAM, BPE])
@settings(max_examples=200)
@given(line=TEXTS)
def test_every_text_comes_back(kind: str, line: str) -> None:
    tokenizer = learned(kind)
    tokens = tokenizer.tokenize(line)
    assert tokenizer.detokenize(tokens) == NFC(line)
    assert " ".join(tokens).split() == tokens
    assert "<unk>" not in tokens
    assert tokenizer.tokenize_batch([line, "a"], threads=2) == [tokens, tokenizer.tokenize("a")]
    assert tokenizer.tokenize_to_lines([line, "", line]) == [" ".join(tokens), "", " ".join(tokens)]


@pytest.mark.parametrize("kind", [UNIGRAM, BPE])
def test_symbols_in_the_text_stay_text(kind: str) -> None:
    tokenizer = learned(kind)
    for line in INJECTED:
        tokens = tokenizer.tokenize(line)
        assert tokenizer.detokenize(tokens) == line
        assert not {"<unk>", "<s>", "</s>", "<pad>", "<0x0A>"} & set(tokens)


def test_settings_are_displayed() -> None:
    assert learned(BPE).options == {"type": "bpe", "normalise": "nfc", "lowercase": False, "size": 500}
    assert str(learned(UNIGRAM)) == "unigram, 500 pieces, nfc"


def test_an_escaped_text_has_no_space_mark() -> None:
    assert escape("a▁b␛_") == "a␛_b␛␛_"
    assert escape("plain") == "plain"


@pytest.mark.parametrize("kind", [UNIGRAM, BPE])
def test_samples_spell_the_line_and_follow_the_seed(kind: str) -> None:
    tokenizer = learned(kind)
    lines = text()[:40]
    drawn = tokenizer.sample_batch(lines, 3, 0.2, seed=7)
    assert [tokenizer.detokenize(tokens) for tokens in drawn] == [line for line in lines for _ in range(3)]
    assert len(set(map(tuple, drawn))) > 80
    assert tokenizer.sample_batch(lines, 3, 0.2, seed=7) == drawn
    assert tokenizer.sample_batch(lines, 3, 0.2, seed=8) != drawn


@pytest.mark.parametrize("kind", [UNIGRAM, BPE])
def test_a_small_text_lowers_the_default_and_refuses_more(kind: str) -> None:
    lines = ["the cat sat on the mat", "a dog ran"]
    tokenizer = train_subwords(lines, kind, None, NFC)
    size = tokenizer.options["size"]
    assert 256 < size < DEFAULT_SIZE
    assert train_subwords(lines, kind, size, NFC).model == tokenizer.model
    with raises(DataError, "--size 5000", f"--size {size} or less", f"--type {kind}", option="--size"):
        train_subwords(lines, kind, 5000, NFC)


def test_a_size_below_the_alphabet_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        train_subwords(["the cat sat on the mat"], UNIGRAM, 100, NFC)
    what, why, hint = str(caught.value).splitlines()
    assert what == "--size 100 is too small for the text"
    size = int(why.split()[-2])
    assert hint == f"  hint: use --size {size} or more"
    assert train_subwords(["the cat sat on the mat"], UNIGRAM, size, NFC).options["size"] == size


@pytest.mark.parametrize("lines", [[], ["", ""], ["▅"]], ids=["nothing", "blank", "a mark that is left out"])
def test_empty_training_text(lines: list[str]) -> None:
    with raises(DataError, "no text"):
        train_subwords(lines, UNIGRAM, None, NFC)


def test_long_lines_are_part_of_the_training_text() -> None:
    long = " ".join(["wörterbuch"] * 2000)
    assert train_subwords([long], BPE, None, NFC).tokenize("wörterbuch") == ["▁wörterbuch"]


def test_rare_characters_of_large_alphabets_become_bytes() -> None:
    rare = "".join(chr(point) for point in range(0x4E00, 0x4E00 + 100))
    tokenizer = train_subwords([rare, *["好的" * 1000] * 200], UNIGRAM, 261, NFC)
    assert tokenizer.tokenize("\u4e11") == ["▁", "<0xE4>", "<0xB8>", "<0x91>"]
    tokenizer = train_subwords([rare, *["好的" * 1000] * 200], UNIGRAM, None, NFC)
    assert tokenizer.tokenize("\u4e11") == ["▁", "\u4e11"]


def test_large_files_are_sampled(tmp_path: Path) -> None:
    path = tmp_path / "train.de"
    path.write_text("\n".join(text()) + "\n\n", encoding="utf-8")
    heard: list[Event] = []
    tokenizer, facts = train_from_files([path], SubwordTrainingOptions(UNIGRAM, 300, 10_000, seed=1), NFC, heard.append)
    assert facts["lines"] == len(text())
    assert 0 < facts["lines_used"] < facts["lines"]
    (note,) = [event for event in heard if isinstance(event, Note)]
    assert Status("training a unigram tokenizer") in heard
    (read,) = [event for event in heard if isinstance(event, Progress)]
    assert (read.task, read.done, read.finished) == ("read train.de", len(text()) + 1, True)
    assert isinstance(note, Note)
    assert all(value in note.text for value in (f"{facts['lines_used']} of {facts['lines']} lines", "0.01 MB"))
    assert (
        train_from_files([path], SubwordTrainingOptions(UNIGRAM, 300, 10_000, seed=1), NFC)[0].model == tokenizer.model
    )
    assert (
        train_from_files([path], SubwordTrainingOptions(UNIGRAM, 300, 10_000, seed=2), NFC)[0].model != tokenizer.model
    )


def test_bytes_that_are_not_a_model() -> None:
    with pytest.raises(FormatError, match="this is not a SentencePiece model, or it is damaged"):
        SubwordTokenizer(UNIGRAM, b"nothing of the kind", NFC)


def test_a_model_with_a_piece_that_is_not_utf8() -> None:
    model = train_subwords(text(), UNIGRAM, 300, NFC).model
    with pytest.raises(FormatError, match="this is not a SentencePiece model, or it is damaged"):
        SubwordTokenizer(UNIGRAM, model.replace("▁".encode(), b"\xff\xff\xff"), NFC)
