"""`rnnkit align`: turn tokens into ids, pair the sides, bring sentences to length."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import option
from rnnkit.errors import UsageError
from rnnkit.events import Listener, Progress, null_listener
from rnnkit.io import artifact_output, lock
from rnnkit.io.artifact_output import atomic_directory
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.io.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.stages.outputs import claim_folder
from rnnkit.stages.text import scale_options as scale
from rnnkit.stages.text.align_report import describe, judge, warn_blank
from rnnkit.system.workers import WorkerPool
from rnnkit.text.shards import Shard, find_shards, parse_shard, read_shard_manifests, recorded_options
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES, TEST, TRAIN, VALID, parse_name

if TYPE_CHECKING:
    from rnnkit.data.aligned_data import Padding, SplitCounts
    from rnnkit.data.corpus_splits import CorpusSplit
    from rnnkit.data.encoding import EncodingRules
    from rnnkit.stages.text.align_inputs import AlignInputs

EXAMPLE = """\
rnnkit align --source de --target en
rnnkit align --text en --length 64 --pad-side left
rnnkit align --train a.de.tok a.en.tok --valid b.de.tok b.en.tok --vocab vocab.tsv --output data
rnnkit align --source de --target en --max-ratio 3 --drop-duplicates --drop-leaked
rnnkit align --text en --shard 2/8      # on the second of eight machines, then on one: rnnkit align --merge"""

PAIR_LENGTH = 256
"""Longest sentence of two-sided data, where nothing else is asked for."""


@dataclass(frozen=True)
class AlignOptions:
    """Turn token files into aligned data: ids of the vocabulary, the two sides paired line by line.

    Two sides make data for translation, one side makes data for a language model. Lines of train and valid with an
    empty side are left out, and counted; the filters are for train alone. Of test nothing is left out: its line
    numbers are those of the text. Of text with blank lines, --keep-empty keeps them in all parts alike. Memory does not
    grow with the text.
    """

    source: str | None = option(None, help="Language of the source side: pairs *.SOURCE.tok with *.TARGET.tok.")
    target: str | None = option(None, help="Language of the target side.")
    text: str | None = option(
        None, help="Language of data with one side.", shown_default="the only language, where there is one"
    )
    train: list[Path] = option(
        (), help="Token files of the training part: source and target, or one.", many=True, shown_default="WORK/tokens"
    )
    valid: list[Path] = option((), help="Token files of the validation part.", many=True, shown_default="WORK/tokens")
    test: list[Path] = option((), help="Token files of the test part.", many=True, shown_default="WORK/tokens")
    vocab: list[Path] = option(
        (),
        help="The vocabulary, or the source's and the target's.",
        many=True,
        shown_default="WORK/vocab.tsv, or WORK/vocab.LANG.tsv",
    )
    work: Path = usual.work(help="Workspace.")
    max_length: int | None = option(
        None,
        help="Longest sentence, the end symbol counted.",
        unit="tokens",
        minimum=2,
        shown_default=f"{PAIR_LENGTH} for two sides, no limit for one",
        panel="Length",
    )
    long: str = option(
        "drop",
        help="What becomes of longer ones in train and valid; in test they are truncated.",
        choices=("drop", "truncate"),
        panel="Length",
    )
    length: int | None = option(
        None,
        help="Bring every sentence to exactly this length: cut the longer ones, pad the shorter ones.",
        unit="tokens",
        minimum=2,
        panel="Length",
    )
    pad_side: str = option("right", help="Side on which --length pads.", choices=("right", "left"), panel="Length")
    truncate_side: str = option(
        "right",
        help="Side on which a sentence is cut; its end symbol stays.",
        choices=("right", "left"),
        panel="Length",
    )
    max_ratio: float | None = option(
        None,
        help="Drop pairs of train with one side more than so many times as long, features not counted.",
        minimum=1,
        panel="Filters",
    )
    keep_empty: bool = option(
        False, help="Keep empty lines of data with one side: each is an end symbol, as in WikiText.", panel="Filters"
    )
    drop_duplicates: bool = option(
        False,
        help="Drop lines of train that were there before; remembers each line, some 70 bytes.",
        panel="Filters",
    )
    drop_leaked: bool = option(
        False, help="Drop lines of train that recur in valid or test, all sides alike.", panel="Filters"
    )
    output: Path | None = option(None, help="Folder for the data.", shown_default="WORK/data", panel="Output")
    overwrite: bool = option(False, help="Replace data that is there.", panel="Output")
    processes: int = scale.processes()
    shard: str | None = scale.shard(help="Do part I of N of the lines, into DATA.I-of-N.")
    merge: bool = scale.merge(help="Join the data of all shards.")


