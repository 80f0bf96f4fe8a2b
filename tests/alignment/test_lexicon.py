"""Word tables in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.alignment.estimate import estimate
from rnnkit.alignment.lexicon import make_lexicon, read_likeliest, write_lexicon
from rnnkit.alignment.options import AlignmentOptions
from rnnkit.errors import DataError

from .samples import SIZE, lay, random_pairs
from .test_estimate import table_of

TOKENS = ["<pad>", "<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"]


def test_rows_hold_the_table_in_order() -> None:
    model = estimate(lay(random_pairs()), AlignmentOptions(alpha=0))
    lexicon = make_lexicon(model.table, 0.0)
    table = table_of(model)
    for source in range(SIZE):
        begin, end = lexicon.offset_S1[source : source + 2]
        row = dict(zip(lexicon.target_E[begin:end].tolist(), lexicon.p_E[begin:end].tolist(), strict=True))
        assert row == pytest.approx(table.get(source, {}))
        assert list(row.values()) == sorted(row.values(), reverse=True)
    assert lexicon.offset_S1[-1] == len(lexicon.p_E)


def test_what_variational_bayes_leaves_over_is_shared_out() -> None:
    model = estimate(lay(random_pairs()), AlignmentOptions(alpha=0.5))
    lexicon = make_lexicon(model.table, 0.0)
    for source in range(4, SIZE):
        begin, end = lexicon.offset_S1[source : source + 2]
        assert lexicon.p_E[begin:end].sum() == pytest.approx(1)


def test_rare_translations_are_left_out(tmp_path: Path) -> None:
    lexicon = make_lexicon(estimate(lay(random_pairs()), AlignmentOptions()).table, 0.3)
    assert (lexicon.p_E >= 0.3).all()
    write_lexicon(lexicon, tmp_path / "lexicon", TOKENS, TOKENS)
    rows = [line.split("\t") for line in (tmp_path / "lexicon").read_text().splitlines()]
    assert [(source, target) for source, target, _ in rows] == [
        ("a", "b"),
        ("b", "c"),
        ("c", "d"),
        ("d", "e"),
        ("e", "a"),
    ]
    assert [float(p) for _, _, p in rows] == pytest.approx(lexicon.p_E, rel=1e-5)


def test_the_likeliest_of_what_was_written_is_read(tmp_path: Path) -> None:
    lexicon = make_lexicon(estimate(lay(random_pairs()), AlignmentOptions()).table)
    write_lexicon(lexicon, tmp_path / "lexicon", TOKENS, TOKENS)
    assert read_likeliest(tmp_path / "lexicon") == {"a": "b", "b": "c", "c": "d", "d": "e", "e": "a"}


Rows = list[tuple[str, str, float]]
WORD = st.sampled_from(["a", "b", "￭,", "é\u2028", "<s>", "▁x"])


@given(rows=st.lists(st.tuples(WORD, WORD, st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=9))
def test_the_first_of_the_likeliest_wins_in_any_order(tmp_path_factory: pytest.TempPathFactory, rows: Rows) -> None:
    path = tmp_path_factory.mktemp("lexicon") / "lexicon"
    path.write_text("".join(f"{source}\t{target}\t{p}\n" for source, target, p in rows), encoding="utf-8")
    found = read_likeliest(path)
    assert found.keys() == {source for source, _, _ in rows}
    for source, target in found.items():
        own = [(p, other) for word, other, p in rows if word == source]
        most = max(p for p, _ in own)
        assert target == next(other for p, other in own if p == most)


def test_a_word_that_is_mostly_translated_by_unknown_ones_has_no_translation(tmp_path: Path) -> None:
    path = tmp_path / "lexicon"
    path.write_text("a\tb\t0.3\na\t<unk>\t0.6\nc\td\t0.5\nc\t<unk>\t0.4\n<unk>\td\t0.9\n")
    assert read_likeliest(path) == {"c": "d"}


@pytest.mark.parametrize(
    ("row", "shown"),
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
def test_a_row_that_is_none_is_named(tmp_path: Path, row: str, shown: str) -> None:
    path = tmp_path / "lexicon"
    path.write_text(f"a\tb\t0.5\n{row}\n")
    with pytest.raises(DataError) as caught:
        read_likeliest(path)
    assert str(caught.value) == (
        f"{path}:2: {shown} is no row of a lexicon\n"
        "  a row is SOURCE, TARGET and P, parted by tabs; P is a probability, from 0 to 1\n"
        "  hint: `rnnkit align-words --lexicon FILE` makes one"
    )


def test_no_lexicon(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(DataError, match="empty is empty\n  hint: `rnnkit align-words --lexicon FILE` makes a lexicon"):
        read_likeliest(tmp_path / "empty")
    with pytest.raises(DataError, match="does not exist"):
        read_likeliest(tmp_path / "none")
