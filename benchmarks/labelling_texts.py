"""The labelled texts of `labelling.py`: extracted from the corpora, and prepared for rnnkit."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labelling_systems import QUICK_LINES, SPLITS, Result, Settings, measure_once, run_rnnkit
from rivals import BenchmarkError

SPLIT_SEED = 1
"""Seed of `rnnkit extract --split`, where a corpus has no validation data."""


@dataclass(frozen=True)
class Corpus:
    """A labelled corpus.

    Attributes:
        name: Name in tables.
        folder: Folder below that of the corpora.
        files: Files to extract; each has its split in its name.
        text: Name of the column of words or texts.
        labels: Names of the columns of labels.
        columns: Columns, as `rnnkit extract --columns` reads them.
        layout: Format of the files; None if it is detected.
        split: Files of which a tenth becomes the validation data.
        language: Language of spaCy's pipeline.
        classes: Whether labels belong to lines.
    """

    name: str
    folder: str
    files: Sequence[str]
    text: str
    labels: Sequence[str]
    columns: str
    layout: str | None = None
    split: Sequence[str] = ()
    language: str = "en"
    classes: bool = False


def _treebank(name: str, folder: str, stem: str, language: str, labels: Sequence[str]) -> Corpus:
    files = [f"{stem}-ud-{split}.conllu.gz" for split in ("train", "dev", "test")]
    return Corpus(name, folder, files, "form", labels, ",".join(["form", *labels]), language=language)


def _entities(name: str, folder: str) -> Corpus:
    files = [f"{split}.tsv" for split in ("train", "dev", "test")]
    return Corpus(name, folder, files, "word", ["name"], "word=1,name=2", layout="conll")


def _texts(name: str, folder: str) -> Corpus:
    files = [f"{split}.tsv" for split in ("train", "dev", "test")]
    return Corpus(name, folder, files, "text", ["label"], "text=1,label=2", classes=True)


MORPHOLOGY = ("upos", "xpos", "feats")
TREEBANKS = (
    _treebank("English EWT", "ud-english-ewt", "en_ewt", "en", ["upos"]),
    _treebank("Turkish IMST", "ud-turkish-imst", "tr_imst", "tr", MORPHOLOGY),
    _treebank("Greek GDT", "ud-greek-gdt", "el_gdt", "el", MORPHOLOGY),
)
ENTITIES = (_entities("BC5CDR", "ner-bc5cdr"), _entities("WNUT-17", "ner-wnut17"))
SST2 = _texts("SST-2", "sst2")
NEWSGROUPS = Corpus(
    "20 Newsgroups", "20newsgroups", ["test.tsv.gz"], "text", ["label"], "text=1,label=2", split=["train.tsv.gz"],
    classes=True,
)  # fmt: skip
CLASSIFICATION = (SST2, _texts("MR", "mr"), _texts("Subj", "subj"), _texts("CR", "cr"), NEWSGROUPS)
CORPORA = (*TREEBANKS, *ENTITIES, *CLASSIFICATION)


def prepare(settings: Settings, corpus: Corpus) -> Path:
    """Extract a corpus and encode it for rnnkit.

    Words of taggers and tokens of classifiers are separated by blanks, and all systems read the same ones. Texts to
    classify are in lower case, punctuation marks are tokens.

    Returns:
        The folder with the files SPLIT.COLUMN, and `work`, the workspace of rnnkit.
    """
    folder = settings.work / "texts" / corpus.folder
    measure_once(settings, f"texts {corpus.name}", {"columns": corpus.columns}, lambda: _make(settings, corpus, folder))
    return folder


def _make(settings: Settings, corpus: Corpus, folder: Path) -> Result:
    shutil.rmtree(folder, ignore_errors=True)
    raw = folder / "raw"
    home = settings.corpora / corpus.folder
    if not home.is_dir():
        raise BenchmarkError(f"there is no {home}; --corpora is the folder of the corpora")
    layout = ["--format", corpus.layout] if corpus.layout else []
    options = ["--columns", corpus.columns, *layout, "--output", raw]
    if corpus.split:
        files = [home / name for name in corpus.split]
        split = ["--split", "train=0.9,valid=0.1", "--seed", SPLIT_SEED]
        run_rnnkit(settings, "extract", *files, *split, *options)
    run_rnnkit(settings, "extract", *(home / name for name in corpus.files), *options)
    lines = {split: _copy(settings, corpus, raw, folder, split) for split in SPLITS}
    work = folder / "work"
    texts = [folder / f"{split}.{corpus.text}" for split in SPLITS]
    run_rnnkit(settings, "tokenize", *texts, "--type", "spaces", "--work", work)
    run_rnnkit(settings, "vocab", "--work", work)
    run_rnnkit(settings, "align", "--text", corpus.text, "--labels", ",".join(corpus.labels), "--work", work)
    return {"lines": lines}


def _copy(settings: Settings, corpus: Corpus, raw: Path, folder: Path, split: str) -> int:
    """Write the columns of a split, for a quick test only their first lines; returns the number of lines."""
    limit = QUICK_LINES[split] if settings.quick else None
    count = 0
    for column in (corpus.text, *corpus.labels):
        rows = read_lines(raw / f"{split}.{column}")[:limit]
        if corpus.classes and column == corpus.text:
            rows = [tokens(row) for row in rows]
        (folder / f"{split}.{column}").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        count = len(rows)
    return count


def read_lines(path: Path) -> list[str]:
    """Read the lines of a file."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def tokens(text: str) -> str:
    """Split lowercased text into words and punctuation marks, separated by blanks."""
    return " ".join(re.findall(r"\w+|[^\w\s]", text.lower()))
