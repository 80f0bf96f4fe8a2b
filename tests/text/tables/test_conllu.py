"""CoNLL-U: words alone, and IDs that do not follow from each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.tables.records import RowError

from .reading import read_values, replace_values

TEXT = """\
# newdoc
# text = Aux élections 20 000
1-2	Aux	_	_	_	_	_	_	_	_
1	À	à	ADP	_	_	3	case	_	_
2	les	le	DET	_	_	3	det	_	_
3	élections	élection	NOUN	_	_	0	root	_	_
3.1	ont	avoir	AUX	_	_	_	_	0:root	_
3.2	lieu	lieu	NOUN	_	_	_	_	_	_
4	20 000	20 000	NUM	_	_	3	nummod	_	SpaceAfter=No
4.1	x	_	_	_	_	_	_	_	_

# a comment without a sentence

0.1	a	_	_	_	_	_	_	_	_
1	b	_	X	_	_	0	root	_	_
"""


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("fr-ud-test.conllu")


def test_words_alone(corpus: Path) -> None:
    corpus.write_text(TEXT, encoding="utf-8")
    assert read_values(corpus) == [["À les élections 20␣000", "ADP DET NOUN NUM"], ["b", "X"]]
    assert read_values(corpus, ["misc", "n=1"]) == [["_ _ _ SpaceAfter=No", "1 2 3 4"], ["_", "1"]]
    replaced = replace_values(corpus, ["form"], ["À les élections 30␣000", "c"]).decode()
    assert replaced == TEXT.replace("4\t20 000", "4\t30 000").replace("1\tb", "1\tc")
    with raises(DataError, "did you mean 'upos'?", option="--columns"):
        read_values(corpus, ["ups"])


BROKEN = {
    "columns": ("1\ta\tb\n", 1, "10"),
    "spaces": ("1 a a X _ _ 0 root _ _\n", 1, "10"),
    "gap": ("1{}2{}4{}", 3, "3"),
    "zero": ("0{}", 1, "1"),
    "word": ("a{}", 1, "'a'"),
    "leading zero": ("01{}", 1, "'01'"),
    "backward range": ("2-1{}1{}2{}", 1, "2-1"),
    "range of one": ("1-1{}1{}", 1, "1-1"),
    "late range": ("1{}1-2{}2{}", 2, "1-2"),
    "range beyond": ("1-3{}1{}2{}", 1, "3"),
    "overlap": ("1-3{}1{}2-4{}2{}3{}4{}", 3, "2-4"),
    "same range": ("1-2{}1-2{}1{}2{}", 2, "1-2"),
    "empty node": ("1{}2.1{}2{}", 2, "1.1"),
    "node twice": ("1{}1.1{}1.1{}", 3, "1.2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_sentences(corpus: Path, name: str) -> None:
    template, line, value = BROKEN[name]
    good = "1\tx" + "\t_" * 8 + "\n\n"
    corpus.write_text(good + template.replace("{}", "\tx" + "\t_" * 8 + "\n"), encoding="utf-8")
    with raises(RowError, f"fr-ud-test.conllu:{line + 2}", value, path="fr-ud-test.conllu", line=line + 2):
        read_values(corpus)


def test_sentences_are_bounded(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr("rnnkit.text.tables.conllu.MAX_RECORD_BYTES", 60)
    with raises(DataError, "fr-ud-test.conllu:1", 60, line=1):
        read_values(corpus)


def test_long_sentences(corpus: Path) -> None:
    """IDs beyond those that are compared at once."""
    lines = [f"{number}\tw{number}\t_\tX" + "\t_" * 6 for number in range(1, 1203)]
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")
    [[forms, tags]] = read_values(corpus)
    assert (forms.split()[-1], len(tags.split())) == ("w1202", 1202)
