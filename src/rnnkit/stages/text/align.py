"""`rnnkit align`: encode tokens as ids, pair the two sides, and filter."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import UsageError
from rnnkit.events import Listener, Progress, null_listener
from rnnkit.io import artifact_output, lock
from rnnkit.io.artifact_output import atomic_directory
from rnnkit.io.manifest import Workspace
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.json_types import JsonObject
from rnnkit.stages.outputs import check_output_folder
from rnnkit.stages.text import align_labels, align_options
from rnnkit.stages.text.align_options import AlignOptions
from rnnkit.system.workers import WorkerPool
from rnnkit.text.parallel_processing import Shard, find_shards, parse_shard, read_shard_manifests, recorded_options
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES, TEST, TRAIN, VALID, parse_name

if TYPE_CHECKING:
    from rnnkit.data.aligned_data import Padding
    from rnnkit.data.aligned_data_writer import SplitCounts
    from rnnkit.data.corpus_splits import CorpusSplit, EncodingInputs
    from rnnkit.data.encoding import EncodingRules
    from rnnkit.stages.text.align_labels import LabelledResult


EXAMPLE = """\
rnnkit align --source de --target en
rnnkit align --text en --length 64 --pad-side left
rnnkit align --train a.de.tok a.en.tok --valid b.de.tok b.en.tok --vocab vocab.tsv --output data
rnnkit align --source de --target en --max-ratio 3 --drop-duplicates --drop-leaked
rnnkit align --text form --labels upos,xpos
rnnkit align --text en --shard 2/8      # on the second of eight machines, then on one: rnnkit align --merge"""


@dataclass(frozen=True)
class AlignResult:
    """The data that was written.

    Attributes:
        data: Its directory.
        sides: Languages, the source first.
        splits: Counts of each split.
    """

    data: Path
    sides: tuple[str, ...]
    splits: dict[str, SplitCounts]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        from rnnkit.data.aligned_data_writer import describe_counts

        return tuple(f"{self.data} {split}: {describe_counts(counts)}" for split, counts in self.splits.items())

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        splits = {split: counts.as_facts() for split, counts in self.splits.items()}
        return {"data": str(self.data), "sides": list(self.sides), "splits": splits}


def run(options: AlignOptions, listen: Listener = null_listener) -> AlignResult | LabelledResult:
    """Encode the token files.

    Raises:
        UsageError: Options contradict each other.
        DataError: Token files or the vocabulary are missing, line counts differ, or a split has no sentences left.
        ArtefactError: The vocabulary does not belong to the tokens, or the output already exists.
    """
    from rnnkit.data.aligned_data import KIND

    align_labels.check_options(options)
    shard = parse_shard(options.shard, options.merge)
    folder = options.output or Workspace(options.work).data
    output = folder if shard is None else shard.path_of(folder)
    with lock.lock_directory(output.parent, "" if shard is None else output.name):
        artifact_output.recover_directory(output)
        check_output_folder(options, output, KIND)
        if options.merge:
            return _merge(output, listen)
        with (
            spool_pipes(options.train) as train,
            spool_pipes(options.valid) as valid,
            spool_pipes(options.test) as test,
        ):
            given = dataclasses.replace(options, train=train, valid=valid, test=test)
            if options.labels:
                return align_labels.encode_labelled(given, output, listen)
            return _encode(given, shard, output, listen)


