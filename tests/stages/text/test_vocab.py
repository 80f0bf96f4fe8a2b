"""`vocab`: from token files to a vocabulary."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, RnnkitError
from rnnkit.events import Event, Progress, WarningEvent
from rnnkit.stages.text import tokenize, tokenize_options
from rnnkit.stages.text.vocab import VocabOptions, run
from rnnkit.text.tokenizer_store import read_tokenizer_identity
from rnnkit.text.vocabulary import Vocabulary, read_vocabulary_manifest

DE = "ein Hund und ein </s>\n\nein Mann\n"
EN = "a dog and a </s>\n\na man\n"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a workspace with token files of words, and change to its parent."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"train.de": DE, "train.en": EN, "valid.de": "nie gezählt\n"}.items():
        Path(name).write_text(text, encoding="utf-8")
    tokenize.run(
        tokenize_options.TokenizeOptions(files=[Path("train.de"), Path("train.en"), Path("valid.de")], type="words")
    )
    return tmp_path


def refused(
    kind: type[RnnkitError],
    wanted: VocabOptions,
    *values: object,
    path: str | None = None,
    option: str | None = None,
) -> None:
    """Check that the command fails with this error, whose message names the values."""
    with raises(kind, *values, path=path, option=option):
        run(wanted)


def rows(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()[4:]


def test_one_vocabulary_of_the_train_files(corpus: Path) -> None:
    result = run(VocabOptions())
    assert rows("work/vocab.tsv") == [
        "a\t3", "ein\t3", "<\t2", "s\t2", "￭/￭\t2", "￭>\t2",
        "Hund\t1", "Mann\t1", "and\t1", "dog\t1", "man\t1", "und\t1",
    ]  # fmt: skip
    assert result.lines == ("work/vocab.tsv: 16 entries, covering 100.00% of 20 tokens (12 distinct)",)
    assert json.loads(json.dumps(result.as_dict())) == {
        "vocabularies": [{"path": "work/vocab.tsv", "rows": 16, "tokens": 20, "types": 12, "covered": 20}]
    }
    meta = read_vocabulary_manifest(Path("work/vocab.tsv"))
    assert meta.inputs.keys() == {"train.de.tok", "train.en.tok", "tokenizer"}
    assert meta.inputs["tokenizer"] == read_tokenizer_identity(Path("work/tokenizer"))
    assert meta.facts == {"rows": 16, "tokens": 20, "types": 12, "covered": 20}


def test_one_for_each_language(corpus: Path) -> None:
    run(VocabOptions(separate=True))
    assert rows("work/vocab.de.tsv")[0] == "ein\t3"
    assert rows("work/vocab.en.tsv")[0] == "a\t3"
    assert not Path("work/vocab.tsv").exists()
    run(VocabOptions(separate=True, output=Path("out/words.tsv")))
    assert sorted(path.name for path in Path("out").glob("*.tsv")) == ["words.de.tsv", "words.en.tsv"]


def test_min_count_and_max_size(corpus: Path) -> None:
    result = run(VocabOptions(min_count=3))
    assert rows("work/vocab.tsv") == ["a\t3", "ein\t3"]
    assert result.vocabularies[0].covered == 6
    run(VocabOptions(max_size=5, overwrite=True))
    assert rows("work/vocab.tsv") == ["a\t3"]
    heard: list[Event] = []
    run(VocabOptions(min_count=9, overwrite=True), heard.append)
    assert isinstance(heard[-1], WarningEvent)
    assert all(value in heard[-1].text for value in ("work/vocab.tsv", "--min-count", "--max-size"))


def test_a_token_file_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "ptb.train.txt"
    path.write_bytes(b" the <unk>  the\r\n\r\nN </s>\n")
    run(VocabOptions(files=[path], output=tmp_path / "vocab.tsv"))
    assert Vocabulary.load(tmp_path / "vocab.tsv").tokens[4:] == ("the", "</s>", "<unk>", "N")
    assert read_vocabulary_manifest(tmp_path / "vocab.tsv").inputs.keys() == {"ptb.train.txt"}


def test_progress(corpus: Path) -> None:
    heard: list[Event] = []
    run(VocabOptions(), heard.append)
    assert heard[:2] == [Progress("count train.de.tok", 3, 3), Progress("count train.de.tok", 3, 3, finished=True)]


def test_nothing_is_overwritten(corpus: Path) -> None:
    run(VocabOptions())
    refused(ArtefactError, VocabOptions(), "--overwrite", "--output", path="work/vocab.tsv")


def test_refuses_bad_token_files(corpus: Path) -> None:
    refused(DataError, VocabOptions(work=Path("none")), "`rnnkit tokenize train.LANG`", path="none/tokens")
    refused(DataError, VocabOptions(files=[Path("none.tok")]), "none.tok")
    for content in (b"", b"\n \n"):
        Path("empty.tok").write_bytes(content)
        refused(DataError, VocabOptions(files=[Path("empty.tok")]), path="empty.tok")
    Path("bad.tok").write_bytes(b"a\nb\xff\n")
    refused(DataError, VocabOptions(files=[Path("bad.tok")]), "bad.tok:2:2", "0xff")
    Path("work/tokens/train.de.tok").unlink()
    Path("work/tokens/train.en.tok").unlink()
    refused(DataError, VocabOptions(), "valid.de.tok")


def test_token_files_of_different_tokenizers(corpus: Path) -> None:
    train = tokenize_options.TokenizeOptions(files=[Path("train.en")], type="chars", work=Path("other"))
    tokenize.run(replace(train, output=Path("work/tokens"), overwrite=True))
    refused(ArtefactError, VocabOptions(), "work/tokens/train.de.tok: tokenizer ", "work/tokens/train.en.tok")


def test_a_changed_token_file(corpus: Path) -> None:
    Path("work/tokens/train.de.tok").write_text("ein\n", encoding="utf-8")
    refused(ArtefactError, VocabOptions(), "work/tokens/train.de.tok", "`rnnkit tokenize`")
