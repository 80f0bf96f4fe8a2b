"""CoNLL columns: what is a token and what is not, and sentences that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.tables.records import ReplacementError, RowError
from rnnkit.text.tables.table_format import GivenLayout

from .reading import open_reader, read_values, replace_values

CONLL_2003 = """\
-DOCSTART- -X- -X- O

EU NNP I-NP B-ORG
rejects VBZ I-VP O

  -DOCSTART- NN I-NP O
. . O O
""".replace("  -D", "a NN I-NP O\n-D")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("eng.testa")


def test_conll_2003(corpus: Path) -> None:
    corpus.write_text(CONLL_2003, encoding="utf-8")
    assert read_values(corpus) == [["EU rejects", "B-ORG O"], ["a -DOCSTART- .", "O O O"]]
    assert read_values(corpus, ["pos=2"]) == [["NNP VBZ"], ["NN NN ."]]
    replaced = replace_values(corpus, ["tag"], ["O O", "O B-ORG O"])
    assert replaced.decode() == CONLL_2003.replace("B-ORG", "O").replace("- NN I-NP O", "- NN I-NP B-ORG")


def test_comments_and_hashes(corpus: Path) -> None:
    corpus.write_bytes(b"# id 1\n#\tO\n# \tB-x\n\n# id 2\ta\tb\n#a\tO\n\t\n \n# only a comment\n\n")
    assert read_values(corpus) == [["# #␣", "O B-x"], ["#a", "O"]]


def test_empty_values_and_white_space(corpus: Path) -> None:
    corpus.write_bytes("New York\tB-LOC\nis\t\n\u2028\tO\n\nb\tO\nc\tO\n".encode())
    assert read_values(corpus) == [["New␣York is ␣", "B-LOC _ O"], ["b c", "O O"]]
    reader = open_reader(corpus)
    record = next(iter(reader.records(corpus.read_bytes().splitlines(keepends=True))))
    reader.values(record)
    assert reader.changes == {"white_space": 2, "empty": 1}
    new = replace_values(corpus, ["token"], ["New␣Ark is _", "b c"])
    assert new == b"New Ark\tB-LOC\nis\t\n_\tO\n\nb\tO\nc\tO\n"


def test_spaces_separate_columns(corpus: Path) -> None:
    corpus.write_bytes("a  O \n\u00a0b O\r\n\nc O\n".encode())
    assert read_values(corpus) == [["a ␣b", "O O"], ["c", "O"]]
    assert replace_values(corpus, ["token"], ["x␣y ␣b", "c"]) == "x␣y  O \n\u00a0b O\r\n\nc O\n".encode()


def test_broken_sentences(corpus: Path) -> None:
    corpus.write_bytes(b"a\tO\n\nb\tO\nc\n\n")
    with raises(RowError, "eng.testa:4", path="eng.testa", line=4):
        read_values(corpus)
    with raises(RowError, "eng.testa:4", line=4):
        read_values(corpus, ["token=1"])
    corpus.write_bytes(b"a\tx\tO\n\nb\tO\n\n")
    given = GivenLayout("conll")
    assert read_values(corpus, ["token=1"], given) == [["a"], ["b"]], "the width may differ from sentence to sentence"
    for column in ("tag", "tag=3"):
        with raises(RowError, "eng.testa:3", line=3):
            read_values(corpus, [column], given)
    with raises(DataError, "eng.testa", 4, option="--columns"):
        read_values(corpus, ["tag=4"], given)


def test_items_for_tokens(corpus: Path) -> None:
    corpus.write_bytes(b"a\tO\nb\tO\n\nc\tO\n")
    with pytest.raises(ReplacementError, match="2 tokens, got 1"):
        replace_values(corpus, ["tag"], ["O", "O"])
