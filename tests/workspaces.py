"""Small workspaces for the tests of training and decoding, made from the sample corpora by the real stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
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
    align.run(align_options.AlignOptions(source="de", target="en", work=work))
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
    align.run(align_options.AlignOptions(work=work, **alignment))
    return work


SMALL_LABELS: dict[str, Any] = {
    "hidden": 12, "embedding": 10, "character_embedding": 4, "character_hidden": 6, "batch_tokens": 120, "warmup": 5,
    "max_steps": 24, "validate_every": 8, "report_every": 4, "threads": 1, "precision": "fp32",
}  # fmt: skip
"""Options of a tagger's or classifier's run of some seconds."""

ARTICLES = {"the", "a", "an"}


def tag_of(word: str) -> str:
    """A tag that follows from the word: articles, punctuation, and words by their last letter."""
    if word.lower() in ARTICLES:
        return "DET"
    if not word[-1:].isalnum():
        return "PUNCT"
    return "PLURAL" if word.endswith("s") else "WORD"


def span_tags(words: list[str]) -> list[str]:
    """BIO tags: a span is an article with the word after it."""
    tags = ["O"] * len(words)
    for index, word in enumerate(words[:-1]):
        if word.lower() in ARTICLES:
            tags[index : index + 2] = ["B-NP", "I-NP"]
    return tags


LABELS: dict[str, Callable[[list[str]], str]] = {
    "tags": lambda words: " ".join(map(tag_of, words)),
    "spans": lambda words: " ".join(span_tags(words)),
    "long": lambda words: "long text" if len(words) > 8 else "short",
    "many": lambda words: " ".join(sorted({tag_of(word) for word in words})),
    "soft": lambda words: f"long={min(len(words), 16) / 16} short={1 - min(len(words), 16) / 16}",
    "weight": lambda words: str(len(words) / 10),
}
"""What the columns of a labelled workspace hold."""


def write_labelled_text(folder: Path, lines: int = TRAIN_LINES) -> None:
    """Write train, valid and test text in words, and every column of labels beside it."""
    texts = list(islice(read_lines(CORPORA / "monolingual" / "train.txt"), lines + 2 * VALID_LINES))
    parts = {"train": texts[:lines], "valid": texts[lines : lines + VALID_LINES], "test": texts[lines + VALID_LINES :]}
    for split, part in parts.items():
        rows = [[*line.removesuffix(".").split(), "."] for line in part]
        columns = {"form": [" ".join(words) for words in rows]}
        columns |= {name: [make(words) for words in rows] for name, make in LABELS.items()}
        for name, values in columns.items():
            (folder / f"{split}.{name}").write_text("".join(f"{value}\n" for value in values), encoding="utf-8")


def make_labelled_workspace(folder: Path, *labels: str, kind: str = "spaces", **alignment: Any) -> Path:
    """Tokenized, counted and aligned text with labels in `folder/work`; returns that path."""
    write_labelled_text(folder)
    work = folder / "work"
    files = [folder / f"{split}.form" for split in ("train", "valid")]
    size = 400 if kind in ("unigram", "bpe") else None
    tokenize.run(tokenize_options.TokenizeOptions(files=files, type=kind, work=work, size=size))
    vocab.run(vocab.VocabOptions(work=work))
    align.run(align_options.AlignOptions(text="form", labels=list(labels), work=work, **alignment))
    return work


def make_workspace_of_labellers(folder: Path) -> Path:
    """Data with a tag for each word, the same in subword pieces (`pieces`), and with a label for each line (`long`)."""
    work = make_labelled_workspace(folder, "tags")
    align.run(align_options.AlignOptions(text="form", labels=["long"], work=work, output=work / "long"))
    (folder / "unigram").mkdir()
    make_labelled_workspace(folder / "unigram", "tags", kind="unigram").rename(work / "pieces")
    return work


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def decoded(model: Path, text: Path, *others: Path, **changes: Any) -> list[str]:
    """The lines that one model, or several together, write for a text."""
    return list(decode.run(DecodeOptions(files=[text], model=[model, *others], **{"threads": 1, **changes})))
