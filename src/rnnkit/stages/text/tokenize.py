"""`rnnkit tokenize`: cut text into tokens, with a tokenizer that is learned first where there is none."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from rnnkit.config import STDIN
from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, Progress, WarningEvent, null_listener
from rnnkit.io import lock, manifest
from rnnkit.stages.outputs import claim_file
from rnnkit.stages.text.tokenize_merge import merge
from rnnkit.stages.text.tokenize_options import (
    DEFAULT_TYPE,
    Tokenized,
    TokenizeOptions,
    TokenizeResult,
    token_folder,
    tokenizer_folder,
)
from rnnkit.system.machine import available_cores
from rnnkit.system.workers import WorkerPool
from rnnkit.text import shards, token_files
from rnnkit.text.blocks import LineBlock, count_lines, read_line_blocks
from rnnkit.text.lines import batch_lines, read_lines
from rnnkit.text.normalizer import NFC, NONE, Normalizer
from rnnkit.text.token_files import TEST, TRAIN, VALID, CorpusName, parse_name
from rnnkit.text.token_workers import SamplingBatch, TokenizedBlock, TokenizeWorker
from rnnkit.text.tokenizers.features import FeaturedTokenizer
from rnnkit.text.tokenizers.simple_tokenizers import WhitespaceTokenizer
from rnnkit.text.tokenizers.store import (
    RULE_BASED_TOKENIZERS,
    load_compatible_tokenizer,
    read_tokenizer_identity,
    save_tokenizer,
    staged_tokenizer,
)
from rnnkit.text.tokenizers.subword_training import check_not_empty, train_from_files
from rnnkit.text.tokenizers.tokenizer import Tokenizer, read_raw_text

EXAMPLE = """\
rnnkit tokenize train.de train.en valid.de valid.en --type unigram --size 8000
rnnkit tokenize test.de                     # reuses the workspace's tokenizer
rnnkit tokenize < news.de > news.de.tok     # a filter, one line out for each line in
rnnkit tokenize corpus.txt --type words --lowercase --work corpus
rnnkit tokenize train.lemma train.form --type chars --features    # lines like aufgehen<TAB>V;PST;2;SG
rnnkit tokenize train.de train.en --shard 2/8         # on the second of eight machines; --merge joins what they made"""

__all__ = ["EXAMPLE", "TokenizeOptions", "TokenizeResult", "Tokenized", "is_filter", "open_filter", "run"]


@dataclass(frozen=True)
class _Job:
    """A file to tokenize."""

    source: Path
    sha256: str
    name: CorpusName
    target: Path

    @property
    def raw(self) -> Path | None:
        """Where the raw lines go; None for what is not held out."""
        return token_files.raw_lines_path(self.target) if self.name.split in (VALID, TEST) else None


def is_filter(options: TokenizeOptions) -> bool:
    """Whether the command reads stdin and writes stdout."""
    return options.files in ([], [STDIN]) and not options.merge


def run(options: TokenizeOptions, listen: Listener = null_listener) -> TokenizeResult:
    """Tokenize the files; all their token files appear together, when the last is done.

    Raises:
        UsageError: Options that do not go together.
        DataError: A text is missing, empty or not text, or there is nothing to learn a tokenizer from.
        ArtefactError: The tokenizer there is another than was asked for, or a token file already exists.
    """
    shard = shards.parse_shard(options.shard, options.merge)
    if options.merge:
        return merge(options, listen)
    _check_samples(options)
    jobs = _plan(options, shard)
    tokens_folder = token_folder(options, shard)
    with lock.lock_directory(tokens_folder):
        with ExitStack() as outputs:
            tokenizer, place, learned = _find_or_make(options, jobs, shard, outputs, listen)
            if options.samples and tokenizer.kind in RULE_BASED_TOKENIZERS:
                raise _no_samples(tokenizer.kind)
            with _pool(options, place) as pool:
                written = [_tokenize(job, shard, tokenizer, options, pool, outputs, listen) for job in jobs]
        for job, result in zip(jobs, written, strict=True):
            _describe(job, result, options, tokenizer)
        if learned:
            _warn_left_behind(tokens_folder, options, listen)
    return TokenizeResult(tokenizer_folder(options), tokenizer.options, learned, tuple(written))


