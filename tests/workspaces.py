"""Small workspaces for the tests of training and decoding, made from the sample corpora by the real stages."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from rnnkit.stages.text import align, tokenize, tokenize_options, vocab
from rnnkit.text.lines import read_lines

CORPORA = Path(__file__).parents[1] / "sample_corpora"
TRAIN_LINES, VALID_LINES = 150, 20

SMALL = [
    "--hidden", "12", "--embedding", "10", "--batch-tokens", "120", "--warmup", "5", "--max-steps", "24",
    "--validate-every", "8", "--report-every", "4", "--validate-lines", "6", "--threads", "1", "--precision", "fp32",
]  # fmt: skip
"""Options of a run of some seconds."""


def make_workspace(folder: Path, separate: bool = False) -> Path:
    """Tokenized, counted and aligned German-English text in `folder/work`; returns that path."""
    texts = []
    for split, count in (("train", TRAIN_LINES), ("valid", VALID_LINES)):
        for side in ("de", "en"):
            lines = list(islice(read_lines(CORPORA / "parallel" / f"{split}.{side}"), count))
            texts.append(folder / f"{split}.{side}")
            texts[-1].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    work = folder / "work"
    tokenize.run(tokenize_options.TokenizeOptions(files=texts, type="words", work=work))
    vocab.run(vocab.VocabOptions(work=work, separate=separate))
    align.run(align.AlignOptions(source="de", target="en", work=work))
    return work


SMALL_TEXT = [
    "--hidden", "12", "--embedding", "10", "--batch-size", "5", "--steps", "7", "--max-steps", "24", "--threads", "1",
    "--validate-every", "8", "--report-every", "4", "--precision", "fp32",
]  # fmt: skip
"""Options of a language model's run of some seconds."""


def make_text_workspace(folder: Path, kind: str = "words", **alignment: Any) -> Path:
    """Tokenized, counted and aligned English text in `folder/work`; returns that path."""
    texts = []
    for split, count in (("train", TRAIN_LINES), ("valid", VALID_LINES)):
        lines = list(islice(read_lines(CORPORA / "monolingual" / f"{split}.txt"), count))
        texts.append(folder / f"{split}.en")
        texts[-1].write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    work = folder / "work"
    tokenize.run(tokenize_options.TokenizeOptions(files=texts, type=kind, work=work))
    vocab.run(vocab.VocabOptions(work=work))
    align.run(align.AlignOptions(work=work, **alignment))
    return work
