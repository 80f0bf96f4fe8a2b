"""`rnnkit vocab`: count the tokens of the training part and give each a row."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import argument, option
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Progress, WarningEvent, null_listener
from rnnkit.io.manifest import Manifest
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.io.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.stages.outputs import claim_file
from rnnkit.stages.text import scale_options as scale
from rnnkit.system.workers import WorkerPool
from rnnkit.text import special_tokens
from rnnkit.text.blocks import count_lines, read_line_blocks
from rnnkit.text.shards import Shard, find_shards, parse_shard, read_shard_manifests, recorded_options
from rnnkit.text.token_files import (
    MAX_TOKEN_LINE_BYTES,
    TRAIN,
    TokenFile,
    common_tokenizer,
    describe_tokenizer,
    find_token_files,
    open_token_file,
)
from rnnkit.text.token_workers import TokenCounter
from rnnkit.text.tokenizers.byte_tokens import BYTE_TOKENS
from rnnkit.text.tokenizers.store import load_tokenizer, read_tokenizer_identity
from rnnkit.text.vocabulary import KIND, VERSION, Vocabulary, read_vocabulary_manifest

EXAMPLE = """\
rnnkit vocab
rnnkit vocab --separate --min-count 2
rnnkit vocab train.de.tok train.en.tok --max-size 20000 --output vocab.tsv
rnnkit vocab --shard 2/8                # on the second of eight machines, then on one: rnnkit vocab --merge
rnnkit vocab --merge a/vocab.tsv b/vocab.tsv --min-count 2 --output vocab.tsv"""


@dataclass(frozen=True)
class VocabOptions:
    """Count tokens and write the vocabulary: token, tab, count; the most frequent first.

    Without files it reads the workspace's token files of the training part, whatever their languages, into one
    vocabulary. Tokenizers that can write any text as bytes (bytes, unigram, bpe) have rows for all 256 of them, and for
    pieces that the text does not have, with count 0. Memory grows with the different tokens, not with the text.
    """

    files: list[Path] = argument(
        (),
        help="Token files of the training part; with --merge, vocabularies.",
        metavar="FILE…",
        shown_default="WORK/tokens/train.*.tok",
    )
    min_count: int = option(
        0,
        help="Tokens met less often get no row; with 0, pieces of the tokenizer that are not met have one too.",
        unit="occurrences",
        minimum=0,
        panel="Vocabulary",
    )
    max_size: int = option(
        0,
        help="Most rows, the four special symbols counted, and of bytes, unigram and bpe the 256 bytes; 0 is no limit.",
        unit="rows",
        minimum=0,
        panel="Vocabulary",
    )
    separate: bool = option(
        False, help="A vocabulary for each language: vocab.LANG.tsv in place of vocab.tsv.", panel="Vocabulary"
    )
    tokenizer: Path | None = option(
        None, help="Folder of the tokenizer that made the token files.", shown_default="WORK/tokenizer"
    )
    work: Path = usual.work(help="Workspace.")
    output: Path | None = option(
        None,
        help="File to write; with --separate the language is put before its ending.",
        shown_default="WORK/vocab.tsv",
        panel="Output",
    )
    overwrite: bool = option(False, help="Replace a vocabulary that is there.", panel="Output")
    processes: int = scale.processes()
    shard: str | None = scale.shard(
        help="Count part I of N of each file's lines, into vocab.I-of-N.tsv, which has every token."
    )
    merge: bool = scale.merge(help="Add up the vocabularies of all shards, or those that are named.")


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
        share = f"{self.covered / max(1, self.tokens):.2%} of {self.tokens:,} tokens"
        return f"{self.path}: {self.rows:,} rows, which cover {share} ({self.types:,} different)"


@dataclass(frozen=True)
class VocabResult:
    """The vocabularies."""

    vocabularies: tuple[Counted, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(map(str, self.vocabularies))

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        return {"vocabularies": [{**asdict(counted), "path": str(counted.path)} for counted in self.vocabularies]}


def run(options: VocabOptions, listen: Listener = null_listener) -> VocabResult:
    """Count in one pass and write one vocabulary, or one for each language.

    Raises:
        DataError: There are no token files, or one is missing, empty or not text.
        ArtefactError: A vocabulary already exists, or the files were made by different tokenizers.
    """
    with spool_pipes(options.files) as files:
        return _run(dataclasses.replace(options, files=files), listen)


def _run(options: VocabOptions, listen: Listener) -> VocabResult:
    shard = parse_shard(options.shard, options.merge)
    if options.merge:
        return VocabResult(tuple(_merge(path, found, options, listen) for path, found in _found(options).items()))
    if shard is not None and (options.min_count > 1 or options.max_size):
        raise UsageError(
            "a shard keeps all its tokens: what is rare in it may be frequent elsewhere",
            hint="give --min-count and --max-size with --merge",
        )
    files = _find(options)
    tokenizer = {} if (found := common_tokenizer(files)) is None else {"tokenizer": found}
    groups = {path if shard is None else shard.path_of(path): files for path, files in _group(files, options).items()}
    _refuse_existing(list(groups), options)
    spelled, pieces = _unmet(files, found, options, listen)
    counted = [(path, members, _count_files(members, shard, options, listen)) for path, members in groups.items()]
    results = []
    for path, members, counts in counted:
        counts.update(dict.fromkeys(pieces, 0))
        inputs = {file.path.name: file.sha256 for file in members} | tokenizer
        results.append(_write(path, counts, spelled, inputs, recorded_options(options), listen))
    return VocabResult(tuple(results))


def _unmet(
    files: Sequence[TokenFile], tokenizer: str | None, options: VocabOptions, listen: Listener
) -> tuple[bool, Sequence[str]]:
    """What the tokenizer can write, whatever the text has: whether all bytes, and the pieces that get a row.

    Raises:
        ArtefactError: The tokenizer that was named did not make the token files.
    """
    folder = options.tokenizer or Workspace(options.work).tokenizer
    if (
        tokenizer is not None
        and (options.tokenizer or folder.exists())
        and read_tokenizer_identity(folder) == tokenizer
    ):
        known = load_tokenizer(folder)
        return known.byte_fallback, known.pieces if options.min_count == 0 else ()
    if options.tokenizer:
        raise ArtefactError(
            f"the tokenizer {folder} did not make {files[0].path}",
            f"it was made by {describe_tokenizer(tokenizer)}",
            hint="leave --tokenizer out, or name the one that did",
        )
    spelled = any(file.byte_fallback for file in files)
    if spelled and options.min_count == 0:
        listen(
            WarningEvent(
                f"the tokenizer of the token files is not at {folder}: its pieces that the text does not have get no "
                "row; name it with --tokenizer"
            )
        )
    return spelled, ()


def _find(options: VocabOptions) -> list[TokenFile]:
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


def _group(files: Sequence[TokenFile], options: VocabOptions) -> dict[Path, list[TokenFile]]:
    """The files that each vocabulary counts."""
    output = options.output or Workspace(options.work).vocabulary()
    if not options.separate:
        return {output: list(files)}
    groups: dict[Path, list[TokenFile]] = {}
    for file in files:
        groups.setdefault(output.with_name(f"{output.stem}.{file.language}{output.suffix}"), []).append(file)
    return groups


def _refuse_existing(paths: Sequence[Path], options: VocabOptions) -> None:
    for path in paths:
        claim_file(options, path, KIND)


def _count_files(
    files: Sequence[TokenFile], shard: Shard | None, options: VocabOptions, listen: Listener
) -> Counter[str]:
    """Occurrences of each token."""
    with WorkerPool(TokenCounter, options.processes) as pool:
        for file in files:
            task, done, tokens = f"count {file.path.name}", 0, 0
            span = None if shard is None else shard.line_range(count_lines(file.path))
            blocks = (block for (block,) in read_line_blocks([file.path], MAX_TOKEN_LINE_BYTES, line_range=span))
            for counted in pool.map(block.for_other_process() if pool.is_parallel else block for block in blocks):
                done += counted.lines
                tokens += counted.tokens
                listen(Progress(task, done, file.lines if span is None else span[1] - span[0]))
            if not tokens and shard is None:
                raise DataError(f"{file.path} has no tokens", "it is empty or has only blank lines")
            listen(Progress(task, done, done, finished=True))
        first, *others = pool.finish()
    counts: Counter[str] = first
    for other in others:
        counts.update(other)
    return counts


def _found(options: VocabOptions) -> dict[Path, list[Path]]:
    """The vocabularies that each one is to be merged from."""
    whole = options.output or Workspace(options.work).vocabulary()
    if options.files and options.separate:
        raise UsageError("--separate merges the shards of each language, and takes no files")
    if options.files:
        return {whole: options.files}
    if not options.separate:
        return {whole: find_shards(whole)}
    parts = whole.parent.glob(f"{whole.stem}.*.1-of-*{whole.suffix}")
    languages = sorted({path.name.removeprefix(f"{whole.stem}.").partition(".")[0] for path in parts})
    places = [whole.with_name(f"{whole.stem}.{language}{whole.suffix}") for language in languages]
    return {place: find_shards(place) for place in places or [whole]}


def _merge(path: Path, found: Sequence[Path], options: VocabOptions, listen: Listener) -> Counted:
    """Add up vocabularies that have every token."""
    _refuse_existing([path], options)
    chosen = {name: value for name, value in recorded_options(options).items() if name in ("min-count", "max-size")}
    if options.files:
        metas = [read_vocabulary_manifest(one) for one in found]
        known = recorded_options(options)
    else:
        metas = read_shard_manifests(found, KIND, VERSION)
        known = {**metas[0].options, **chosen}
    counts: Counter[str] = Counter()
    inputs: dict[str, str] = {}
    for done, (one, meta) in enumerate(zip(found, metas, strict=True), start=1):
        counts.update(_every_token(one, meta))
        _refuse_tokenizers(found[0], metas[0], one, meta)
        for name, digest in meta.inputs.items():
            inputs[name if inputs.get(name, digest) == digest else f"{one}: {name}"] = digest
        listen(Progress(f"merge {path.name}", done, len(found), "vocabularies", finished=done == len(found)))
    if not counts.total():
        raise DataError(f"the shards of {path} have no tokens", "the token files have only blank lines")
    spelled = any(meta.facts.get("byte_fallback") for meta in metas)
    return _write(path, counts, spelled, inputs, known, listen)


def _every_token(path: Path, meta: Manifest) -> dict[str, int]:
    """The counts of a vocabulary that left nothing out."""
    if meta.facts.get("covered") != meta.facts.get("tokens"):
        raise ArtefactError(
            f"{path} does not have every token that was counted",
            "it was made with --min-count or --max-size; what these leave out is missing from a sum",
            hint="count again without them, and give them with --merge",
        )
    vocabulary = Vocabulary.load(path)
    first = len(special_tokens.NAMES)
    return dict(zip(vocabulary.tokens[first:], vocabulary.counts[first:], strict=True))


def _refuse_tokenizers(first: Path, first_meta: Manifest, other: Path, meta: Manifest) -> None:
    tokenizers = [each.inputs.get("tokenizer") for each in (first_meta, meta)]
    if tokenizers[0] != tokenizers[1]:
        raise ArtefactError(
            "vocabularies of different tokenizers do not go together",
            *(f"{path}: {describe_tokenizer(found)}" for path, found in zip((first, other), tokenizers, strict=True)),
        )


def _write(
    path: Path,
    counts: Counter[str],
    spelled: bool,
    inputs: Mapping[str, str],
    options: Mapping[str, Any],
    listen: Listener,
) -> Counted:
    """Make a vocabulary of the counts, with a row for each byte where the tokenizer can write it, and save it."""
    always = BYTE_TOKENS if spelled else ()
    vocabulary = Vocabulary.from_counts(counts, options["min-count"], options["max-size"], always)
    types = sum(count > 0 for count in counts.values())
    counted = Counted(path, len(vocabulary), counts.total(), types, sum(vocabulary.counts))
    facts: dict[str, Any] = {"tokens": counted.tokens, "types": counted.types, "covered": counted.covered}
    if spelled:
        facts["byte_fallback"] = True
    vocabulary.save(path, options=options, inputs=inputs, facts=facts)
    if counts and len(vocabulary) == len(special_tokens.NAMES):
        listen(WarningEvent(f"{path} has no row but the special symbols; lower --min-count or raise --max-size"))
    if 0 < options["max-size"] < len(vocabulary) and spelled:
        rows = f"{len(special_tokens.NAMES)} special symbols and {len(always)} bytes"
        listen(WarningEvent(f"{path} has {len(vocabulary)} rows, more than --max-size: it has at least {rows}"))
    return counted
