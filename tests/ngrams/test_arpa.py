"""ARPA files that are written: their form, and that they come back as the same model."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.file_limits import limit_files
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Event, Note, WarningEvent
from rnnkit.ngrams.arpa import ngrams, write_arpa
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.model import NgramModel
from rnnkit.text.special_tokens import BOS, EOS, NAMES, UNK

from .samples import TOKENS, Lines, lay, lines_of, make_model, random_lines


def assert_equal(one: NgramModel, other: NgramModel) -> None:
    assert all(np.array_equal(mine, its) for mine, its in zip(one._arrays, other._arrays, strict=True))


def test_a_small_file_letter_by_letter(tmp_path: Path) -> None:
    model = make_model([[4, 5, EOS]], order=2, smoothing="add-k", size=6)
    write_arpa(model, TOKENS[:6], tmp_path / "a.arpa")
    assert (tmp_path / "a.arpa").read_text(encoding="utf-8") == (
        "\\data\\\nngram 1=5\nngram 2=3\n"
        "\n\\1-grams:\n"
        "-0.60206\t<unk>\n"
        "0\t<s>\t-0.096910015\n"
        "-0.60206\t</s>\n"
        "-0.60206\tthe\t-0.096910015\n"
        "-0.60206\tcat\t-0.096910015\n"
        "\n\\2-grams:\n"
        "-0.39794\t<s> the\n"
        "-0.39794\tthe cat\n"
        "-0.39794\tcat </s>\n"
        "\n\\end\\\n"
    )


@given(lines_of(), st.integers(1, 5), st.sampled_from([(), (0, 1)]))
def test_what_is_written_is_read_as_the_same_model(
    tmp_path_factory: pytest.TempPathFactory, lines: Lines, order: int, prune: tuple[int, ...]
) -> None:
    path = tmp_path_factory.getbasetemp() / "same.arpa"
    model = make_model(lines, order=order, prune=prune[:order])
    write_arpa(model, TOKENS, path)
    read, tokens = read_arpa(path)
    assert tokens == TOKENS
    assert_equal(model, read)


def test_a_larger_file_is_written_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(order=4)
    write_arpa(model, TOKENS, tmp_path / "one")
    monkeypatch.setattr("rnnkit.ngrams.arpa._BLOCK", 7)
    monkeypatch.setattr("rnnkit.ngrams.arpa_text._CHUNK", 100)
    write_arpa(model, TOKENS, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert_equal(read_arpa(tmp_path / "other")[0], model)


def test_gzip_holds_the_same_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    model = make_model(order=3)
    for name in ("a.arpa", "a.arpa.gz", "b.arpa.gz"):
        write_arpa(model, TOKENS, tmp_path / name)
    assert gzip.decompress((tmp_path / "a.arpa.gz").read_bytes()) == (tmp_path / "a.arpa").read_bytes()
    assert (tmp_path / "a.arpa.gz").read_bytes() == (tmp_path / "b.arpa.gz").read_bytes()
    assert_equal(read_arpa(tmp_path / "a.arpa.gz")[0], model)


def test_what_is_impossible_is_written_as_minus_99_and_told(tmp_path: Path) -> None:
    events: list[Event] = []
    model = make_model([[4, 5, EOS]], order=2, smoothing="maximum-likelihood")
    write_arpa(model, TOKENS, tmp_path / "a", listen=events.append)
    text = (tmp_path / "a").read_text(encoding="utf-8")
    assert "\n-99\t<unk>\n" in text and "\n0\t<s>\t-99\n" in text and "\n-0.47712126\tthe\t-99\n" in text
    assert events == [Note("4 n-grams have the probability 0, which is written as -99")]
    assert read_arpa(tmp_path / "a")[0].log_probabilities(0)[UNK] == pytest.approx(-99 * np.log(10))


def test_nothing_is_told_where_there_is_nothing_to_tell(tmp_path: Path) -> None:
    events: list[Event] = []
    write_arpa(make_model(order=3), TOKENS, tmp_path / "a", listen=events.append)
    assert events == []


@pytest.mark.parametrize("order", [1, 7])
def test_orders_that_kenlm_does_not_read_are_warned_of(tmp_path: Path, order: int) -> None:
    events: list[Event] = []
    write_arpa(make_model(order=order), TOKENS, tmp_path / "a", listen=events.append)
    assert events == [
        WarningEvent(f"KenLM as it is usually built does not read models of order {order}, only of 2 to 6")
    ]


def test_a_word_that_kenlm_takes_for_unknown_is_warned_of(tmp_path: Path) -> None:
    events: list[Event] = []
    write_arpa(make_model(order=2), [*TOKENS[:-1], "<UNK>"], tmp_path / "a", listen=events.append)
    assert events == [WarningEvent("the vocabulary has the word <UNK>, which KenLM takes for the unknown word <unk>")]


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("<unk>", "rows 1 and 6 of the vocabulary are both spelt <unk>; an ARPA file has each word once\n"
         "  hint: let both be one in the file (`--merge-unknown`), or spell it otherwise in the training text"),
        ("<s>", "rows 2 and 6 of the vocabulary are both spelt <s>; an ARPA file has each word once\n  hint: spell it"),
        ("</s>", "rows 3 and 6 of the vocabulary are both spelt </s>"),
        ("cat", "rows 5 and 6 of the vocabulary are both spelt cat"),
        ("a b", "row 6 of the vocabulary, 'a b', cannot be a word of an ARPA file"),
        ("a\tb", "row 6 of the vocabulary, 'a\\tb', cannot be"),
        ("", "row 6 of the vocabulary, '', cannot be"),
    ],
)  # fmt: skip
def test_vocabularies_that_would_not_come_back_are_refused(tmp_path: Path, token: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        write_arpa(make_model(order=2), [*TOKENS[:6], token, *TOKENS[7:]], tmp_path / "a")
    assert message in str(caught.value)
    assert not (tmp_path / "a").exists()


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the vocabulary has 8 rows, the model 9"):
        write_arpa(make_model(order=2), TOKENS[:8], tmp_path / "a")


def test_the_text_pad_is_an_ordinary_word(tmp_path: Path) -> None:
    model = make_model(order=2)
    write_arpa(model, [*TOKENS[:8], "<pad>"], tmp_path / "a")
    read, tokens = read_arpa(tmp_path / "a")
    assert tokens == [*NAMES, *TOKENS[4:8], "<pad>"]
    assert_equal(read, model)


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    with raises(ArtefactError, path=tmp_path / "a.arpa"), limit_files(300):
        write_arpa(make_model(order=3), TOKENS, tmp_path / "a.arpa")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("row", [4, 6])
def test_a_literal_unk_is_merged_with_the_unknown_word(tmp_path: Path, row: int) -> None:
    lines = random_lines(lines=30)
    model = make_model(lines, order=3)
    tokens = [*TOKENS]
    tokens[row] = "<unk>"
    write_arpa(model, tokens, tmp_path / "a", merge_unknown=True)
    read, words = read_arpa(tmp_path / "a")
    assert words == [*NAMES, *(token for token in TOKENS[4:] if token != TOKENS[row])]
    new = {old: words.index(token) for old, token in enumerate(tokens) if token in words}
    state, again = model.start(), read.start()
    for word in [4, row, 5, row, row, EOS]:
        old_p, new_p = np.exp(model.log_probabilities(state)), np.exp(read.log_probabilities(again))
        assert new_p[UNK] == pytest.approx(old_p[UNK] + old_p[row], rel=1e-5)
        others = [old for old in range(len(tokens)) if old not in (UNK, row, BOS)]
        assert new_p[[new[old] for old in others]] == pytest.approx(old_p[others], rel=1e-5)
        assert new_p.sum() == pytest.approx(1, abs=1e-6)
        state, again = model.step(state, word)[1], read.step(again, new[word])[1]


def test_merging_changes_nothing_where_there_is_no_such_row(tmp_path: Path) -> None:
    model = make_model(order=2)
    write_arpa(model, TOKENS, tmp_path / "one")
    write_arpa(model, TOKENS, tmp_path / "other", merge_unknown=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_ngrams_are_spelled_from_their_nodes() -> None:
    model = make_model([[4, 5, EOS], [4, 6, EOS]], order=3)
    begin, end = model.level_begins[3], model.level_begins[4]
    assert ngrams(model, np.arange(begin, end), 3).tolist() == [[BOS, 4, 5], [BOS, 4, 6], [4, 5, EOS], [4, 6, EOS]]


def test_a_score_survives_the_way(tmp_path: Path) -> None:
    model = make_model(order=4)
    write_arpa(model, TOKENS, tmp_path / "a")
    text = lay(random_lines(seed=8))
    assert np.array_equal(read_arpa(tmp_path / "a")[0].score(*text), model.score(*text))
