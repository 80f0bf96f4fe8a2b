"""The Python API on real, small models: `tests/compatibility/earlier`."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.raising import raises

import rnnkit
from rnnkit.api import language_modeling, model_loading, training, translation
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Event
from rnnkit.stages.evaluation import score, score_options

EARLIER = Path(__file__).parents[1] / "compatibility" / "earlier"
LINES = (EARLIER / "valid.txt").read_text(encoding="utf-8").splitlines()
SOURCES = (EARLIER / "test.de").read_text(encoding="utf-8").splitlines()


def test_import_is_instant() -> None:
    code = "import sys, rnnkit; print(sorted({'torch', 'numpy', 'numba', 'typer'} & set(sys.modules)), dir(rnnkit)[-1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] train_tagger\n"


def test_every_name_is_there() -> None:
    assert [name for name in rnnkit.__all__ if getattr(rnnkit, name) is None] == []
    with pytest.raises(AttributeError):
        rnnkit.nothing  # noqa: B018


@pytest.mark.parametrize("path", [EARLIER / "pair" / "model", str(EARLIER / "pair" / "model")])
def test_translator(path: Path | str) -> None:
    model = rnnkit.load(path)
    assert isinstance(model, rnnkit.Translator)
    assert repr(model).endswith("model: lstm, de to en)")
    texts = model.translate(SOURCES, beam=2)
    assert texts == (EARLIER / "pair" / "test.lstm").read_text(encoding="utf-8").splitlines()
    assert list(model.stream(iter(SOURCES), beam=2)) == texts
    found = model.translate(["", SOURCES[0]], beam=3, nbest=2)
    assert [len(hypotheses) for hypotheses in found] == [1, 2]
    assert found[1][0].score >= found[1][1].score
    assert model.translate([SOURCES[0]], top_k=5, seed=3) == model.translate([SOURCES[0]], top_k=5, seed=3)


def test_translator_scores_as_the_command(tmp_path: Path) -> None:
    folder, targets = EARLIER / "pair" / "model", ["the king", "", "a b c"]
    (tmp_path / "target").write_text("".join(f"{line}\n" for line in targets), encoding="utf-8")
    files = [EARLIER / "test.de", tmp_path / "target"]
    *lines, _summary = score.run(score_options.ScoreOptions(files=files, model=folder, threads=1))
    expected = [line.score.log_p for line in lines if isinstance(line, score.LineScore)]
    assert rnnkit.Translator.load(folder).score(SOURCES, targets) == pytest.approx(expected, abs=1e-6)


def test_translator_refuses() -> None:
    model = rnnkit.Translator.load(EARLIER / "pair" / "model")
    with pytest.raises(TypeError, match="'beam'"):
        model.translate(["one line"], beam_size=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="length_penalty"):
        model.stream(["one line"], zzz=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'5'"):
        model.translate(["one line"], beam="5")  # type: ignore[call-overload]
    with raises(UsageError, 0, option="beam"):
        model.translate(["one line"], beam=0)
    with raises(UsageError, 1.5, option="top_p"):
        model.translate(["one line"], top_p=1.5)
    with raises(DataError, 1, line=2):
        model.score(["a", "b"], ["a"])
    with raises(ArtefactError, EARLIER / "pair" / "model", path=EARLIER / "pair"):
        rnnkit.load(EARLIER / "pair")
    with raises(DataError, EARLIER / "nothing", path=EARLIER / "nothing"):
        rnnkit.load(EARLIER / "nothing")
    with raises(ArtefactError, "tokenizer", path=EARLIER / "pair" / "tokenizer"):
        rnnkit.load(EARLIER / "pair" / "tokenizer")


def test_workspace_of_word_vectors(tmp_path: Path) -> None:
    (tmp_path / "embeddings").symlink_to(EARLIER / "text" / "embeddings")
    with raises(ArtefactError, tmp_path / "embeddings", path=tmp_path):
        rnnkit.load(tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("lm", rnnkit.LanguageModel), ("counts", rnnkit.NgramModel)])
def test_language_models(name: str, kind: type) -> None:
    model = rnnkit.load(EARLIER / "text" / name)
    assert type(model) is kind
    assert isinstance(model, rnnkit.LanguageModel)
    rows = [line.split() for line in (EARLIER / "text" / f"score.{name}").read_text(encoding="utf-8").splitlines()]
    assert model.score(LINES) == pytest.approx([float(row[1]) for row in rows], abs=1e-3)
    assert 1 < model.perplexity(LINES) < 1e6
    assert model.generate(["the"], max_length=4)[0].startswith("the")
    assert len(model.generate(max_length=4, temperature=0.5)) == 1
    with pytest.raises(DataError):
        model.perplexity([])
    with raises(UsageError, -1, option="temperature"):
        model.generate(["the"], temperature=-1)


def test_masked_language_model() -> None:
    model = rnnkit.load(EARLIER / "text" / "cloze")
    assert isinstance(model, rnnkit.MaskedLanguageModel)
    assert model.fill(["the ___ sat"]) == (EARLIER / "text" / "fill").read_text(encoding="utf-8").splitlines()
    with raises(DataError, "___", line=1):
        model.fill(["no gap"])


def test_word_vectors() -> None:
    vectors = rnnkit.load(EARLIER / "text" / "embeddings")
    assert isinstance(vectors, rnnkit.WordVectors)
    assert vectors["the"].shape == (4,)
    assert [word for word, _ in vectors.most_similar("the", 3)] == ["Tiber", "This", "noon"]
    assert repr(vectors).endswith("dimension 4)")


def test_bleu() -> None:
    assert rnnkit.bleu(["a b c d e"], ["a b c d e"]).number(1) == "100.0"
    assert rnnkit.bleu(["a b c d e"], [["a b x d e"], ["a b c d e"]]).number(1) == "100.0"
    assert rnnkit.bleu(iter(["a b c d e"]), iter(["a b c d e"])).number(1) == "100.0"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder, with the files that the examples name."""
    (tmp_path / "work").mkdir()
    for name in ("model", "data", "tokenizer", "vocab.tsv"):
        (tmp_path / "work" / name).symlink_to(EARLIER / "pair" / name)
    for name in ("lm", "cloze", "embeddings"):
        (tmp_path / "work" / name).symlink_to(EARLIER / "text" / name)
    (tmp_path / "test.de").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("module", [rnnkit, model_loading, translation, language_modeling, training])