def _encode(options: AlignOptions, shard: Shard | None, output: Path, listen: Listener) -> AlignResult:
    """Encode the data, or a shard of it."""
    from rnnkit.data.aligned_data import KIND, Padding
    from rnnkit.data.aligned_data_writer import report_split, warn_of_blank_lines, write_data_manifest
    from rnnkit.data.corpus_splits import find_inputs

    named = {TRAIN: options.train, VALID: options.valid, TEST: options.test}
    inputs = find_inputs(Workspace(options.work), _selected_sides(options), named, options.vocab, listen)
    _check_filters(options, inputs)
    padding = Padding(options.length, options.pad_side) if options.length else None
    with atomic_directory(output, KIND) as folder:
        encoder = _SplitEncoder(options, inputs, shard, padding, folder)
        splits = {}
        for part in inputs.parts:
            splits[part.name] = encoder.encode(part, listen)
            if shard is None:
                report_split(part.name, part.split, splits[part.name], [file.path for file in part.files], listen)
        if shard is None:
            warn_of_blank_lines(splits, listen)
        write_data_manifest(
            folder,
            splits=splits,
            vocabulary_size={side: len(inputs.vocabularies[side]) for side in inputs.sides},
            padding=padding,
            options=recorded_options(options),
            inputs=inputs.digests,
        )
    return AlignResult(output, inputs.sides, splits)


def _merge(output: Path, listen: Listener) -> AlignResult:
    """Join the data of all shards."""
    from rnnkit.data.aligned_data import KIND, VERSION
    from rnnkit.data.aligned_data_writer import merge_data, report_split, warn_of_blank_lines

    found = find_shards(output)
    metas = read_shard_manifests(found, KIND, VERSION)
    with atomic_directory(output, KIND) as folder:
        splits = merge_data(folder, found, metas, listen)
        for name, counts in splits.items():
            report_split(name, parse_name(Path(f"{name}.text")).split, counts, found, listen)
        warn_of_blank_lines(splits, listen)
    return AlignResult(output, tuple(metas[0].facts["vocabulary_size"]), splits)


def _selected_sides(options: AlignOptions) -> tuple[str, ...]:
    """Return the languages that the options name, the source first; empty if they name none."""
    if (options.source is None) != (options.target is None) or (options.source and options.text):
        raise UsageError("give --source and --target for two sides, or --text for one")
    if options.source and options.target:
        if options.source == options.target:
            raise UsageError(f"--source and --target are both {options.source}", option="--target")
        return (options.source, options.target)
    return (options.text,) if options.text else ()


def _check_filters(options: AlignOptions, inputs: EncodingInputs) -> None:
    """Refuse filters that do not apply to the data."""
    train = next((part for part in inputs.parts if part.split == TRAIN), None)
    if options.max_ratio is not None and len(inputs.sides) == 1:
        raise UsageError("--max-ratio compares two sides, but the data has one", option="--max-ratio")
    if options.keep_empty and len(inputs.sides) == 2:
        raise UsageError(
            "--keep-empty applies to data with one side",
            "a sentence pair with an empty side is no training example",
            option="--keep-empty",
        )
    if options.drop_duplicates and train and train.samples:
        raise UsageError(
            f"--drop-duplicates would drop the {train.samples} sampled segmentations of each line",
            hint="leave it out, or tokenize without --samples",
            option="--drop-duplicates",
        )
    if options.drop_duplicates and options.shard:
        raise UsageError(
            "--drop-duplicates compares all lines, but a shard contains only a part of them",
            hint="drop them from the text first, or encode it in one command with --processes",
            option="--drop-duplicates",
        )
    if options.drop_leaked and all(part.split == TRAIN for part in inputs.parts):
        raise UsageError(
            "--drop-leaked compares train with valid and test, but there is neither", option="--drop-leaked"
        )


