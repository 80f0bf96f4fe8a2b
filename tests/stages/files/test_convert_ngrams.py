"""`convert-ngrams`: ARPA files and back with the same probabilities, and errors."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import math
import os
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.raising import raises
from tests.workspaces import make_text_workspace

from rnnkit.cli import app
from rnnkit.data.aligned_data import AlignedData
from rnnkit.errors import ArtefactError, DataError, FormatError, RnnkitError, UsageError
from rnnkit.events import Event, WarningEvent
from rnnkit.io import manifest
from rnnkit.ngrams import arpa_reader, store
from rnnkit.stages.evaluation import score, score_options
from rnnkit.stages.files import convert_ngrams, inspect, verify
from rnnkit.stages.files.convert_ngrams import ConvertNgramsOptions
from rnnkit.stages.inference import decode, decode_options
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.stages.training import train_lm, train_lm_options
from rnnkit.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = make_text_workspace(tmp_path_factory.mktemp("counts"))
    train_lm.run(train_lm_options.TrainLMOptions(work=work, arch="ngram", order=3))
    return work


def test_a_model_in_place_of_the_output_is_explained(work: Path) -> None:
    with raises(ArtefactError, f"--model {work / 'model'}", path=work / "model"):
        convert_ngrams.run(ConvertNgramsOptions(work / "model", work=work))


@pytest.mark.parametrize("name", ["model.arpa", "model.arpa.gz"])
def test_round_trip_keeps_every_probability(work: Path, tmp_path: Path, name: str) -> None:
    convert_ngrams.run(ConvertNgramsOptions(tmp_path / name, model=work / "model"))
    result = convert_ngrams.run(ConvertNgramsOptions(tmp_path / "back", model=tmp_path / name))
    assert manifest.find_mismatches(tmp_path / "back") == []
    ours, theirs = store.load(work / "model" / store.NAME), store.load(tmp_path / "back" / store.NAME)
    assert result.ngrams[1:] == tuple(ours.sizes)[1:]
    text = AlignedData.open(work / "data").side("valid", "en")
    words = Vocabulary.load(work / "vocab.tsv").tokens
    rows = {token: row for row, token in enumerate(Vocabulary.load(tmp_path / "back" / "vocab.tsv").tokens)}
    ids = np.array([row if row < 4 else rows[words[row]] for row in text.ids.tolist()])
    np.testing.assert_allclose(theirs.score(ids, text.offsets), ours.score(text.ids, text.offsets), atol=1e-5)


def test_keeps_existing_output(work: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.arpa"
    output.write_text("mine")
    with raises(ArtefactError, "--overwrite"):
        convert_ngrams.run(ConvertNgramsOptions(output, model=work / "model"))
    convert_ngrams.run(ConvertNgramsOptions(output, model=work / "model", overwrite=True))
    assert output.read_text().startswith("\\data\\")


def test_refuses_other_models_and_files(work: Path, tmp_path: Path) -> None:
    small = {"hidden": 4, "embedding": 4, "max_steps": 1, "threads": 1}
    train_lm.run(train_lm_options.TrainLMOptions(work=work, output=tmp_path / "lstm", **small))  # type: ignore[arg-type]
    with raises(ArtefactError, "`rnnkit train-lm --arch ngram`"):
        convert_ngrams.run(ConvertNgramsOptions(tmp_path / "x.arpa", model=tmp_path / "lstm"))
    with raises(DataError, option="--model"):
        convert_ngrams.run(ConvertNgramsOptions(tmp_path / "x.arpa", model=tmp_path / "none"))
    (tmp_path / "text").write_text("hello world\n")
    with pytest.raises((DataError, FormatError), match="text"):
        convert_ngrams.run(ConvertNgramsOptions(tmp_path / "x", model=tmp_path / "text"))
    assert not (tmp_path / "x").exists()


def test_command_line_result(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["convert-ngrams", "m.arpa", "--model", str(work / "model")]) == 0
    assert "n-grams of order 1 to 3" in capsys.readouterr().err
    assert app.run(["convert-ngrams", "m.arpa", "--model", str(work / "model"), "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "m.arpa"


SEPARATORS = "\0\t\n\r "
"""Separators of words in an ARPA file, and NUL, which text cannot contain."""

STRANGE = [
    letter
    for letter in map(chr, range(sys.maxunicode + 1))
    if letter not in SEPARATORS and (letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp", "Zs"))
]
"""Unicode white space, control and format characters, which are letters to KenLM."""


def write_words(path: Path, words: Sequence[str]) -> None:
    """Write an ARPA file with a bigram for each pair of successive words."""
    rows = "".join(f"-{1 + place / 1000:g}\t{word}\t-0.5\n" for place, word in enumerate(words))
    pairs = "".join(f"-{place / 1000:g}\t{one} {other}\n" for place, (one, other) in enumerate(pairwise(words), 1))
    path.write_text(
        f"\\data\\\nngram 1={len(words) + 3}\nngram 2={len(words) - 1}\n\n"
        f"\\1-grams:\n-2\t<unk>\n-99\t<s>\t-0.5\n-1\t</s>\n{rows}\n\\2-grams:\n{pairs}\n\\end\\\n",
        encoding="utf-8",
        newline="",
    )


def go_round(folder: Path, words: Sequence[str]) -> list[float]:
    """Import, verify, inspect, score, export and import; return log10 p of each word and of EOS."""
    write_words(folder / "a.arpa", words)
    convert_ngrams.run(ConvertNgramsOptions(folder / "one", model=folder / "a.arpa"))
    verify.run(verify.VerifyOptions([folder / "one"]))
    assert inspect.run(inspect.InspectOptions([folder / "one"])).as_dict()
    (folder / "text").write_text(" ".join(words) + "\n", encoding="utf-8", newline="")
    asked = score_options.ScoreOptions(files=[folder / "text"], model=folder / "one", tokens=True, threads=1)
    line, _ = score.run(asked)
    assert isinstance(line, score.LineScore) and line.tokens is not None
    assert [token.text for token in line.tokens] == [*words, "</s>"]
    assert all(token.known for token in line.tokens)
    (continued,) = decode.run(
        decode_options.DecodeOptions(files=[folder / "text"], model=[folder / "one"], prompt=True, threads=1)
    )
    assert continued.startswith(" ".join(words))
    convert_ngrams.run(ConvertNgramsOptions(folder / "b.arpa", model=folder / "one"))
    convert_ngrams.run(ConvertNgramsOptions(folder / "two", model=folder / "b.arpa"))
    for name in (store.NAME, "vocab.tsv"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()
    return [token.log_p / math.log(10) for token in line.tokens]


def test_other_white_space_is_part_of_words(tmp_path: Path) -> None:
    words = [text.format(letter) for letter in STRANGE for text in ("{0}", "new{0}york", "{0}x{0}")]
    log10 = go_round(tmp_path, words)
    wanted = [-0.5 - 1, *(-place / 1000 for place in range(1, len(words))), -0.5 - 1]
    assert log10 == pytest.approx(wanted, abs=1e-5)
    kenlm = pytest.importorskip("kenlm", reason="the kenlm package is not installed")
    model, state, after = kenlm.Model(str(tmp_path / "a.arpa")), kenlm.State(), kenlm.State()
    model.BeginSentenceWrite(state)
    for word, own in zip([*words, "</s>"], log10, strict=True):
        assert model.BaseScore(state, word, after) == pytest.approx(own, abs=1e-5)
        state, after = after, state


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from(STRANGE) | st.characters(exclude_characters=SEPARATORS, codec="utf-8"), min_size=1),
        min_size=2,
        max_size=6,
        unique=True,
    )
)
def test_round_trip_of_any_word(words: list[str]) -> None:
    assume(not {*words} & {"<s>", "</s>", "<unk>", "<UNK>"})
    with TemporaryDirectory() as folder:
        go_round(Path(folder), words)


@pytest.mark.parametrize("letter", ["\r", "\0"], ids=repr)
def test_refuses_invalid_words_before_writing(tmp_path: Path, letter: str) -> None:
    write_words(tmp_path / "a.arpa", ["b", f"new{letter}york", "c"])
    with pytest.raises(RnnkitError, match=r"a\.arpa:10:?"):
        convert_ngrams.run(ConvertNgramsOptions(tmp_path / "k", model=tmp_path / "a.arpa"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.arpa"]


def test_unusable_model_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_words(tmp_path / "a.arpa", ["b", "c"])
    read = arpa_reader.read_arpa
    monkeypatch.setattr(
        arpa_reader, "read_arpa", lambda *args: (read(*args)[0], [*read(tmp_path / "a.arpa")[1], "more"])
    )
    with raises(FormatError, 7, 6):
        convert_ngrams.run(ConvertNgramsOptions(tmp_path / "k", model=tmp_path / "a.arpa"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.arpa"]


def test_missing_unk_matches_kenlm(tmp_path: Path) -> None:
    write_words(tmp_path / "a.arpa", ["b", "c"])
    text = (tmp_path / "a.arpa").read_text(encoding="utf-8")
    (tmp_path / "a.arpa").write_text(text.replace("-2\t<unk>\n", "").replace("1=5", "1=4"), encoding="utf-8")
    convert_ngrams.run(ConvertNgramsOptions(tmp_path / "one", model=tmp_path / "a.arpa"))
    events: list[Event] = []
    convert_ngrams.run(ConvertNgramsOptions(tmp_path / "b.arpa", model=tmp_path / "one"), events.append)
    assert "\n-100\t<unk>\n" in (tmp_path / "b.arpa").read_text(encoding="utf-8")
    assert events == []


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def write_packed(folder: Path, pack: Callable[[bytes], bytes], repair: bool) -> bytes:
    """Write an ARPA file, with or without faults to repair; return its bytes."""
    write_words(folder / "a.arpa", ["b", "new\xa0york", "c"])
    raw = (folder / "a.arpa").read_bytes()
    return pack(raw.replace(b"\t", b" ") if repair else raw)


def assert_imported(folder: Path, packed: bytes, found: dict[str, Any], repair: bool) -> None:
    assert found["ngrams"] == [7, 2]
    assert found.get("repairs", {}).get("counts", {}) == ({"rows with blanks for tabs": 8} if repair else {})
    assert manifest.read(folder / "k", "model", 1).inputs["arpa"] == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("how", ["file", "fifo"])
def test_reads_pipes(tmp_path: Path, how: str, pack: Callable[[bytes], bytes], repair: bool) -> None:
    packed = write_packed(tmp_path, pack, repair)
    source = tmp_path / how
    if how == "fifo":
        os.mkfifo(source)
        threading.Thread(target=source.write_bytes, args=[packed], daemon=True).start()
    else:
        source.write_bytes(packed)
    result = convert_ngrams.run(ConvertNgramsOptions(tmp_path / "k", model=source, repair=repair))
    assert_imported(tmp_path, packed, result.as_dict(), repair)


@pytest.mark.parametrize(("name", "kind", "repair"), [("/dev/stdin", "plain", True), ("-", "gzip", False)])
def test_reads_standard_input(tmp_path: Path, name: str, kind: str, repair: bool) -> None:
    packed = write_packed(tmp_path, PACKERS[kind], repair)
    command = [sys.executable, "-m", "rnnkit", "convert-ngrams", str(tmp_path / "k"), "--model", name, "--json"]
    done = subprocess.run(
        [*command, *["--repair"] * repair], input=packed, capture_output=True, check=True, timeout=300
    )
    assert_imported(tmp_path, packed, json.loads(done.stdout), repair)


def test_repairs_are_listed_with_one_warning(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_words(tmp_path / "good.arpa", ["b", "c"])
    text = (tmp_path / "good.arpa").read_text(encoding="utf-8")
    (tmp_path / "a.arpa").write_text("Language model created by QuickLM\n" + text.replace("\t", " "), encoding="utf-8")
    assert app.run(["convert-ngrams", "k", "--model", "a.arpa"]) == 1
    assert "`--repair` skips the text before it" in capsys.readouterr().err
    assert not (tmp_path / "k").exists()
    assert app.run(["convert-ngrams", "k", "--model", "a.arpa", "--repair", "--json"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)["repairs"]
    assert found["counts"] == {"lines before \\data\\": 1, "rows with blanks for tabs": 6}
    assert found["repairs"][0] == {"kind": "lines before \\data\\", "place": "a.arpa:1", "action": "skipped"}
    assert shown.err.count("repaired or skipped") == 1
    assert app.run(["convert-ngrams", "good", "--model", "good.arpa", "--repair", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repairs"]["counts"] == {}
    for name in (store.NAME, "vocab.tsv"):
        assert (tmp_path / "k" / name).read_bytes() == (tmp_path / "good" / name).read_bytes()
    assert app.run(["convert-ngrams", "m.arpa", "--model", str(work / "model"), "--repair"]) == 0
    assert "--repair has no effect" in capsys.readouterr().err


def test_refuses_unsupported_compression(work: Path, tmp_path: Path) -> None:
    with raises(UsageError, ".arpa.gz"):
        convert_ngrams.run(ConvertNgramsOptions(tmp_path / "m.arpa.xz", model=work / "model"))


MARKED = {
    "<s>": "<s> (30 times)", "</s>": "</s> (30 times)", "<unk>": "<unk> (30 times)",
}  # fmt: skip


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a text with all sentence markers on each line."""
    folder = tmp_path_factory.mktemp("marked")
    for name in ("train.en", "valid.en"):
        (folder / name).write_text("<s> the <unk> sat </s>\nthe cat ran\n" * 30, encoding="utf-8")
    return folder