def test_examples(workspace: None, module: ModuleType) -> None:
    found = doctest.testmod(module, extraglobs={"rnnkit": rnnkit}, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: rnnkit.Translator.load(EARLIER / "pair" / "model").translate("a line"),
        lambda: rnnkit.Translator.load(EARLIER / "pair" / "model").stream("a line"),
        lambda: rnnkit.Translator.load(EARLIER / "pair" / "model").score("a line", ["a line"]),
        lambda: rnnkit.LanguageModel.load(EARLIER / "text" / "lm").score("a line"),
        lambda: rnnkit.LanguageModel.load(EARLIER / "text" / "lm").perplexity("a line"),
        lambda: rnnkit.LanguageModel.load(EARLIER / "text" / "lm").generate("a line"),
        lambda: rnnkit.MaskedLanguageModel.load(EARLIER / "text" / "cloze").fill("a ___"),
        lambda: rnnkit.bleu("a line", "a line"),
    ],
)
def test_a_string_is_not_several_lines(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"several lines.*\["):
        call()


def test_training(tmp_path: Path) -> None:
    pair = EARLIER / "pair"
    options = rnnkit.TrainSeq2SeqOptions(
        data=pair / "data",
        tokenizer=pair / "tokenizer",
        vocab=[pair / "vocab.tsv"],
        output=tmp_path / "model",
        hidden=8,
        embedding=8,
        max_steps=2,
        validate_lines=2,
        threads=1,
    )
    events: list[Event] = []
    result = rnnkit.train_seq2seq(options, events.append)
    assert isinstance(rnnkit.load(tmp_path / "model"), rnnkit.Translator)
    assert events != []
    assert result is not None
    with raises(UsageError, "lstn", option="--arch"):
        rnnkit.train_seq2seq(rnnkit.TrainSeq2SeqOptions(arch="lstn", output=tmp_path / "other"))
    with raises(UsageError, "'3'", option="--hidden"):
        rnnkit.train_seq2seq(rnnkit.TrainSeq2SeqOptions(hidden="3"))  # type: ignore[arg-type]
