"""`rnnkit tokenize`: cut text into tokens, with a tokenizer that is learned first where there is none."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from rnnkit.config import STDIN, argument, as_dict, option
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Note, Progress, Warned, ignore
from rnnkit.files import lock, manifest
from rnnkit.files.atomic import atomic_file
from rnnkit.files.workspace import Workspace
from rnnkit.text import token_files
from rnnkit.text.lines import batch_lines, read_lines
from rnnkit.text.names import TRAIN, CorpusName, parse_name
from rnnkit.text.normalise import FORMS, NFC, Normalisation
from rnnkit.text.tokenizers.featured import FeaturedTokenizer
from rnnkit.text.tokenizers.learning import DEFAULT_SIZE, learn_from_files, refuse_empty
from rnnkit.text.tokenizers.store import LEARNED, RULES, identity, load_matching, save_tokenizer
from rnnkit.text.tokenizers.subwords import UNIGRAM, SubwordTokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer, read_text

EXAMPLE = """\
rnnkit tokenize train.de train.en valid.de valid.en --type unigram --size 8000
rnnkit tokenize test.de                     # reuses the workspace's tokenizer
rnnkit tokenize < news.de > news.de.tok     # a filter, one line out for each line in
rnnkit tokenize corpus.txt --type words --lowercase --work corpus
rnnkit tokenize train.lemma train.form --type chars --features    # lines like aufgehen<TAB>V;PST;2;SG"""

DEFAULT_TYPE = UNIGRAM


@dataclass(frozen=True)
class Options:
    """Cut text into tokens, one line out for each line in; `detokenize` turns them back.

    A file NAME.LANG becomes WORK/tokens/NAME.LANG.tok. The tokenizer is the workspace's; where there is none yet, it
    is learned from the files named train.LANG, one for all languages together. With no file it is a filter.
    """

    files: list[Path] = argument(
        (),
        help="Text, one sentence a line, named NAME.LANG; .gz too. None: from stdin to stdout.",
        metavar="FILE…",
        shown_default="stdin",
    )
    type: str | None = option(
        None,
        help="words and punctuation; spaces for text in tokens already; chars; bytes; SentencePiece: unigram, bpe.",
        choices=(*RULES, *LEARNED),
        shown_default=DEFAULT_TYPE,
        panel="Tokenizer",
    )
    size: int | None = option(
        None,
        help="Pieces of a unigram or bpe tokenizer, the 256 bytes among them.",
        unit="pieces",
        minimum=1,
        shown_default=f"{DEFAULT_SIZE}, or what a small text has",
        panel="Tokenizer",
    )
    lowercase: bool | None = option(None, help="Make everything lower case.", shown_default="no", panel="Tokenizer")
    normalise: str | None = option(
        None,
        help="Unicode form: nfc composes accents, nfkc also folds widths and ligatures, none changes nothing.",
        choices=FORMS,
        shown_default=NFC,
        panel="Tokenizer",
    )
    features: bool | None = option(
        None,
        help="Lines may have features behind a TAB, parted by ; or spaces: tags, a domain. Each is a token of its own.",
        shown_default="no",
        panel="Tokenizer",
    )
    learn_from: list[Path] = option(
        (),
        help="Texts to learn a unigram or bpe tokenizer from.",
        shown_default="the train files",
        many=True,
        panel="Tokenizer",
    )
    learn_size: float = option(
        5.0,
        help="Most text to learn from; where there is more, a random sample of its lines. Takes 20 times the memory.",
        unit="MB",
        minimum=0.001,
        panel="Tokenizer",
    )
    samples: int = option(
        0,
        help="Random segmentations of each line of the train files, in place of the one best.",
        unit="a line",
        minimum=0,
        panel="Tokenizer",
    )
    alpha: float = option(
        0.1,
        help="Of the samples; unigram: 0 draws all alike, 1 by probability; bpe: share of merges left out.",
        minimum=0,
        panel="Tokenizer",
    )
    model: Path | None = option(
        None,
        help="Folder of the tokenizer: used where there is one, made there otherwise.",
        shown_default="WORK/tokenizer",
    )
    work: Path = option(Path("work"), help="Workspace.")
    output: Path | None = option(None, help="Folder for the token files.", shown_default="WORK/tokens", panel="Output")
    overwrite: bool = option(False, help="Replace token files, and with train files the tokenizer too.", panel="Output")
    seed: int = option(1, help="Seed of the samples.", minimum=0)
    threads: int = option(0, help="Threads; 0 is one a core. The result is the same.", unit="threads", minimum=0)


