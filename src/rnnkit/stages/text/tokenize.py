"""`rnnkit tokenize`: text to tokens, with a tokenizer that is trained first if there is none."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, Progress, WarningEvent, null_listener
from rnnkit.io import lock, manifest
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN
from rnnkit.stages.outputs import check_output_file
from rnnkit.stages.text.tokenize_options import (
    DEFAULT_TYPE,
    TokenizeOptions,
    TokenizeResult,
    token_folder,
    tokenizer_folder,
)
from rnnkit.system.machine import available_cores
from rnnkit.system.workers import WorkerPool
from rnnkit.text import parallel_processing, token_files
from rnnkit.text.blocks import LineBlock, count_lines, read_line_blocks
from rnnkit.text.lines import batch_lines, read_lines
from rnnkit.text.parallel_processing import SamplingBatch, TokenizedBlock, TokenizedFile, TokenizeWorker
from rnnkit.text.rule_based_tokenizers import WhitespaceTokenizer
from rnnkit.text.subword_training import SubwordTrainingOptions, check_not_empty, train_from_files
from rnnkit.text.token_files import TEST, TRAIN, VALID, CorpusName, TokenFileContents, parse_name
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer, read_raw_text
from rnnkit.text.tokenizer_store import (
    RULE_BASED_TOKENIZERS,
    load_compatible_tokenizer,
    load_tokenizer,
    read_tokenizer_identity,
    save_tokenizer,
    staged_tokenizer,
)
from rnnkit.text.unicode import NFC, NONE, Normalizer

EXAMPLE = """\
rnnkit tokenize train.de train.en valid.de valid.en --type unigram --size 8000
rnnkit tokenize test.de                     # uses the tokenizer of the workspace
rnnkit tokenize < news.de > news.de.tok     # a filter: one output line per input line
rnnkit tokenize corpus.txt --type words --lowercase --work corpus
rnnkit tokenize train.lemma train.form --type chars --features    # lines such as aufgehen<TAB>V;PST;2;SG
rnnkit tokenize train.de train.en --shard 2/8         # on the second of eight machines; join with --merge"""


@dataclass(frozen=True)
class _TokenizeJob:
    """A text file and the token file to write.

    Attributes:
        source: The text file.
        sha256: Its checksum.
        name: Its name, parsed.
        target: The token file.
    """

    source: Path
    sha256: str
    name: CorpusName
    target: Path

    @property
    def raw(self) -> Path | None:
        """Path for a copy of the raw lines, which only valid and test files get."""
        return token_files.raw_lines_path(self.target) if self.name.split in (VALID, TEST) else None


def is_filter(options: TokenizeOptions) -> bool:
    """Return whether the command filters standard input to standard output."""
    return options.files in ([], [STDIN]) and not options.merge


def run(options: TokenizeOptions, listen: Listener = null_listener) -> TokenizeResult:
    """Tokenize the files. All token files appear together, when the last one is complete.

    Raises:
        UsageError: Options contradict each other.
        DataError: A text is missing, empty or not valid text, or there is no text to train a tokenizer on.
        ArtefactError: The existing tokenizer has other settings than the options, or a token file already exists.
    """
    shard = parallel_processing.parse_shard(options.shard, options.merge)
    if options.merge:
        return _merge(options, listen)
    _check_samples(options)
    jobs = _plan(options, shard)
    folder = token_folder(options, shard)
    with lock.lock_directory(folder):
        with ExitStack() as outputs:
            tokenizer, location, learned = _open_or_create(options, jobs, shard, outputs, listen)
            if options.samples and tokenizer.kind in RULE_BASED_TOKENIZERS:
                raise _cannot_sample(tokenizer.kind)
            with _make_pool(options, location) as pool:
                encoder = _FileTokenizer(tokenizer, options, shard, pool)
                written = [encoder.tokenize(job, outputs, listen) for job in jobs]
        for job, file in zip(jobs, written, strict=True):
            _write_manifest(job, file, options, tokenizer)
        if learned:
            _warn_of_stale_files(folder, options, listen)
    return TokenizeResult(tokenizer_folder(options), tokenizer.options, learned, tuple(written))


