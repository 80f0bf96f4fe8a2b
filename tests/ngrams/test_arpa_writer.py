"""Writing of ARPA files: their form, that they are read back as the same model, and merging of words."""

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
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.arpa_writer import merge_words, ngram_words, write_arpa
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.text.special_tokens import BOS, EOS, NAMES, UNK

from .samples import TOKENS, Lines, flatten, lines_of, make_model, random_lines


def assert_equal(one: BackoffModel, other: BackoffModel) -> None:
    assert all(np.array_equal(mine, its) for mine, its in zip(one._arrays, other._arrays, strict=True))


def test_a_small_file_byte_by_byte(tmp_path: Path) -> None:
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
def test_written_model_is_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, lines: Lines, order: int, prune: tuple[int, ...]
) -> None:
    path = tmp_path_factory.getbasetemp() / "same.arpa"
    model = make_model(lines, order=order, prune=prune[:order])
    write_arpa(model, TOKENS, path)
    read, tokens = read_arpa(path)
    assert tokens == TOKENS
    assert_equal(model, read)


def test_blocks_do_not_change_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(order=4)
    write_arpa(model, TOKENS, tmp_path / "one")
    monkeypatch.setattr("rnnkit.ngrams.arpa_writer._BLOCK", 7)
    monkeypatch.setattr("rnnkit.ngrams.arpa_format._CHUNK", 100)
    write_arpa(model, TOKENS, tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert_equal(read_arpa(tmp_path / "other")[0], model)


def test_gzip_output_is_deterministic(tmp_path: Path) -> None:
    model = make_model(order=3)
    for name in ("a.arpa", "a.arpa.gz", "b.arpa.gz"):
        write_arpa(model, TOKENS, tmp_path / name)
    assert gzip.decompress((tmp_path / "a.arpa.gz").read_bytes()) == (tmp_path / "a.arpa").read_bytes()
    assert (tmp_path / "a.arpa.gz").read_bytes() == (tmp_path / "b.arpa.gz").read_bytes()
    assert_equal(read_arpa(tmp_path / "a.arpa.gz")[0], model)


def test_probability_0_is_written_as_minus_99_and_reported(tmp_path: Path) -> None:
    events: list[Event] = []
    model = make_model([[4, 5, EOS]], order=2, smoothing="maximum-likelihood")
    write_arpa(model, TOKENS, tmp_path / "a", listen=events.append)
    text = (tmp_path / "a").read_text(encoding="utf-8")
    assert "\n-99\t<unk>\n" in text and "\n0\t<s>\t-99\n" in text and "\n-0.47712126\tthe\t-99\n" in text
    assert events == [Note("4 n-grams have probability 0, written as -99")]
    assert read_arpa(tmp_path / "a")[0].log_probabilities(0)[UNK] == pytest.approx(-99 * np.log(10))


def test_ordinary_models_give_no_events(tmp_path: Path) -> None:
    events: list[Event] = []
    write_arpa(make_model(order=3), TOKENS, tmp_path / "a", listen=events.append)
    assert events == []


@pytest.mark.parametrize("order", [1, 7])
def test_orders_that_kenlm_cannot_read_give_a_warning(tmp_path: Path, order: int) -> None:
    events: list[Event] = []
    write_arpa(make_model(order=order), TOKENS, tmp_path / "a", listen=events.append)
    (event,) = events
    assert isinstance(event, WarningEvent) and "KenLM" in event.text and f"order {order}" in event.text


def test_uppercase_unk_gives_a_warning(tmp_path: Path) -> None:
    events: list[Event] = []
    write_arpa(make_model(order=2), [*TOKENS[:-1], "<UNK>"], tmp_path / "a", listen=events.append)
    (event,) = events
    assert isinstance(event, WarningEvent) and "<UNK>" in event.text


@pytest.mark.parametrize(
    ("token", "values"),
    [
        ("<unk>", ["1", "6", "<unk>", "--merge-unknown"]),
        ("<s>", ["2", "6", "<s>", "sed -E 's#</?s>##g'"]),
        ("</s>", ["3", "6", "</s>"]),
        ("cat", ["5", "6", "cat"]),
        ("a b", ["6", "'a b'"]),
        ("a\tb", ["6", "'a\\tb'"]),
        ("", ["6", "''"]),
    ],
)
def test_unwritable_words_are_rejected(tmp_path: Path, token: str, values: list[str]) -> None:
    with raises(DataError, *values):
        write_arpa(make_model(order=2), [*TOKENS[:6], token, *TOKENS[7:]], tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_other_vocabulary_is_rejected(tmp_path: Path) -> None:
    with raises(DataError, 8, 9):
        write_arpa(make_model(order=2), TOKENS[:8], tmp_path / "a")


def test_literal_pad_is_an_ordinary_word(tmp_path: Path) -> None:
    model = make_model(order=2)
    write_arpa(model, [*TOKENS[:8], "<pad>"], tmp_path / "a")
    read, tokens = read_arpa(tmp_path / "a")
    assert tokens == [*NAMES, *TOKENS[4:8], "<pad>"]
    assert_equal(read, model)


def test_full_disk_leaves_no_partial_file(tmp_path: Path) -> None:
    with raises(ArtefactError, "a.arpa"), limit_files(300):
        write_arpa(make_model(order=3), TOKENS, tmp_path / "a.arpa")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("literal", [4, 6])
def test_literal_unk_is_merged_with_the_unknown_word(tmp_path: Path, literal: int) -> None:
    lines = random_lines(lines=30)
    model = make_model(lines, order=3)
    tokens = [*TOKENS]
    tokens[literal] = "<unk>"
    write_arpa(model, tokens, tmp_path / "a", merge_unknown=True)
    read, words = read_arpa(tmp_path / "a")
    assert words == [*NAMES, *(token for token in TOKENS[4:] if token != TOKENS[literal])]
    new = {old: words.index(token) for old, token in enumerate(tokens) if token in words}
    state, again = model.initial_state(), read.initial_state()
    for word in [4, literal, 5, literal, literal, EOS]:
        old_p, new_p = np.exp(model.log_probabilities(state)), np.exp(read.log_probabilities(again))
        assert new_p[UNK] == pytest.approx(old_p[UNK] + old_p[literal], rel=1e-5)
        others = [old for old in range(len(tokens)) if old not in (UNK, literal, BOS)]
        assert new_p[[new[old] for old in others]] == pytest.approx(old_p[others], rel=1e-5)
        assert new_p.sum() == pytest.approx(1, abs=1e-6)
        state, again = model.step(state, word)[1], read.step(again, new[word])[1]


def test_merge_unknown_without_literal_unk(tmp_path: Path) -> None:
    model = make_model(order=2)
    write_arpa(model, TOKENS, tmp_path / "one")
    write_arpa(model, TOKENS, tmp_path / "other", merge_unknown=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_ngram_words() -> None:
    model = make_model([[4, 5, EOS], [4, 6, EOS]], order=3)
    begin, end = model.order_begins[3], model.order_begins[4]
    assert ngram_words(model, np.arange(begin, end), 3).tolist() == [[BOS, 4, 5], [BOS, 4, 6], [4, 5, EOS], [4, 6, EOS]]


def test_scores_are_equal_after_round_trip(tmp_path: Path) -> None:
    model = make_model(order=4)
    write_arpa(model, TOKENS, tmp_path / "a")
    text = flatten(random_lines(seed=8))
    assert np.array_equal(read_arpa(tmp_path / "a")[0].score(*text), model.score(*text))


@pytest.mark.parametrize("pair", [(5, UNK), (UNK, 5), (8, 5), (5, 8)])
def test_merged_probabilities_add_up_in_every_state(pair: tuple[int, int]) -> None:
    model = make_model(random_lines(size=8), order=3)  # 8 never occurs, nor does an unknown word
    merged, removed = merge_words(model, *pair)
    remaining = 5
    assert removed in pair and removed != remaining
    for state in range(len(model.backoff_I)):
        before, after = np.exp(model.log_probabilities(state)), np.exp(merged.log_probabilities(state))
        assert after[remaining] == pytest.approx(before[remaining] + before[removed], rel=1e-5)
        assert after[removed] == 0
        assert np.delete(after, [remaining, removed]) == pytest.approx(np.delete(before, [remaining, removed]))


def test_merging_two_words_without_ngrams() -> None:
    model = make_model(random_lines(size=8), order=2)
    merged, removed = merge_words(model, 8, UNK)
    assert removed == 8
    before, after = np.exp(model.log_probabilities(0)), np.exp(merged.log_probabilities(0))
    assert after[UNK] == pytest.approx(2 * before[UNK]) and after[8] == 0


def test_two_words_with_ngrams_cannot_be_merged() -> None:
    with raises(DataError, 4, 5):
        merge_words(make_model(order=2), 4, 5)


def test_merging_does_not_modify_the_model() -> None:
    model = make_model(order=2)
    before = model.log10_A.copy()
    merge_words(model, 4, UNK)
    assert np.array_equal(model.log10_A, before)