def open_filter(options: TokenizeOptions, listen: Listener = null_listener) -> Iterator[str]:
    """Standard input tokenized line by line.

    Raises:
        UsageError: Options that need files.
        DataError: There is no tokenizer, and the type asked for must be learned; later, for what is no text.
        ArtefactError: The tokenizer there is another than was asked for.
    """
    needing = {"samples": options.samples, "learn-from": options.learn_from, "shard": options.shard}
    needing["processes"] = options.processes != 1
    if wanted := [name for name, value in needing.items() if value]:
        raise UsageError(f"--{wanted[0]} needs files, a filter has none")
    folder = tokenizer_folder(options)
    if folder.exists():
        tokenizer = load_compatible_tokenizer(folder, _asked(options))
    elif options.type is not None and options.type in RULE_BASED_TOKENIZERS:
        tokenizer = _with_features(RULE_BASED_TOKENIZERS[options.type](_normalisation(options)), options)
    else:
        raise DataError(
            f"there is no tokenizer at {folder}", hint="`rnnkit tokenize train.LANG` learns one; --model names another"
        )
    if sys.stdin.isatty():
        listen(Note("reading text from the keyboard, one sentence a line; Ctrl-D ends it"))
    return filter_lines(read_raw_text(STDIN, tokenizer), tokenizer)