@dataclass(frozen=True)
class _SplitEncoder:
    """Encodes splits, or a shard of each, into a data directory."""

    options: AlignOptions
    inputs: EncodingInputs
    shard: Shard | None
    padding: Padding | None
    folder: Path

    def encode(self, part: CorpusSplit, listen: Listener) -> SplitCounts:
        """Encode one split in worker processes."""
        import numpy as np

        from rnnkit.data.aligned_data_writer import SentenceWriter, SplitCounts
        from rnnkit.data.encoding import REASONS, Deduplicator, EncodeWorker, RawLineCopier
        from rnnkit.text.blocks import read_line_blocks

        sides, vocabularies = self.inputs.sides, self.inputs.vocabularies
        paths = [file.path for file in part.files]
        span = None if self.shard is None else _shard_span(self.shard, paths)
        total = part.files[0].lines if span is None else span[1] - span[0]
        make = partial(EncodeWorker, [vocabularies[side].ids for side in sides], self._rules(part))
        dropped: Counter[str] = Counter()
        duplicates = Deduplicator()
        lines = truncated = blank = 0
        with ExitStack() as stack:
            writers = [
                stack.enter_context(SentenceWriter(self.folder, part.name, side, len(vocabularies[side]), self.padding))
                for side in sides
            ]
            copies = None if len(sides) == 1 else stack.enter_context(RawLineCopier(self.folder, part, sides, span))
            pool = stack.enter_context(WorkerPool(make, self.options.processes))
            blocks = read_line_blocks(paths, MAX_TOKEN_LINE_BYTES, line_range=span)
            items = (
                tuple(block.for_other_process() for block in each) if pool.is_parallel else each for each in blocks
            )
            for encoded in map(duplicates.deduplicate, pool.map(items)):
                lines += encoded.lines
                dropped.update(encoded.dropped)
                truncated += int(encoded.truncated.sum())
                for writer, (ids, lengths) in zip(writers, encoded.sides, strict=True):
                    writer.extend(ids, lengths)
                if copies is not None:
                    copies.append(encoded)
                else:
                    blank += int(np.count_nonzero(encoded.sides[0][1] == 1))
                listen(Progress(f"align {part.name}", lines, total))
        listen(Progress(f"align {part.name}", lines, lines, finished=True))
        counts = {side: writer.counts for side, writer in zip(sides, writers, strict=True)}
        reasons = {reason: dropped[reason] for reason in REASONS if dropped[reason]}
        return SplitCounts(counts, lines, reasons, truncated, blank)

    def _rules(self, part: CorpusSplit) -> EncodingRules:
        """Make the rules that drop and truncate the lines of a split."""
        from rnnkit.data import encoding
        from rnnkit.data.corpus_splits import read_sentences
        from rnnkit.data.encoding import EncodingRules

        options = self.options
        train = part.split == TRAIN
        # Sampled segmentations of a line differ only in the token boundaries: compare lines without them.
        separator = "" if part.samples else " "
        held_out = None
        if train and options.drop_leaked:
            others = [other for other in self.inputs.parts if other.split != TRAIN]
            prints = (encoding.fingerprints(read_sentences(other), separator) for other in others)
            held_out = frozenset[int]().union(*prints)
        return EncodingRules(
            drop_empty=part.split != TEST and not options.keep_empty,
            max_length=self._max_length() if part.split != TEST and options.long != "truncate" else None,
            max_ratio=options.max_ratio if train else None,
            features=part.features,
            held_out=held_out,
            separator=separator,
            deduplicate=train and options.drop_duplicates,
            truncate_to=self._truncation_length(part),
            truncate_right=options.truncate_side == "right",
        )

    def _max_length(self) -> int | None:
        """Return the maximum sentence length; None is no limit."""
        if self.options.max_length is not None:
            return self.options.max_length
        return align_options.PAIR_LENGTH if len(self.inputs.sides) == 2 else None

    def _truncation_length(self, part: CorpusSplit) -> int | None:
        """Return the length to which the sentences of a split are truncated; None is no limit."""
        truncates = self.options.long == "truncate" or part.split == TEST
        limits = [self.options.length, self._max_length() if truncates else None]
        return min((limit for limit in limits if limit is not None), default=None)


def _shard_span(shard: Shard, paths: Sequence[Path]) -> tuple[int, int]:
    """Return the range of lines of a shard. Raises DataError if the sides have different numbers of lines."""
    from rnnkit.text.blocks import count_lines, length_mismatch

    counts = [count_lines(path) for path in paths]
    if len(set(counts)) > 1:
        raise length_mismatch(paths, counts)
    return shard.line_range(counts[0])
