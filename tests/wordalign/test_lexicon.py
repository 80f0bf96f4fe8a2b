"""Word tables in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnkit.wordalign.estimate import estimate
from rnnkit.wordalign.lexicon import make_lexicon, write_lexicon
from rnnkit.wordalign.options import Options

from .samples import SIZE, lay, random_pairs
from .test_estimate import table_of

TOKENS = ["<pad>", "<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"]


def test_rows_hold_the_table_in_order() -> None:
    model = estimate(lay(random_pairs()), Options(alpha=0))
    lexicon = make_lexicon(model.table, 0.0)
    table = table_of(model)
    for source in range(SIZE):
        begin, end = lexicon.offset_S1[source : source + 2]
        row = dict(zip(lexicon.target_E[begin:end].tolist(), lexicon.p_E[begin:end].tolist(), strict=True))
        assert row == pytest.approx(table.get(source, {}))
        assert list(row.values()) == sorted(row.values(), reverse=True)
    assert lexicon.offset_S1[-1] == len(lexicon.p_E)


def test_what_variational_bayes_leaves_over_is_shared_out() -> None:
    model = estimate(lay(random_pairs()), Options(alpha=0.5))
    lexicon = make_lexicon(model.table, 0.0)
    for source in range(4, SIZE):
        begin, end = lexicon.offset_S1[source : source + 2]
        assert lexicon.p_E[begin:end].sum() == pytest.approx(1)


def test_rare_translations_are_left_out(tmp_path: Path) -> None:
    lexicon = make_lexicon(estimate(lay(random_pairs()), Options()).table, 0.3)
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
