"""Training text of word vectors: files, token files of the workspace, aligned data."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises
from tests.topics import ENOUGH, WORDS, assert_topics_apart, topic_lines, write_topics

from rnnkit.data.aligned_data import AlignedData
from rnnkit.embeddings.formats import vectors_directory
from rnnkit.errors import DataError, RnnkitError, UsageError
from rnnkit.events import Event, Note
from rnnkit.io import manifest
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.stages.training.train_embeddings import EmbeddingTrainingEstimate, TrainEmbeddingsResult, run
from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions

VECTORS = Path("work/embeddings")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_workspace(*languages: str, length: int | None = None, separate: bool = False) -> None:
    """Make a workspace of texts of two topics, in capitals for the second language."""
    for number, language in enumerate(languages):
        lines = [line.upper() if number else line for line in topic_lines()]
        Path(f"train.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenize.run(
        tokenize_options.TokenizeOptions(files=[Path(f"train.{language}") for language in languages], type="words")
    )
    vocab.run(vocab.VocabOptions(separate=separate))
    sides: dict[str, Any] = {"text": languages[0]}
    if len(languages) == 2:
        sides = {"source": languages[0], "target": languages[1]}
    align.run(align_options.AlignOptions(**sides, length=length))


def trained(**changes: Any) -> TrainEmbeddingsResult:
    result = run(TrainEmbeddingsOptions(**{**ENOUGH, **changes}))
    assert isinstance(result, TrainEmbeddingsResult)
    return result


def refused(
    kind: type[RnnkitError], *values: object, path: str | None = None, option: str | None = None, **changes: Any
) -> None:
    """Check that training fails with this error, whose message names the values."""
    output = Path("refused")
    with raises(kind, *values, path=path, option=option):
        run(TrainEmbeddingsOptions(**{**ENOUGH, "output": output, **changes}))
    assert not output.exists() or not any(output.iterdir()), "the output directory must stay free"


def test_several_files() -> None:
    write_topics(Path("one"), lines=100)
    write_topics(Path("two"), lines=100, seed=2)
    cost = run(TrainEmbeddingsOptions(text=[Path("one"), Path("two")], dry_run=True))
    assert isinstance(cost, EmbeddingTrainingEstimate)
    assert cost.tokens == sum(len(line.split()) for seed in (1, 2) for line in topic_lines(100, seed))
    trained(text=[Path("one"), Path("two")])
    assert manifest.load(VECTORS / manifest.NAME).inputs == {
        "text.1": manifest.sha256(Path("one")), "text.2": manifest.sha256(Path("two")),
    }  # fmt: skip


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(topic_lines()).encode())))
    trained(text=[Path("-")])
    assert_topics_apart(VECTORS)
    assert manifest.load(VECTORS / manifest.NAME).inputs == {}


def test_the_workspaces_token_files() -> None:
    make_workspace("en")
    trained()
    assert_topics_apart(VECTORS)
    token_file = Path("work/tokens/train.en.tok")
    assert manifest.load(VECTORS / manifest.NAME).inputs == {"text.1": manifest.sha256(token_file)}


def test_one_language_of_two() -> None:
    make_workspace("de", "en")
    refused(UsageError, "de and en", path="work/tokens", option="--language")
    trained(language="en")
    words, _ = vectors_directory.read_words(VECTORS)
    assert sorted(words) == [word.upper() for word in WORDS]
    refused(DataError, "fr", path="work/tokens", language="fr")


def test_an_empty_workspace() -> None:
    refused(DataError, "`rnnkit train-embeddings wiki.txt`", "`rnnkit tokenize train.LANG`", path="work/tokens")


@pytest.mark.parametrize("length", [None, 12], ids=["free", "padded"])
def test_aligned_data_has_the_words_of_its_tokens(length: int | None) -> None:
    make_workspace("en", length=length)
    heard: list[Event] = []
    run(TrainEmbeddingsOptions(data=Path("work/data"), **ENOUGH), heard.append)
    assert_topics_apart(VECTORS)
    from_data, _ = vectors_directory.read_words(VECTORS)
    trained(output=Path("from_tokens"))
    from_tokens, _ = vectors_directory.read_words(Path("from_tokens"))
    assert from_data.table == from_tokens.table, "the same words and counts"
    count = sum(len(line.split()) for line in topic_lines())
    assert heard[0] == Note(f"{count:,} words of en in work/data")
    assert manifest.load(VECTORS / manifest.NAME).inputs == {"data": manifest.sha256(Path("work/data/meta.json"))}


@pytest.mark.parametrize("separate", [False, True], ids=["joint", "separate"])
def test_one_side_of_aligned_data(separate: bool) -> None:
    make_workspace("de", "en", separate=separate)
    data = Path("work/data")
    refused(UsageError, "de and en", path="work/data", option="--language", data=data)
    refused(UsageError, "de and en", path="work/data", option="--language", data=data, language="fr")
    trained(data=data, language="en")
    words, _ = vectors_directory.read_words(VECTORS)
    assert sorted(words) == [word.upper() for word in WORDS]


def test_rare_words_of_aligned_data_get_no_vectors() -> None:
    make_workspace("en")
    tokens = AlignedData.open(Path("work/data")).side("train", "en")
    assert len(tokens)
    result = trained(data=Path("work/data"), min_count=250)
    assert 2 <= result.words < len(WORDS)


def test_another_vocabulary_is_refused() -> None:
    make_workspace("en")
    Path("work/vocab.tsv").rename("elsewhere.tsv")
    refused(DataError, "work/vocab.tsv", data=Path("work/data"))
    Path("other.tsv").write_bytes(Path("elsewhere.tsv").read_bytes().replace(b"wine", b"vine"))
    other = Path("other.tsv")
    refused(DataError, "work/data", path="other.tsv", option="--vocab", data=Path("work/data"), vocab=other)
    Path("work/vocab.tsv.meta.json").rename("elsewhere.tsv.meta.json")
    assert trained(data=Path("work/data"), vocab=Path("elsewhere.tsv")).words == len(WORDS)


def test_refuses_contradictory_inputs() -> None:
    text = [write_topics(Path("text"))]
    refused(UsageError, "work/data", option="--data", text=text, data=Path("work/data"))
    refused(UsageError, option="--language", text=text, language="en")
    refused(DataError, path="none", text=[*text, Path("none")])
    refused(DataError, "none", "`rnnkit align`", data=Path("none"))


def test_refuses_invalid_text() -> None:
    Path("bad").write_bytes(b"good words\nbad w\xffrds\n")
    refused(DataError, "bad:2:6", "0xff", text=[Path("bad")])
    Path("empty").write_text("\n \n", encoding="utf-8")
    refused(DataError, "empty", text=[Path("empty")])
    Path("one").write_text("the the the the the\n", encoding="utf-8")
    refused(DataError, "'the'", "--min-count 5", text=[Path("one")])
    refused(DataError, "all 1 words", "--min-count 6", text=[Path("one")], min_count=6)
