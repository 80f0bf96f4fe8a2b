"""`rnnkit vocab`: count the tokens of the training part and give each a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import argument, as_dict, option
from rnnkit.errors import ArtefactError, DataError
from rnnkit.events import Listener, Progress, Warned, ignore
from rnnkit.files.workspace import Workspace
from rnnkit.text import special
from rnnkit.text.lines import batch_lines
from rnnkit.text.names import TRAIN
from rnnkit.text.token_files import TokenFile, find_token_files, open_token_file, read_token_lines, shared_tokenizer
from rnnkit.text.vocabulary import Vocabulary

EXAMPLE = """\
rnnkit vocab
rnnkit vocab --separate --min-count 2
rnnkit vocab train.de.tok train.en.tok --max-size 20000 --output vocab.tsv"""

_PROGRESS_LINES = 1 << 16
_BATCH_LINES = 1 << 10
_BATCH_CHARACTERS = 1 << 18


@dataclass(frozen=True)
class Options:
    """Count tokens and write the vocabulary: token, tab, count; the most frequent first.

    Without files it reads the workspace's token files of the training part, whatever their languages, into one
    vocabulary. Memory grows with the different tokens, not with the text.
    """

    files: list[Path] = argument(
        (), help="Token files of the training part.", metavar="FILE…", shown_default="WORK/tokens/train.*.tok"
    )
    min_count: int = option(
        1, help="Tokens met less often get no row.", unit="occurrences", minimum=1, panel="Vocabulary"
    )
    max_size: int = option(
        0,
        help="Most rows, the four special symbols counted; 0 is no limit.",
        unit="rows",
        minimum=0,
        panel="Vocabulary",
    )
    separate: bool = option(
        False, help="A vocabulary for each language: vocab.LANG.tsv in place of vocab.tsv.", panel="Vocabulary"
    )
    work: Path = option(Path("work"), help="Workspace.")
    output: Path | None = option(
        None,
        help="File to write; with --separate the language is put before its ending.",
        shown_default="WORK/vocab.tsv",
        panel="Output",
    )
    overwrite: bool = option(False, help="Replace a vocabulary that is there.", panel="Output")


@dataclass(frozen=True)
class Counted:
    """One vocabulary that was written.

    Attributes:
        path: Where.
        rows: Its size, the four special symbols counted.
        tokens: Tokens that were counted.
        types: Different ones among them.
        covered: Tokens that have a row.
    """

    path: Path
    rows: int
    tokens: int
    types: int
    covered: int

    def __str__(self) -> str:
        share = f"{self.covered / self.tokens:.2%} of {self.tokens:,} tokens"
        return f"{self.path}: {self.rows:,} rows, which cover {share} ({self.types:,} different)"


@dataclass(frozen=True)
class Result:
    """The vocabularies."""

    vocabularies: tuple[Counted, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(map(str, self.vocabularies))

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        return {"vocabularies": [{**asdict(counted), "path": str(counted.path)} for counted in self.vocabularies]}


def run(options: Options, listen: Listener = ignore) -> Result:
    """Count in one pass and write one vocabulary, or one for each language.

    Raises:
        DataError: There are no token files, or one is missing, empty or not text.
        ArtefactError: A vocabulary is there already, or the files were made by different tokenizers.
    """
    files = _find(options)
    tokenizer = shared_tokenizer(files)
    groups = _group(files, options)
    _refuse_existing(list(groups), options)
    counted = [(path, members, _count_files(members, listen)) for path, members in groups.items()]
    results = [_write(path, members, counts, tokenizer, options, listen) for path, members, counts in counted]
    return Result(tuple(results))


def _find(options: Options) -> list[TokenFile]:
    """The token files to count."""
    if options.files:
        return [open_token_file(path) for path in options.files]
    folder = Workspace(options.work).tokens
    files = [open_token_file(path) for path in find_token_files(folder)]
    train = [file for file in files if file.split == TRAIN]
    if not train:
        raise DataError(
            f"there is no token file of the training part in {folder}",
            f"it has {', '.join(file.path.name for file in files) or 'no token files'}",
            hint="`rnnkit tokenize train.LANG` makes one, or name the token files",
        )
    return train


def _group(files: Sequence[TokenFile], options: Options) -> dict[Path, list[TokenFile]]:
    """The files that each vocabulary counts."""
    output = options.output or Workspace(options.work).vocabulary()
    if not options.separate:
        return {output: list(files)}
    groups: dict[Path, list[TokenFile]] = {}
    for file in files:
        groups.setdefault(output.with_name(f"{output.stem}.{file.language}{output.suffix}"), []).append(file)
    return groups


def _refuse_existing(paths: Sequence[Path], options: Options) -> None:
    for path in paths:
        if path.exists() and not options.overwrite:
            raise ArtefactError(
                f"{path} is there already", hint="--overwrite replaces it; --output or --work names another place"
            )


def _count_files(files: Sequence[TokenFile], listen: Listener) -> Counter[str]:
    """Occurrences of each token."""
    counts: Counter[str] = Counter()
    for file in files:
        task, done, filled = f"count {file.path.name}", 0, False
        for batch in batch_lines(read_token_lines(file.path), _BATCH_LINES, _BATCH_CHARACTERS):
            tokens = " ".join(batch).split()
            counts.update(tokens)
            filled = filled or bool(tokens)
            done += len(batch)
            if done % _PROGRESS_LINES < len(batch):
                listen(Progress(task, done, file.lines))
        if not filled:
            raise DataError(f"{file.path} has no tokens", "it is empty or has only blank lines")
        listen(Progress(task, done, done, finished=True))
    return counts


def _write(
    path: Path,
    files: Sequence[TokenFile],
    counts: Counter[str],
    tokenizer: str | None,
    options: Options,
    listen: Listener,
) -> Counted:
    """Make a vocabulary of the counts and save it."""
    vocabulary = Vocabulary.from_counts(counts, options.min_count, options.max_size)
    counted = Counted(path, len(vocabulary), counts.total(), len(counts), sum(vocabulary.counts))
    inputs = {file.path.name: file.sha256 for file in files}
    if tokenizer is not None:
        inputs["tokenizer"] = tokenizer
    facts = {"tokens": counted.tokens, "types": counted.types, "covered": counted.covered}
    vocabulary.save(path, options=as_dict(options), inputs=inputs, facts=facts)
    if len(vocabulary) == len(special.NAMES):
        listen(Warned(f"{path} has no row but the special symbols; lower --min-count or raise --max-size"))
    return counted