def filter_lines(lines: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """One line of tokens for each line of text, as soon as it is there."""
    for line in lines:
        yield " ".join(tokenizer.tokenize(line))


def _check_samples(options: TokenizeOptions) -> None:
    if options.samples and options.type in RULE_BASED_TOKENIZERS:
        raise _no_samples(str(options.type))
    if options.samples and not any(parse_name(source).split == TRAIN for source in options.files):
        raise UsageError("--samples is for train files, and none is given")


def _no_samples(kind: str) -> UsageError:
    return UsageError(f"--samples needs a unigram or bpe tokenizer, this one is {kind}")


def _plan(options: TokenizeOptions, shard: shards.Shard | None) -> list[_Job]:
    """What becomes what; refuses before any work what would be overwritten or written twice."""
    folder = token_folder(options, shard)
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
    for target, job in jobs.items():
        claim_file(options, target, token_files.KIND)
        if job.raw is not None:
            claim_file(options, job.raw)
            token_files.check_raw_lines_replaceable(target)
    return list(jobs.values())


def _find_or_make(
    options: TokenizeOptions, jobs: Sequence[_Job], shard: shards.Shard | None, outputs: ExitStack, listen: Listener
) -> tuple[Tokenizer, Path, bool]:
    """The tokenizer, where it is, and whether it was made just now. One that replaces another waits for `outputs`."""
    folder = tokenizer_folder(options)
    if shard is not None:
        if not folder.exists():
            raise DataError(
                f"there is no tokenizer at {folder}, and no shard makes one: all must use the same",
                hint="make it first, on one machine: `rnnkit tokenize valid.LANG --learn-from train.LANG`",
            )
        return load_compatible_tokenizer(folder, _asked(options)), folder, False
    sources = options.learn_from or [job.source for job in jobs if job.name.split == TRAIN]
    can_make = bool(sources) or options.type in RULE_BASED_TOKENIZERS
    if folder.exists() and not (options.overwrite and can_make):
        known = load_compatible_tokenizer(folder, _asked(options))
        listen(Note(f"tokenizer {folder}: {known}"))
        return known, folder, False
    kind = options.type or DEFAULT_TYPE
    normalizer = _normalisation(options)
    tokenizer: Tokenizer
    inputs, facts = dict[str, str](), dict[str, Any]()
    if kind in RULE_BASED_TOKENIZERS:
        if options.size is not None:
            raise UsageError(f"--size is for unigram and bpe, --type is {kind}")
        tokenizer = _with_features(RULE_BASED_TOKENIZERS[kind](normalizer), options)
    elif sources:
        inputs = {source.name: manifest.sha256(source) for source in sources}
        limit = round(options.learn_size * 1e6)
        subwords, facts = train_from_files(
            sources, kind, options.size, normalizer, limit, options.seed, listen, bool(options.features)
        )
        tokenizer = _with_features(subwords, options)
    else:
        raise DataError(
            f"there is no tokenizer at {folder}, and no train file to learn one from",
            hint="name the training text train.LANG, or give it with --learn-from; words, chars and bytes need none",
        )
    listen(Note(f"tokenizer {folder}: {tokenizer}, new"))
    if folder.exists():  # like the token files, it is replaced when the last of these is done
        return tokenizer, outputs.enter_context(staged_tokenizer(tokenizer, folder, inputs, facts)), True
    save_tokenizer(tokenizer, folder, inputs, facts)
    return tokenizer, folder, True


def _pool(options: TokenizeOptions, tokenizer: Path) -> WorkerPool[Any, TokenizedBlock]:
    """The processes; SentencePiece's threads are shared among them."""
    processes = options.processes or available_cores()
    threads = -1  # SentencePiece's word for one a core
    if options.threads or processes > 1:
        threads = max(1, (options.threads or available_cores()) // processes)
    return WorkerPool(partial(TokenizeWorker, tokenizer, threads, options.samples, options.alpha), processes)


def _tokenize(
    job: _Job,
    shard: shards.Shard | None,
    tokenizer: Tokenizer,
    options: TokenizeOptions,
    pool: WorkerPool[Any, TokenizedBlock],
    outputs: ExitStack,
    listen: Listener,
) -> Tokenized:
    """Write the tokens of one file, or of its part, into a file that `outputs` finishes."""
    # What is entered last is finished first: raw lines never stand without their token file and its manifest.
    raw = None if job.raw is None else outputs.enter_context(token_files.create_raw_lines(job.target))
    output = outputs.enter_context(token_files.create_token_file(job.target))
    span = None if shard is None else shard.line_range(count_lines(job.source))
    total = None if span is None else span[1] - span[0]
    samples = options.samples and job.name.split == TRAIN
    items: Iterable[Any] = (
        _batches(job, tokenizer, options.seed, span)
        if samples
        else (block.for_other_process() if pool.is_parallel else block for block in _blocks(job, span, raw))
    )
    task = f"tokenize {job.source.name}"
    read = lines = tokens = 0
    for piece in pool.map(items):
        output.write(piece.text)
        read += piece.text_lines
        lines += piece.lines
        tokens += piece.tokens
        listen(Progress(task, read, total))
    if shard is None:
        check_not_empty(job.source, read, tokens)
    listen(Progress(task, read, read, finished=True))
    return Tokenized(job.target, lines, tokens)


def _blocks(job: _Job, span: tuple[int, int] | None, raw: IO[bytes] | None) -> Iterator[LineBlock]:
    """The blocks of a file, whose lines are written to `raw` as they are read."""
    for (block,) in read_line_blocks([job.source], line_range=span):
        if raw is not None:
            raw.write(token_files.encode_raw_lines(block.decode()))
        yield block


def _batches(job: _Job, tokenizer: Tokenizer, seed: int, span: tuple[int, int] | None) -> Iterator[SamplingBatch]:
    """Lines whose segmentations are drawn together: the same ones in whatever shard their first line is."""
    read = 0
    for batch in batch_lines(read_raw_text(job.source, tokenizer)):
        if span is None or span[0] <= read < span[1]:
            # A seed for each batch of each file: two sides of a corpus must not draw the same numbers.
            yield SamplingBatch(batch, zlib.crc32(f"{seed} {job.target.name} {read}".encode()))
        read += len(batch)


def _describe(job: _Job, result: Tokenized, options: TokenizeOptions, tokenizer: Tokenizer) -> None:
    inputs = {"text": job.sha256, "tokenizer": read_tokenizer_identity(tokenizer_folder(options))}
    samples = options.samples if job.name.split == TRAIN else 0
    token_files.write_token_manifest(
        result.path,
        options=shards.recorded_options(options),
        inputs=inputs,
        lines=result.lines,
        tokens=result.tokens,
        samples=samples,
        features=tokenizer.features,
        byte_fallback=tokenizer.byte_fallback,
        raw=job.raw is not None,
    )


def _warn_left_behind(folder: Path, options: TokenizeOptions, listen: Listener) -> None:
    """Name the token files that the tokenizer before this one made."""
    new = read_tokenizer_identity(tokenizer_folder(options))
    for path in token_files.find_token_files(folder):
        if (
            manifest.manifest_path(path).exists()
            and manifest.load(manifest.manifest_path(path)).inputs.get("tokenizer") != new
        ):
            listen(WarningEvent(f"{path} was made by another tokenizer; tokenize its text again"))


def _asked(options: TokenizeOptions) -> dict[str, Any]:
    """The settings of a tokenizer that were asked for; None where nothing was said."""
    return {name: getattr(options, name) for name in ("type", "normalise", "lowercase", "size", "features")}


def _with_features(tokenizer: Tokenizer, options: TokenizeOptions) -> Tokenizer:
    return FeaturedTokenizer(tokenizer) if options.features else tokenizer


def _normalisation(options: TokenizeOptions) -> Normalizer:
    """What is done to each line; `spaces` has no token for white space, so it cannot keep any."""
    exact = options.normalise == NONE and (options.type or DEFAULT_TYPE) != WhitespaceTokenizer.kinds[0]
    return Normalizer(options.normalise or NFC, bool(options.lowercase), exact)