def _merge(options: TokenizeOptions, listen: Listener) -> TokenizeResult:
    """Join every token file of the shards.

    Raises:
        UsageError: The options name text files.
        DataError: There are no shards, one is missing, or a text has no tokens.
        ArtefactError: The shards do not belong together, or a token file already exists.
    """
    if options.files:
        raise UsageError("--merge joins the output of shards and takes no text files", option="--merge")
    folder = token_folder(options)
    found = parallel_processing.find_shards(folder)
    targets = [folder / name for name in parallel_processing.common_token_files(found)]
    for target in targets:
        check_output_file(options, target, token_files.KIND)
        check_output_file(options, token_files.raw_lines_path(target))
        token_files.check_raw_lines_replaceable(target)
    tokenizer = load_tokenizer(tokenizer_folder(options))
    with lock.lock_directory(folder):
        merged = []
        with ExitStack() as outputs:
            for done, target in enumerate(targets, start=1):
                merged.append(
                    parallel_processing.merge_token_file(target, [shard / target.name for shard in found], outputs)
                )
                listen(Progress("merge", done, len(targets), "files", finished=done == len(targets)))
        for metas, written in merged:
            parallel_processing.write_merged_manifest(metas, written)
    return TokenizeResult(tokenizer_folder(options), tokenizer.options, False, tuple(written for _, written in merged))


def open_filter(options: TokenizeOptions, listen: Listener = null_listener) -> Iterator[str]:
    """Tokenize standard input line by line.

    Raises:
        UsageError: An option needs files.
        DataError: There is no tokenizer, and the requested type needs training; during iteration: the input is not
            valid text.
        ArtefactError: The existing tokenizer has other settings than the options.
    """
    given = {"samples": options.samples, "learn-from": options.learn_from, "shard": options.shard}
    given["processes"] = options.processes != 1
    if unusable := [name for name, value in given.items() if value]:
        raise UsageError(
            f"--{unusable[0]} needs files and cannot be used in a filter",
            hint="name the text files",
            option=f"--{unusable[0]}",
        )
    folder = tokenizer_folder(options)
    if folder.exists():
        tokenizer = load_compatible_tokenizer(folder, _requested_settings(options))
    elif options.type is not None and options.type in RULE_BASED_TOKENIZERS:
        tokenizer = _with_features(RULE_BASED_TOKENIZERS[options.type](_normalization(options)), options)
    else:
        raise DataError(
            f"there is no tokenizer at {folder}",
            hint="train one with `rnnkit tokenize train.LANG`, or name another with --model",
            path=folder,
            option="--model",
        )
    if sys.stdin.isatty():
        listen(Note("reading text from the keyboard, one sentence per line; Ctrl-D ends the input"))
    return filter_lines(read_raw_text(STDIN, tokenizer), tokenizer)


