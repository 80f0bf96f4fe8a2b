"""Sorted translation tables, and their text form."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.alignment.alignment_models import AlignmentOptions
from rnnkit.alignment.em_training import train_alignment_model
from rnnkit.alignment.translation_table import make_translation_table, read_best_translations, write_translation_table
from rnnkit.errors import DataError

from .samples import SIZE, bitext_of, random_pairs
from .test_em_training import table_of

TOKENS = ["<pad>", "<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"]


def test_entries_are_sorted_by_probability() -> None:
    model = train_alignment_model(bitext_of(random_pairs()), AlignmentOptions(alpha=0))
    table = make_translation_table(model.table, 0.0)
    reference = table_of(model)
    for source in range(SIZE):
        begin, end = table.offset_S1[source : source + 2]
        row = dict(zip(table.target_E[begin:end].tolist(), table.p_E[begin:end].tolist(), strict=True))
        assert row == pytest.approx(reference.get(source, {}))
        assert list(row.values()) == sorted(row.values(), reverse=True)
    assert table.offset_S1[-1] == len(table.p_E)


def test_probabilities_are_normalized() -> None:
    model = train_alignment_model(bitext_of(random_pairs()), AlignmentOptions(alpha=0.5))
    table = make_translation_table(model.table, 0.0)
    for source in range(4, SIZE):
        begin, end = table.offset_S1[source : source + 2]
        assert table.p_E[begin:end].sum() == pytest.approx(1)


def test_rare_translations_are_left_out(tmp_path: Path) -> None:
    table = make_translation_table(train_alignment_model(bitext_of(random_pairs()), AlignmentOptions()).table, 0.3)
    assert (table.p_E >= 0.3).all()
    write_translation_table(table, tmp_path / "lexicon", TOKENS, TOKENS)
    rows = [line.split("\t") for line in (tmp_path / "lexicon").read_text().splitlines()]
    assert [(source, target) for source, target, _ in rows] == [
        ("a", "b"),
        ("b", "c"),
        ("c", "d"),
        ("d", "e"),
        ("e", "a"),
    ]
    assert [float(p) for _, _, p in rows] == pytest.approx(table.p_E, rel=1e-5)


def test_best_translations_of_a_written_table(tmp_path: Path) -> None:
    table = make_translation_table(train_alignment_model(bitext_of(random_pairs()), AlignmentOptions()).table)
    write_translation_table(table, tmp_path / "lexicon", TOKENS, TOKENS)
    assert read_best_translations(tmp_path / "lexicon") == {"a": "b", "b": "c", "c": "d", "d": "e", "e": "a"}


Rows = list[tuple[str, str, float]]
WORD = st.sampled_from(["a", "b", "￭,", "é\u2028", "<s>", "▁x"])


@given(rows=st.lists(st.tuples(WORD, WORD, st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=9))
def test_first_of_equally_probable_translations_wins(tmp_path_factory: pytest.TempPathFactory, rows: Rows) -> None:
    path = tmp_path_factory.mktemp("lexicon") / "lexicon"
    path.write_text("".join(f"{source}\t{target}\t{p}\n" for source, target, p in rows), encoding="utf-8")
    found = read_best_translations(path)
    assert found.keys() == {source for source, _, _ in rows}
    for source, target in found.items():
        own = [(p, other) for word, other, p in rows if word == source]
        most = max(p for p, _ in own)
        assert target == next(other for p, other in own if p == most)


def test_words_best_translated_by_unk_have_no_translation(tmp_path: Path) -> None:
    path = tmp_path / "lexicon"
    path.write_text("a\tb\t0.3\na\t<unk>\t0.6\nc\td\t0.5\nc\t<unk>\t0.4\n<unk>\td\t0.9\n")
    assert read_best_translations(path) == {"c": "d"}


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ("b\tc", "'b\\tc'"),
        ("b c 0.5", "'b c 0.5'"),
        ("b\tc\t0.5\t7", "'b\\tc\\t0.5\\t7'"),
        ("b\tc\t1.5", "'b\\tc\\t1.5'"),
        ("b\tc\tnan", "'b\\tc\\tnan'"),
        ("b\tc\t-0.5", "'b\\tc\\t-0.5'"),
        ("", "''"),
        ("x" * 99, f"'{'x' * 60}…'"),
    ],
)
def test_malformed_entries_are_rejected(tmp_path: Path, entry: str, shown: str) -> None:
    path = tmp_path / "lexicon"
    path.write_text(f"a\tb\t0.5\n{entry}\n")
    with raises(DataError, f"{path}:2", shown, "rnnkit align-words --lexicon", path=path, line=2):
        read_best_translations(path)


def test_empty_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with raises(DataError, "rnnkit align-words --lexicon", path=tmp_path / "empty"):
        read_best_translations(tmp_path / "empty")
    with raises(DataError, tmp_path / "none"):
        read_best_translations(tmp_path / "none")
