"""How many of the tokens that a search over the whole vocabulary chooses are on a shortlist, sentence by sentence.

    python benchmarks/shortlist_share.py test.de --model work/model --shortlist work/shortlist

The lines are translated without the shortlist. A token is kept where it is among those that the shortlist allows its
own sentence, whatever else is in a batch; end symbols, which are always there, do not count.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch

from rnnkit.alignment.shortlist import Shortlist
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translate import search_sources
from rnnkit.models import store
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text.special_tokens import EOS

BATCH_TOKENS = 2048


def main() -> None:
    """Translate, count and print."""
    parser = argparse.ArgumentParser(description="The share of a search's tokens that a shortlist keeps.")
    parser.add_argument("source", type=Path, help="raw lines")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--shortlist", type=Path, required=True)
    parser.add_argument("--beam", type=int, default=5)
    options = parser.parse_args()
    model = store.load_seq2seq(options.model, "best", torch.device("cpu"))
    lines = options.source.read_text(encoding="utf-8").splitlines()
    print(report(model, Shortlist.open(options.shortlist), lines, options.beam))


def report(model: LoadedSeq2Seq, shortlist: Shortlist, lines: list[str], beam: int) -> str:
    """A sentence of the shares, and of how long the shortlists are.

    Args:
        model: What translates.
        shortlist: Of the same vocabularies.
        lines: Raw lines.
        beam: Hypotheses that are kept.
    """
    sources = [model.source_vocabulary.encode(model.tokenizer.tokenize(line)) for line in lines]
    found = search_sources(model, sources, SearchOptions(beam=beam), BATCH_TOKENS)
    total = kept = whole = 0
    sizes = []
    for source, hypotheses in zip(sources, found, strict=True):
        if not hypotheses:
            continue
        chosen = hypotheses[0].ids
        allowed = shortlist.candidates(np.array([*source, EOS]))
        on_it = int(np.isin(chosen, allowed).sum())
        total, kept, whole = total + len(chosen), kept + on_it, whole + (on_it == len(chosen))
        sizes.append(len(allowed))
    return (
        f"{kept:,} of {total:,} tokens ({100 * kept / total:.2f}%) and {whole:,} of {len(sizes):,} sentences are kept; "
        f"a shortlist has {statistics.median(sizes):,.0f} of {shortlist.target_size:,} words in the median"
    )


if __name__ == "__main__":
    main()