@dataclass(frozen=True)
class Tokenized:
    """One token file that was written."""

    path: Path
    lines: int
    tokens: int


@dataclass(frozen=True)
class Result:
    """What was done.

    Attributes:
        tokenizer: Its folder.
        settings: What it is: type, size and so on.
        learned: Whether it was made just now.
        files: The token files.
    """

    tokenizer: Path
    settings: dict[str, Any]
    learned: bool
    files: tuple[Tokenized, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(f"{file.path}: {file.lines:,} lines, {file.tokens:,} tokens" for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        files = [{**asdict(file), "path": str(file.path)} for file in self.files]
        return {"tokenizer": str(self.tokenizer), "settings": self.settings, "learned": self.learned, "files": files}


@dataclass(frozen=True)
class _Job:
    """A file to tokenize."""

    source: Path
    sha256: str
    name: CorpusName
    target: Path


def is_filter(options: Options) -> bool:
    """Whether the command reads stdin and writes stdout."""
    return options.files in ([], [STDIN])


def run(options: Options, listen: Listener = ignore) -> Result:
    """Tokenize the files; all their token files appear together, when the last is done.

    Raises:
        UsageError: Options that do not go together.
        DataError: A text is missing, empty or not text, or there is nothing to learn a tokenizer from.
        ArtefactError: The tokenizer there is another than was asked for, or a token file is there already.
    """
    _check_samples(options)
    jobs = _plan(options)
    tokens_folder = options.output or Workspace(options.work).tokens
    with lock.hold(tokens_folder):
        tokenizer, learned = _find_or_make(options, jobs, listen)
        if options.samples and tokenizer.kind in RULES:
            raise _no_samples(tokenizer.kind)
        with ExitStack() as outputs:
            written = [
                _tokenize(job, tokenizer, options, outputs.enter_context(atomic_file(job.target)), listen)
                for job in jobs
            ]
        for job, result in zip(jobs, written, strict=True):
            _describe(job, result, options, tokenizer.features)
        if learned:
            _warn_left_behind(tokens_folder, options, listen)
    return Result(tokenizer_folder(options), tokenizer.options, learned, tuple(written))


def open_filter(options: Options, listen: Listener = ignore) -> Iterator[str]:
    """Standard input tokenized line by line.

    Raises:
        UsageError: Options that need files.
        DataError: There is no tokenizer, and the type asked for must be learned; later, for what is no text.
        ArtefactError: The tokenizer there is another than was asked for.
    """
    if options.samples or options.learn_from:
        raise UsageError(f"--{'samples' if options.samples else 'learn-from'} needs files, a filter has none")
    folder = tokenizer_folder(options)
    if folder.exists():
        tokenizer = load_matching(folder, _asked(options))
    elif options.type is not None and options.type in RULES:
        tokenizer = _with_features(RULES[options.type](_normalisation(options)), options)
    else:
        raise DataError(
            f"there is no tokenizer at {folder}", hint="`rnnkit tokenize train.LANG` learns one; --model names another"
        )
    if sys.stdin.isatty():
        listen(Note("reading text from the keyboard, one sentence a line; Ctrl-D ends it"))
    return filter_lines(read_text(STDIN, tokenizer), tokenizer)


def filter_lines(lines: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """One line of tokens for each line of text, as soon as it is there."""
    for line in lines:
        yield " ".join(tokenizer.tokenize(line))


def tokenizer_folder(options: Options) -> Path:
    """Where the tokenizer is, or will be."""
    return options.model or Workspace(options.work).tokenizer


def _check_samples(options: Options) -> None:
    if options.samples and options.type in RULES:
        raise _no_samples(str(options.type))
    if options.samples and not any(parse_name(source).split == TRAIN for source in options.files):
        raise UsageError("--samples is for train files, and none is given")


def _no_samples(kind: str) -> UsageError:
    return UsageError(f"--samples needs a unigram or bpe tokenizer, this one is {kind}")


def _plan(options: Options) -> list[_Job]:
    """What becomes what; refuses before any work what would be overwritten or written twice."""
    folder = options.output or Workspace(options.work).tokens
    jobs: dict[Path, _Job] = {}
    for source in options.files:
        if source == STDIN:
            raise UsageError("- cannot stand among files", hint="give no file to tokenize standard input")
        if source.exists() and not source.is_file():
            raise DataError(
                f"{source} is no plain file", hint="a file is read more than once; a stream goes to standard input"
            )
        next(read_lines(source), None)  # what cannot be read is refused before any work
        name = parse_name(source)
        target = folder / name.token_file
        if target in jobs:
            raise UsageError(f"{jobs[target].source} and {source} would both become {target}")
        jobs[target] = _Job(source, manifest.sha256(source), name, target)
    there = [target for target in jobs if target.exists()]
    if there and not options.overwrite:
        raise ArtefactError(
            f"{there[0]} is there already" + (f", and {len(there) - 1} more" if there[1:] else ""),
            hint="--overwrite replaces it; --work or --output names another place",
        )
    return list(jobs.values())


def _find_or_make(options: Options, jobs: Sequence[_Job], listen: Listener) -> tuple[Tokenizer, bool]:
    """The tokenizer, and whether it was made just now."""
    folder = tokenizer_folder(options)
    sources = options.learn_from or [job.source for job in jobs if job.name.split == TRAIN]
    can_make = bool(sources) or options.type in RULES
    if folder.exists() and not (options.overwrite and can_make):
        known = load_matching(folder, _asked(options))
        listen(Note(f"tokenizer {folder}: {known}"))
        return known, False
    kind = options.type or DEFAULT_TYPE
    normalisation = _normalisation(options)
    tokenizer: Tokenizer
    if kind in RULES:
        if options.size is not None:
            raise UsageError(f"--size is for unigram and bpe, --type is {kind}")
        tokenizer = _with_features(RULES[kind](normalisation), options)
        save_tokenizer(tokenizer, folder)
    elif sources:
        inputs = {source.name: manifest.sha256(source) for source in sources}
        limit = round(options.learn_size * 1e6)
        subwords, facts = learn_from_files(
            sources, kind, options.size, normalisation, limit, options.seed, listen, bool(options.features)
        )
        tokenizer = _with_features(subwords, options)
        save_tokenizer(tokenizer, folder, inputs, facts)
    else:
        raise DataError(
            f"there is no tokenizer at {folder}, and no train file to learn one from",
            hint="name the training text train.LANG, or give it with --learn-from; words, chars and bytes need none",
        )
    listen(Note(f"tokenizer {folder}: {tokenizer}, new"))
    return tokenizer, True


def _tokenize(job: _Job, tokenizer: Tokenizer, options: Options, output: IO[str], listen: Listener) -> Tokenized:
    """Write the tokens of one file."""
    threads = options.threads or -1  # SentencePiece's word for one a core
    samples = options.samples if job.name.split == TRAIN else 0
    task = f"tokenize {job.source.name}"
    read = lines = tokens = 0
    for batch in batch_lines(read_text(job.source, tokenizer)):
        if samples and isinstance(tokenizer, SubwordTokenizer | FeaturedTokenizer):
            # A seed for each batch of each file: two sides of a corpus must not draw the same numbers.
            seed = zlib.crc32(f"{options.seed} {job.target.name} {read}".encode())
            rows = tokenizer.sample_batch(batch, samples, options.alpha, seed)
        else:
            rows = tokenizer.tokenize_batch(batch, threads)
        output.write("\n".join([" ".join(row) for row in rows]) + "\n")
        read += len(batch)
        lines += len(rows)
        tokens += sum(map(len, rows))
        listen(Progress(task, read))
    refuse_empty(job.source, read, tokens)
    listen(Progress(task, read, read, finished=True))
    return Tokenized(job.target, lines, tokens)


def _describe(job: _Job, result: Tokenized, options: Options, features: bool) -> None:
    inputs = {"text": job.sha256, "tokenizer": identity(tokenizer_folder(options))}
    samples = options.samples if job.name.split == TRAIN else 0
    token_files.write_meta(
        result.path,
        options=as_dict(options),
        inputs=inputs,
        lines=result.lines,
        tokens=result.tokens,
        samples=samples,
        features=features,
    )


def _warn_left_behind(folder: Path, options: Options, listen: Listener) -> None:
    """Name the token files that the tokenizer before this one made."""
    new = identity(tokenizer_folder(options))
    for path in token_files.find_token_files(folder):
        if manifest.place(path).exists() and manifest.load(manifest.place(path)).inputs.get("tokenizer") != new:
            listen(Warned(f"{path} was made by another tokenizer; tokenize its text again"))


def _asked(options: Options) -> dict[str, Any]:
    """The settings of a tokenizer that were asked for; None where nothing was said."""
    return {name: getattr(options, name) for name in ("type", "normalise", "lowercase", "size", "features")}


def _with_features(tokenizer: Tokenizer, options: Options) -> Tokenizer:
    return FeaturedTokenizer(tokenizer) if options.features else tokenizer


def _normalisation(options: Options) -> Normalisation:
    return Normalisation(options.normalise or NFC, bool(options.lowercase))