def filter_lines(lines: Iterable[str], tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the tokens of each line, separated by spaces, as soon as the line is read."""
    for line in lines:
        yield " ".join(tokenizer.tokenize(line))


def _check_samples(options: TokenizeOptions) -> None:
    if options.samples and options.type in RULE_BASED_TOKENIZERS:
        raise _cannot_sample(str(options.type))
    if options.samples and not any(parse_name(source).split == TRAIN for source in options.files):
        raise UsageError("--samples applies to train files only, and none is given", option="--samples")


def _cannot_sample(kind: str) -> UsageError:
    return UsageError(f"--samples needs a unigram or bpe tokenizer; this one is {kind}", option="--samples")


def _plan(options: TokenizeOptions, shard: parallel_processing.Shard | None) -> list[_TokenizeJob]:
    """Map text files to token files, and check all of them before any work is done."""
    folder = token_folder(options, shard)
    jobs: dict[Path, _TokenizeJob] = {}
    for source in options.files:
        if source == STDIN:
            raise UsageError("- cannot be combined with files", hint="give no file to tokenize standard input")
        if source.is_dir():
            raise DataError(f"{source} is a folder, not a text file", path=source)
        if source.exists() and not source.is_file():
            raise DataError(
                f"{source} is not a regular file",
                "each file is read more than once",
                hint="pipe a stream to standard input instead",
                path=source,
            )
        next(read_lines(source), None)  # raises an error now if the file cannot be read
        name = parse_name(source)
        target = folder / name.token_file
        if target in jobs:
            raise UsageError(f"{jobs[target].source} and {source} have the same output {target}", path=source)
        jobs[target] = _TokenizeJob(source, manifest.sha256(source), name, target)
    for target, job in jobs.items():
        check_output_file(options, target, token_files.KIND)
        if job.raw is not None:
            check_output_file(options, job.raw)
            token_files.check_raw_lines_replaceable(target)
    return list(jobs.values())


def _open_or_create(
    options: TokenizeOptions,
    jobs: Sequence[_TokenizeJob],
    shard: parallel_processing.Shard | None,
    outputs: ExitStack,
    listen: Listener,
) -> tuple[Tokenizer, Path, bool]:
    """Open the tokenizer, or train or make a new one.

    Returns:
        The tokenizer, its directory, and whether it is new. A tokenizer that replaces another one is in a temporary
        directory until `outputs` closes.
    """
    folder = tokenizer_folder(options)
    if shard is not None:
        if not folder.exists():
            raise DataError(
                f"there is no tokenizer at {folder}",
                "shards do not create one, because all of them must use the same",
                hint="create it first, on one machine: `rnnkit tokenize valid.LANG --learn-from train.LANG`",
                path=folder,
            )
        return load_compatible_tokenizer(folder, _requested_settings(options)), folder, False
    sources = options.learn_from or [job.source for job in jobs if job.name.split == TRAIN]
    can_create = bool(sources) or options.type in RULE_BASED_TOKENIZERS
    if folder.exists() and not (options.overwrite and can_create):
        existing = load_compatible_tokenizer(folder, _requested_settings(options))
        listen(Note(f"tokenizer {folder}: {existing}"))
        return existing, folder, False
    tokenizer, inputs, facts = _create(options, sources, listen)
    listen(Note(f"tokenizer {folder}: {tokenizer}, new"))
    if folder.exists():  # replaced together with the token files, when the last of them is complete
        return tokenizer, outputs.enter_context(staged_tokenizer(tokenizer, folder, inputs, facts)), True
    save_tokenizer(tokenizer, folder, inputs, facts)
    return tokenizer, folder, True


def _create(
    options: TokenizeOptions, sources: Sequence[Path], listen: Listener
) -> tuple[Tokenizer, dict[str, str], JsonObject]:
    """Make a tokenizer, trained on the sources unless it is rule-based; also returns its inputs and facts."""
    kind = options.type or DEFAULT_TYPE
    normalization = _normalization(options)
    if kind in RULE_BASED_TOKENIZERS:
        if options.size is not None:
            raise UsageError(f"--size applies to unigram and bpe tokenizers; --type is {kind}", option="--size")
        return _with_features(RULE_BASED_TOKENIZERS[kind](normalization), options), {}, {}
    if not sources:
        raise DataError(
            f"there is no tokenizer at {tokenizer_folder(options)}, and no train file to train one on",
            hint="name the training text train.LANG, or pass it to --learn-from; words, chars and bytes need none",
            path=tokenizer_folder(options),
            option="--learn-from",
        )
    inputs = {source.name: manifest.sha256(source) for source in sources}
    training = SubwordTrainingOptions(kind, options.size, round(options.learn_size * 1e6), options.seed)
    subwords, facts = train_from_files(sources, training, normalization, listen, bool(options.features))
    return _with_features(subwords, options), inputs, facts


def _make_pool(options: TokenizeOptions, tokenizer: Path) -> WorkerPool[LineBlock | SamplingBatch, TokenizedBlock]:
    """Make the worker processes, among which SentencePiece's threads are divided."""
    processes = options.processes or available_cores()
    threads = -1  # SentencePiece: one per core
    if options.threads or processes > 1:
        threads = max(1, (options.threads or available_cores()) // processes)
    return WorkerPool(partial(TokenizeWorker, tokenizer, threads, options.samples, options.alpha), processes)


@dataclass(frozen=True)
class _FileTokenizer:
    """Tokenizes files, or a shard of each, in worker processes."""

    tokenizer: Tokenizer
    options: TokenizeOptions
    shard: parallel_processing.Shard | None
    pool: WorkerPool[LineBlock | SamplingBatch, TokenizedBlock]

    def tokenize(self, job: _TokenizeJob, outputs: ExitStack, listen: Listener) -> TokenizedFile:
        """Write the tokens of one file; `outputs` completes the token file when it closes."""
        # Entered last is completed first: raw lines never appear without their token file and its manifest.
        raw = None if job.raw is None else outputs.enter_context(token_files.create_raw_lines(job.target))
        output = outputs.enter_context(token_files.create_token_file(job.target))
        span = None if self.shard is None else self.shard.line_range(count_lines(job.source))
        total = None if span is None else span[1] - span[0]
        items: Iterable[LineBlock | SamplingBatch] = (
            self._batches(job, span)
            if self.options.samples and job.name.split == TRAIN
            else (block.for_other_process() if self.pool.is_parallel else block for block in _read_file(job, span, raw))
        )
        task = f"tokenize {job.source.name}"
        read = lines = tokens = 0
        for piece in self.pool.map(items):
            output.write(piece.text)
            read += piece.text_lines
            lines += piece.lines
            tokens += piece.tokens
            listen(Progress(task, read, total))
        if self.shard is None:
            check_not_empty(job.source, read, tokens)
        listen(Progress(task, read, read, finished=True))
        return TokenizedFile(job.target, lines, tokens)

    def _batches(self, job: _TokenizeJob, span: tuple[int, int] | None) -> Iterator[SamplingBatch]:
        """Read batches of lines for sampling. A batch belongs to the shard of its first line, so shards share none."""
        read = 0
        for batch in batch_lines(read_raw_text(job.source, self.tokenizer)):
            if span is None or span[0] <= read < span[1]:
                # One seed per batch and file: the two sides of a corpus must not sample with the same numbers.
                yield SamplingBatch(batch, zlib.crc32(f"{self.options.seed} {job.target.name} {read}".encode()))
            read += len(batch)


def _read_file(job: _TokenizeJob, span: tuple[int, int] | None, raw: IO[bytes] | None) -> Iterator[LineBlock]:
    """Read a file in blocks, and copy the lines to `raw`."""
    for (block,) in read_line_blocks([job.source], line_range=span):
        if raw is not None:
            raw.write(token_files.encode_raw_lines(block.decode()))
        yield block


def _write_manifest(job: _TokenizeJob, file: TokenizedFile, options: TokenizeOptions, tokenizer: Tokenizer) -> None:
    samples = options.samples if job.name.split == TRAIN else 0
    token_files.write_token_manifest(
        file.path,
        TokenFileContents(file.lines, file.tokens, samples, tokenizer.features, tokenizer.byte_fallback),
        options=parallel_processing.recorded_options(options),
        inputs={"text": job.sha256, "tokenizer": read_tokenizer_identity(tokenizer_folder(options))},
        raw=job.raw is not None,
    )


def _warn_of_stale_files(folder: Path, options: TokenizeOptions, listen: Listener) -> None:
    """Warn of token files that were made with another tokenizer than the new one."""
    new = read_tokenizer_identity(tokenizer_folder(options))
    for path in token_files.find_token_files(folder):
        if (
            manifest.manifest_path(path).exists()
            and manifest.load(manifest.manifest_path(path)).inputs.get("tokenizer") != new
        ):
            listen(WarningEvent(f"{path} was made with another tokenizer; tokenize its text again"))


def _requested_settings(options: TokenizeOptions) -> JsonObject:
    """Return the tokenizer settings in the options; None where an option is not given."""
    settings = {name: getattr(options, name) for name in ("type", "lowercase", "size", "features")}
    return {**settings, "normalise": options.normalize}


def _with_features(tokenizer: Tokenizer, options: TokenizeOptions) -> Tokenizer:
    return FeaturedTokenizer(tokenizer) if options.features else tokenizer


def _normalization(options: TokenizeOptions) -> Normalizer:
    """Return the normalization of each line. `spaces` has no token for white space, so it can never be exact."""
    exact = options.normalize == NONE and (options.type or DEFAULT_TYPE) != WhitespaceTokenizer.kinds[0]
    return Normalizer(options.normalize or NFC, bool(options.lowercase), exact)
