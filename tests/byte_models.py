"""Model directories whose vocabularies are little else than line ends: hardly an output is without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import tiny_models

from rnnkit.models import lm_store, store
from rnnkit.text.subword_training import train_subwords
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.tokenizer_store import RULE_BASED_TOKENIZERS, SUBWORD_KINDS, read_tokenizer_identity, save_tokenizer
from rnnkit.text.unicode import NONE, Normalizer
from rnnkit.text.vocabulary import Vocabulary

LINE_END, RETURN = "<0x0A>", "<0x0D>"
SIZE = 7
"""Four special symbols, two line ends and a letter: hardly an output is without a line end."""

KINDS = ("words", "chars", "bytes", *SUBWORD_KINDS)
"""The tokenizers that can write a byte as a token; `spaces` cannot."""


def make(kind: str) -> Tokenizer:
    exact = Normalizer(NONE, exact=True)
    return (
        RULE_BASED_TOKENIZERS[kind](exact)
        if kind in RULE_BASED_TOKENIZERS
        else train_subwords(["a a a", "aa"] * 3, kind, None, exact)
    )


def parts(folder: Path, kind: str) -> tuple[Path, Path]:
    """A tokenizer's folder and a vocabulary."""
    save_tokenizer(make(kind), folder / "tokenizer")
    letter = {"bytes": "<0x61>", "unigram": "▁a", "bpe": "▁a"}.get(kind, "a")
    made_by = {"tokenizer": read_tokenizer_identity(folder / "tokenizer")}
    Vocabulary.from_counts({LINE_END: 3, RETURN: 2, letter: 1}).save(folder / "vocab.tsv", inputs=made_by)
    return folder / "tokenizer", folder / "vocab.tsv"


def translating(folder: Path, kind: str, **changes: Any) -> Path:
    network = tiny_models.translator(size=SIZE, spread=1.0, **changes)
    tokenizer, table = parts(folder, kind)
    store.create_seq2seq(folder / "model", network.config, ("de", "en"), tokenizer, [table])
    return tiny_models._finish(folder / "model", network)


def speaking(folder: Path, kind: str) -> Path:
    network = tiny_models.speaker(size=SIZE)
    lm_store.create_language_model(folder / "model", network.config, "en", *parts(folder, kind))
    return tiny_models._finish(folder / "model", network)


def filling(folder: Path, kind: str) -> Path:
    network = tiny_models.filler(size=SIZE)
    lm_store.create_masked_lm(folder / "model", network.config, "en", *parts(folder, kind))
    return tiny_models._finish(folder / "model", network)