@dataclass(frozen=True)
class AlignResult:
    """The data that was made.

    Attributes:
        data: Its folder.
        sides: Languages, the source first.
        splits: What became of each part.
    """

    data: Path
    sides: tuple[str, ...]
    splits: dict[str, SplitCounts]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(f"{self.data} {split}: {describe(counts)}" for split, counts in self.splits.items())

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        splits = {split: counts.as_facts() for split, counts in self.splits.items()}
        return {"data": str(self.data), "sides": list(self.sides), "splits": splits}


def run(options: AlignOptions, listen: Listener = null_listener) -> AlignResult:
    """Make the data.

    Raises:
        UsageError: Options that do not go together.
        DataError: Token files or the vocabulary are missing, line counts differ, or nothing is left of a part.
        ArtefactError: The vocabulary does not belong to the tokens, or the output already exists.
    """
    from rnnkit.data.aligned_data import KIND

    shard = parse_shard(options.shard, options.merge)
    whole = options.output or Workspace(options.work).data
    output = whole if shard is None else shard.path_of(whole)
    with lock.lock_directory(output.parent, "" if shard is None else output.name):
        artifact_output.recover_directory(output)
        claim_folder(options, output, KIND)
        if options.merge:
            return _merge(options, output, listen)
        with (
            spool_pipes(options.train) as train,
            spool_pipes(options.valid) as valid,
            spool_pipes(options.test) as test,
        ):
            given = dataclasses.replace(options, train=train, valid=valid, test=test)
            return _make(given, shard, output, listen)


def _make(options: AlignOptions, shard: Shard | None, output: Path, listen: Listener) -> AlignResult:
    """Make the data, or a shard of it."""
    from rnnkit.data.aligned_data import KIND, PARALLEL, TEXT, Padding, write_data_manifest
    from rnnkit.stages.text.align_inputs import find_inputs

    named = {TRAIN: options.train, VALID: options.valid, TEST: options.test}
    inputs = find_inputs(Workspace(options.work), _sides(options), named, options.vocab, listen)
    _check(options, inputs)
    padding = Padding(options.length, options.pad_side) if options.length else None
    with atomic_directory(output, KIND) as folder:
        splits = {}
        for part in inputs.parts:
            splits[part.name] = _write(part, inputs, options, shard, padding, folder, listen)
            if shard is None:
                judge(part.name, part.split, splits[part.name], [str(file.path) for file in part.files], listen)
        if shard is None:
            warn_blank(splits, listen)
        write_data_manifest(
            folder,
            task=PARALLEL if len(inputs.sides) == 2 else TEXT,
            splits=splits,
            vocabulary_size={side: len(inputs.vocabularies[side]) for side in inputs.sides},
            padding=padding,
            options=recorded_options(options),
            inputs=inputs.digests,
        )
    return AlignResult(output, inputs.sides, splits)


def _merge(options: AlignOptions, output: Path, listen: Listener) -> AlignResult:
    """Join the data of all shards."""
    from rnnkit.data.aligned_data import KIND, VERSION
    from rnnkit.data.shard_merging import merge_data

    found = find_shards(output)
    metas = read_shard_manifests(found, KIND, VERSION)
    with atomic_directory(output, KIND) as folder:
        splits = merge_data(folder, found, metas, listen)
        for name, counts in splits.items():
            judge(name, parse_name(Path(f"{name}.text")).split, counts, [str(path) for path in found], listen)
        warn_blank(splits, listen)
    return AlignResult(output, tuple(metas[0].facts["vocabulary_size"]), splits)


def _sides(options: AlignOptions) -> tuple[str, ...]:
    """The languages that the options name, the source first; none where they name none."""
    if (options.source is None) != (options.target is None) or (options.source and options.text):
        raise UsageError("give --source and --target for two sides, or --text for one")
    if options.source and options.target:
        if options.source == options.target:
            raise UsageError(f"--source and --target are both {options.source}")
        return (options.source, options.target)
    return (options.text,) if options.text else ()


def _check(options: AlignOptions, inputs: AlignInputs) -> None:
    """Refuse filters that would not do what they say."""
    train = next((part for part in inputs.parts if part.split == TRAIN), None)
    if options.max_ratio is not None and len(inputs.sides) == 1:
        raise UsageError("--max-ratio compares two sides, this data has one")
    if options.keep_empty and len(inputs.sides) == 2:
        raise UsageError("--keep-empty is for data with one side", "a pair with an empty side teaches nothing")
    if options.drop_duplicates and train and train.samples:
        raise UsageError(
            f"--drop-duplicates would undo the {train.samples} segmentations of each line",
            hint="leave it out, or tokenize without --samples",
        )
    if options.drop_duplicates and options.shard:
        raise UsageError(
            "--drop-duplicates compares all lines, a shard knows its own",
            hint="drop them from the text first, or align in one command with --processes",
        )
    if options.drop_leaked and all(part.split == TRAIN for part in inputs.parts):
        raise UsageError("--drop-leaked compares train with valid and test, and there is neither")


