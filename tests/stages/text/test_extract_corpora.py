"""`extract` on published corpora: their counts, and the same bytes after the same values are written back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnnkit.stages.text.extract import run
from rnnkit.stages.text.extract_options import ExtractOptions, ExtractResult
from rnnkit.text.lines import open_text

TEXT = ("label=2", "text=1")
CORPORA = {
    "ud-english-ewt/en_ewt-ud-test.conllu.gz": (("upos", "form"), 2077, 25094),
    "ud-turkish-imst/tr_imst-ud-dev.conllu.gz": (("feats", "form"), 1100, 10542),
    "ud-greek-gdt/el_gdt-ud-test.conllu.gz": (("xpos", "form"), 456, 10672),
    "ner-wnut17/dev.tsv": (("tag", "token"), 1009, 15733),
    "sst2/dev.tsv": (TEXT, 872, None),
    "mr/dev.tsv": (TEXT, 777, None),
    "subj/dev.tsv": (TEXT, 914, None),
    "cr/dev.tsv": (TEXT, 376, None),
}
"""Files with their columns, rows and tokens as their publishers count them."""


@pytest.mark.parametrize("name", CORPORA)
def test_counts_and_round_trip(name: str, tmp_path: Path) -> None:
    if "RNNKIT_CORPORA" not in os.environ:
        pytest.skip("RNNKIT_CORPORA names no folder of corpora")
    path, (columns, rows, tokens) = Path(os.environ["RNNKIT_CORPORA"]) / name, CORPORA[name]
    result = run(ExtractOptions([path], list(columns), output=tmp_path))
    assert isinstance(result, ExtractResult)
    assert [(file.lines, file.tokens) for file in result.files] == [(rows, tokens)] * 2
    first = columns[0].partition("=")[0]
    run(ExtractOptions([path], [first], write_back=result.files[0].path, output=tmp_path / "written"))
    with open_text(path) as (original, _):
        assert (tmp_path / "written").read_bytes() == original.read()