def trained(folder: Path, texts: Path, **options: Any) -> list[str]:
    """Train on tokenized text; return the warnings."""
    tokenize.run(
        tokenize_options.TokenizeOptions(files=[texts / "train.en", texts / "valid.en"], type="spaces", work=folder)
    )
    vocab.run(vocab.VocabOptions(work=folder))
    align.run(align_options.AlignOptions(work=folder))
    events: list[Event] = []
    train_lm.run(train_lm_options.TrainLMOptions(work=folder, **options), events.append)
    return [event.text for event in events if isinstance(event, WarningEvent)]


def test_sentence_markers_in_text(marked: Path, tmp_path: Path) -> None:
    first, *_ = trained(tmp_path / "work", marked, arch="ngram", order=2)
    assert all(shown in first for shown in MARKED.values())
    assert "remove <s> and </s> from the text (`sed -E 's#</?s>##g' TEXT`) and train again" in first
    assert "convert-ngrams cannot write the model" in first and "--merge-unknown" in first
    for merge in (False, True):
        with raises(DataError, "s>", "sed -E 's#</?s>##g' TEXT"):
            convert_ngrams.run(ConvertNgramsOptions(tmp_path / "m.arpa", work=tmp_path / "work", merge_unknown=merge))
    (tmp_path / "clean").mkdir()
    for name in ("train.en", "valid.en"):
        done = subprocess.run(["sed", "-E", "s#</?s>##g", str(marked / name)], capture_output=True, check=True)
        (tmp_path / "clean" / name).write_bytes(done.stdout)
    (warning,) = [
        text for text in trained(tmp_path / "again", tmp_path / "clean", arch="ngram", order=2) if "<" in text
    ]
    assert "<unk> (30 times)" in warning and "sed" not in warning and "--merge-unknown" in warning
    convert_ngrams.run(ConvertNgramsOptions(tmp_path / "m.arpa", work=tmp_path / "again", merge_unknown=True))
    convert_ngrams.run(ConvertNgramsOptions(tmp_path / "back", model=tmp_path / "m.arpa"))


def test_sentence_markers_and_neural_models(marked: Path, tmp_path: Path) -> None:
    small: dict[str, Any] = {"hidden": 4, "embedding": 4, "max_steps": 1, "threads": 1}
    (warning,) = [text for text in trained(tmp_path / "work", marked, **small) if "ordinary words" in text]
    assert "<s> (30 times), </s> (30 times) as ordinary words" in warning
    assert "convert-ngrams" not in warning