def _write(
    part: CorpusSplit,
    inputs: AlignInputs,
    options: AlignOptions,
    shard: Shard | None,
    padding: Padding | None,
    folder: Path,
    listen: Listener,
) -> SplitCounts:
    """Write one part, or a shard of it."""
    import numpy as np

    from rnnkit.data.aligned_data import SentenceWriter, SplitCounts
    from rnnkit.data.encoding import Deduplicator, EncodeWorker, RawLineCopier
    from rnnkit.data.sentence_filters import REASONS
    from rnnkit.text.blocks import read_line_blocks

    paths = [file.path for file in part.files]
    span = None if shard is None else _span(shard, paths)
    total = part.files[0].lines if span is None else span[1] - span[0]
    make = partial(
        EncodeWorker, [inputs.vocabularies[side].ids for side in inputs.sides], _rules(part, inputs, options)
    )
    dropped: Counter[str] = Counter()
    duplicates = Deduplicator()
    lines = truncated = blank = 0
    one_sided = len(inputs.sides) == 1
    with ExitStack() as stack:
        writers = [
            stack.enter_context(SentenceWriter(folder, part.name, side, len(inputs.vocabularies[side]), padding))
            for side in inputs.sides
        ]
        copies = None if one_sided else stack.enter_context(RawLineCopier(folder, part, inputs.sides, span))
        pool = stack.enter_context(WorkerPool(make, options.processes))
        blocks = read_line_blocks(paths, MAX_TOKEN_LINE_BYTES, line_range=span)
        items = (tuple(block.for_other_process() for block in sides) if pool.is_parallel else sides for sides in blocks)
        for aligned in map(duplicates.deduplicate, pool.map(items)):
            lines += aligned.lines
            dropped.update(aligned.dropped)
            truncated += int(aligned.truncated.sum())
            for writer, (ids, lengths) in zip(writers, aligned.sides, strict=True):
                writer.extend(ids, lengths)
            if copies is not None:
                copies.append(aligned)
            else:
                blank += int(np.count_nonzero(aligned.sides[0][1] == 1))
            listen(Progress(f"align {part.name}", lines, total))
    listen(Progress(f"align {part.name}", lines, lines, finished=True))
    sides = {side: writer.counts for side, writer in zip(inputs.sides, writers, strict=True)}
    reasons = {reason: dropped[reason] for reason in REASONS if dropped[reason]}
    return SplitCounts(sides, lines, reasons, truncated, blank)


def _span(shard: Shard, paths: Sequence[Path]) -> tuple[int, int]:
    """The lines of a shard. Raises DataError where the sides have different numbers of them."""
    from rnnkit.text.blocks import count_lines, length_mismatch

    counts = [count_lines(path) for path in paths]
    if len(set(counts)) > 1:
        raise length_mismatch(paths, counts)
    return shard.line_range(counts[0])


def _rules(part: CorpusSplit, inputs: AlignInputs, options: AlignOptions) -> EncodingRules:
    """What becomes of the lines of a part."""
    from rnnkit.data import sentence_filters
    from rnnkit.data.corpus_splits import read_sentences
    from rnnkit.data.encoding import EncodingRules

    train = part.split == TRAIN
    # Random segmentations of a text differ from its best one in nothing but where they are cut.
    separator = "" if part.samples else " "
    held_out = None
    if train and options.drop_leaked:
        judges = [other for other in inputs.parts if other.split != TRAIN]
        held_out = frozenset[int]().union(
            *(sentence_filters.fingerprints(read_sentences(other), separator) for other in judges)
        )
    return EncodingRules(
        drop_empty=part.split != TEST and not options.keep_empty,
        max_length=_max_length(inputs, options) if part.split != TEST and options.long == "drop" else None,
        max_ratio=options.max_ratio if train else None,
        features=part.features,
        held_out=held_out,
        separator=separator,
        deduplicate=train and options.drop_duplicates,
        truncate_to=_limit(part, inputs, options),
        truncate_right=options.truncate_side == "right",
    )


def _max_length(inputs: AlignInputs, options: AlignOptions) -> int | None:
    """The longest sentence, None for no limit."""
    if options.max_length is not None:
        return options.max_length
    return PAIR_LENGTH if len(inputs.sides) == 2 else None


def _limit(part: CorpusSplit, inputs: AlignInputs, options: AlignOptions) -> int | None:
    """The length at which sentences of a part are cut, None for nowhere."""
    cuts = options.long == "truncate" or part.split == TEST
    limits = [options.length, _max_length(inputs, options) if cuts else None]
    return min((limit for limit in limits if limit is not None), default=None)
