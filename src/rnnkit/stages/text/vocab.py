"""`rnnkit vocab`: build the vocabulary from token counts of the train split."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Progress, WarningEvent, null_listener
from rnnkit.io.manifest import Manifest, Workspace
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.json_types import JsonMapping, JsonObject
from rnnkit.options.declare import argument, changed, option
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file
from rnnkit.system.workers import WorkerPool
from rnnkit.text import special_tokens
from rnnkit.text.blocks import count_lines, read_line_blocks
from rnnkit.text.parallel_processing import (
    Shard,
    TokenCounter,
    find_shards,
    parse_shard,
    read_shard_manifests,
    recorded_options,
)
from rnnkit.text.special_tokens import BYTE_TOKENS
from rnnkit.text.token_files import (
    MAX_TOKEN_LINE_BYTES,
    TRAIN,
    TokenFile,
    common_tokenizer,
    describe_tokenizer,
    find_token_files,
    open_token_file,
)
from rnnkit.text.tokenizer_store import load_tokenizer, read_tokenizer_identity
from rnnkit.text.vocabulary import KIND, VERSION, Vocabulary, read_vocabulary_manifest

EXAMPLE = """\
rnnkit vocab
rnnkit vocab --separate --min-count 2
rnnkit vocab train.de.tok train.en.tok --max-size 20000 --output vocab.tsv
rnnkit vocab --shard 2/8                # on the second of eight machines, then on one: rnnkit vocab --merge
rnnkit vocab --merge a/vocab.tsv b/vocab.tsv --min-count 2 --output vocab.tsv"""


@dataclass(frozen=True)
class VocabOptions(shared.WorkspaceOptions, shared.ShardOptions, shared.OverwriteOptions):
    """Build the vocabulary: a file of tokens and counts, separated by tabs, the most frequent first.

    By default all token files of the train split, whatever their languages, make one joint vocabulary. For tokenizers
    with byte fallback (bytes, unigram, bpe) it contains all 256 bytes, and pieces that do not occur, with count 0.
    Memory grows with the number of distinct tokens, not with the text.
    """

    files: list[Path] = argument(
        (),
        help="Token files of the train split; with --merge, vocabularies.",
        metavar="FILE…",
        shown_default="WORK/tokens/train.*.tok",
    )
    min_count: int = option(
        0,
        help="Drop tokens below this frequency; 0 keeps pieces of the tokenizer that do not occur, too.",
        unit="occurrences",
        minimum=0,
        panel="Vocabulary",
    )
    max_size: int = option(
        0,
        help="Maximum vocabulary size, including the four special tokens and, with byte fallback, the 256 bytes; 0 is "
        "no limit.",
        unit="entries",
        minimum=0,
        panel="Vocabulary",
    )
    separate: bool = option(
        False, help="Build one vocabulary per language, vocab.LANG.tsv, instead of vocab.tsv.", panel="Vocabulary"
    )
    tokenizer: Path | None = option(
        None, help="Directory of the tokenizer that made the token files.", shown_default="WORK/tokenizer"
    )
    output: Path | None = option(
        None,
        help="File to write; --separate inserts the language before its suffix.",
        shown_default="WORK/vocab.tsv",
        panel="Output",
    )
    _: KW_ONLY
    shard: str | None = changed(
        shared.ShardOptions,
        "shard",
        help="Count part I of N of each file's lines, and write all its tokens to vocab.I-of-N.tsv.",
    )
    merge: bool = changed(
        shared.ShardOptions, "merge", help="Add up the vocabularies of all shards, or the given ones."
    )


@dataclass(frozen=True)
class VocabularySummary:
    """A vocabulary that was written.

    Attributes:
        path: The vocabulary file.
        size: Number of entries, including the four special tokens.
        tokens: Counted tokens.
        types: Distinct tokens among them.
        covered: Tokens that are in the vocabulary.
    """

    path: Path
    size: int
    tokens: int
    types: int
    covered: int

    def __str__(self) -> str:
        share = f"{self.covered / max(1, self.tokens):.2%} of {self.tokens:,} tokens"
        return f"{self.path}: {self.size:,} entries, covering {share} ({self.types:,} distinct)"

    def as_dict(self) -> JsonObject:
        """Return the summary as JSON."""
        counts = {"tokens": self.tokens, "types": self.types, "covered": self.covered}
        return {"path": str(self.path), "rows": self.size, **counts}


@dataclass(frozen=True)
class VocabResult:
    """The vocabularies."""

    vocabularies: tuple[VocabularySummary, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(map(str, self.vocabularies))

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {"vocabularies": [summary.as_dict() for summary in self.vocabularies]}


def run(options: VocabOptions, listen: Listener = null_listener) -> VocabResult:
    """Count the tokens in one pass, and write one vocabulary or one per language.

    Raises:
        DataError: There are no token files, or one is missing, empty or not valid text.
        ArtefactError: A vocabulary already exists, or different tokenizers made the files.
    """
    with spool_pipes(options.files) as files:
        return _run(dataclasses.replace(options, files=files), listen)


def _run(options: VocabOptions, listen: Listener) -> VocabResult:
    shard = parse_shard(options.shard, options.merge)
    if options.merge:
        sources = _find_merge_sources(options)
        return VocabResult(tuple(_merge(path, found, options, listen) for path, found in sources.items()))
    if shard is not None and (options.min_count > 1 or options.max_size):
        raise UsageError(
            "a shard keeps all its tokens, because a token that is rare in one may be frequent in others",
            hint="pass --min-count and --max-size together with --merge",
            option="--min-count" if options.min_count > 1 else "--max-size",
        )
    files = _find_token_files(options)
    made_by = common_tokenizer(files)
    tokenizer = {} if made_by is None else {"tokenizer": made_by}
    groups = _group_by_output(files, options)
    if shard is not None:
        groups = {shard.path_of(path): members for path, members in groups.items()}
    for path in groups:
        check_output_file(options, path, KIND)
    byte_fallback, pieces = _inspect_tokenizer(files, made_by, options, listen)
    counted = [(path, members, _count_files(members, shard, options, listen)) for path, members in groups.items()]
    results = []
    for path, members, counts in counted:
        counts.update(dict.fromkeys(pieces, 0))
        inputs = {file.path.name: file.sha256 for file in members} | tokenizer
        results.append(_write(path, counts, byte_fallback, inputs, recorded_options(options), listen))
    return VocabResult(tuple(results))


def _inspect_tokenizer(
    files: Sequence[TokenFile], made_by: str | None, options: VocabOptions, listen: Listener
) -> tuple[bool, Sequence[str]]:
    """Return whether the tokenizer has byte fallback, and its pieces that get an entry even if they do not occur.

    Raises:
        ArtefactError: Another tokenizer than `--tokenizer` made the token files.
    """
    folder = options.tokenizer or Workspace(options.work).tokenizer
    if made_by is not None and (options.tokenizer or folder.exists()) and read_tokenizer_identity(folder) == made_by:
        tokenizer = load_tokenizer(folder)
        return tokenizer.byte_fallback, tokenizer.pieces if options.min_count == 0 else ()
    if options.tokenizer:
        raise ArtefactError(
            f"the tokenizer {folder} did not make {files[0].path}",
            f"the token file was made by {describe_tokenizer(made_by)}",
            hint="leave out --tokenizer, or name the tokenizer that made the file",
            path=folder,
            option="--tokenizer",
        )
    byte_fallback = any(file.byte_fallback for file in files)
    if byte_fallback and options.min_count == 0:
        listen(
            WarningEvent(
                f"the tokenizer of the token files is not at {folder}: pieces that do not occur in the text get no "
                "entry; name it with --tokenizer"
            )
        )
    return byte_fallback, ()


def _find_token_files(options: VocabOptions) -> list[TokenFile]:
    """Open the token files to count."""
    if options.files:
        return [open_token_file(path) for path in options.files]
    folder = Workspace(options.work).tokens
    files = [open_token_file(path) for path in find_token_files(folder)]
    train = [file for file in files if file.split == TRAIN]
    if not train:
        raise DataError(
            f"there is no token file of the train split in {folder}",
            f"it has {', '.join(file.path.name for file in files) or 'no token files'}",
            hint="make one with `rnnkit tokenize train.LANG`, or name the token files",
            path=folder,
        )
    return train


def _group_by_output(files: Sequence[TokenFile], options: VocabOptions) -> dict[Path, list[TokenFile]]:
    """Group the files by the vocabulary that counts them."""
    output = options.output or Workspace(options.work).vocabulary()
    if not options.separate:
        return {output: list(files)}
    groups: dict[Path, list[TokenFile]] = {}
    for file in files:
        groups.setdefault(output.with_name(f"{output.stem}.{file.language}{output.suffix}"), []).append(file)
    return groups


def _count_files(
    files: Sequence[TokenFile], shard: Shard | None, options: VocabOptions, listen: Listener
) -> Counter[str]:
    """Count the occurrences of each token."""
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
                raise DataError(f"{file.path} has no tokens", "it is empty or has only blank lines", path=file.path)
            listen(Progress(task, done, done, finished=True))
        first, *others = pool.finish()
    counts: Counter[str] = first
    for other in others:
        counts.update(other)
    return counts


def _find_merge_sources(options: VocabOptions) -> dict[Path, list[Path]]:
    """Map each output of `--merge` to the vocabularies to add up."""
    merged = options.output or Workspace(options.work).vocabulary()
    if options.files and options.separate:
        raise UsageError("--separate merges the shards of each language and takes no files", option="--separate")
    if options.files:
        return {merged: options.files}
    if not options.separate:
        return {merged: find_shards(merged)}
    first_shards = merged.parent.glob(f"{merged.stem}.*.1-of-*{merged.suffix}")
    languages = sorted({path.name.removeprefix(f"{merged.stem}.").partition(".")[0] for path in first_shards})
    outputs = [merged.with_name(f"{merged.stem}.{language}{merged.suffix}") for language in languages]
    return {output: find_shards(output) for output in outputs or [merged]}


def _merge(path: Path, sources: Sequence[Path], options: VocabOptions, listen: Listener) -> VocabularySummary:
    """Add up vocabularies that contain every token of their text."""
    check_output_file(options, path, KIND)
    if options.files:
        metas = [read_vocabulary_manifest(source) for source in sources]
        known = recorded_options(options)
    else:
        metas = read_shard_manifests(sources, KIND, VERSION)
        own = {name: value for name, value in recorded_options(options).items() if name in ("min-count", "max-size")}
        known = {**metas[0].options, **own}
    counts: Counter[str] = Counter()
    inputs: dict[str, str] = {}
    for done, (source, meta) in enumerate(zip(sources, metas, strict=True), start=1):
        counts.update(_read_all_counts(source, meta))
        _check_same_tokenizer(sources[0], metas[0], source, meta)
        for name, digest in meta.inputs.items():
            inputs[name if inputs.get(name, digest) == digest else f"{source}: {name}"] = digest
        listen(Progress(f"merge {path.name}", done, len(sources), "vocabularies", finished=done == len(sources)))
    if not counts.total():
        raise DataError(f"the shards of {path} have no tokens", "the token files have only blank lines", path=path)
    byte_fallback = any(meta.facts.get("byte_fallback") for meta in metas)
    return _write(path, counts, byte_fallback, inputs, known, listen)


def _read_all_counts(path: Path, meta: Manifest) -> dict[str, int]:
    """Read the counts of a vocabulary. Raises ArtefactError if it dropped any token."""
    if meta.facts.get("covered") != meta.facts.get("tokens"):
        raise ArtefactError(
            f"{path} does not contain every counted token",
            "it was built with --min-count or --max-size, so the sum would lack the dropped tokens",
            hint="count again without these options, and pass them together with --merge",
            path=path,
        )
    vocabulary = Vocabulary.load(path)
    first = len(special_tokens.NAMES)
    return dict(zip(vocabulary.tokens[first:], vocabulary.counts[first:], strict=True))


def _check_same_tokenizer(first: Path, first_meta: Manifest, other: Path, meta: Manifest) -> None:
    tokenizers = {path: each.inputs.get("tokenizer") for path, each in ((first, first_meta), (other, meta))}
    if len(set(tokenizers.values())) > 1:
        raise ArtefactError(
            "vocabularies of different tokenizers cannot be merged",
            *(f"{path}: {describe_tokenizer(made_by)}" for path, made_by in tokenizers.items()),
            path=other,
        )


def _write(
    path: Path,
    counts: Counter[str],
    byte_fallback: bool,
    inputs: Mapping[str, str],
    options: JsonMapping,
    listen: Listener,
) -> VocabularySummary:
    """Build a vocabulary from the counts, with entries for all bytes in case of byte fallback, and save it."""
    always = BYTE_TOKENS if byte_fallback else ()
    max_size = options["max-size"]
    vocabulary = Vocabulary.from_counts(counts, options["min-count"], max_size, always)
    types = sum(count > 0 for count in counts.values())
    summary = VocabularySummary(path, len(vocabulary), counts.total(), types, sum(vocabulary.counts))
    facts: JsonObject = {"tokens": summary.tokens, "types": summary.types, "covered": summary.covered}
    if byte_fallback:
        facts["byte_fallback"] = True
    vocabulary.save(path, options=options, inputs=inputs, facts=facts)
    if counts and len(vocabulary) == len(special_tokens.NAMES):
        listen(WarningEvent(f"{path} contains only the special tokens; lower --min-count or raise --max-size"))
    if 0 < max_size < len(vocabulary) and byte_fallback:
        minimum = f"{len(special_tokens.NAMES)} special tokens and {len(always)} bytes"
        listen(
            WarningEvent(f"{path} has {len(vocabulary)} entries, more than --max-size {max_size}: it needs {minimum}")
        )
    return summary
