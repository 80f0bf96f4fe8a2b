"""`rnnkit align`: turn tokens into ids, pair the sides, bring sentences to length."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import as_dict, option
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Note, Progress, Warned, ignore
from rnnkit.files import lock
from rnnkit.files.atomic import atomic_folder, recover_folder
from rnnkit.files.workspace import Workspace
from rnnkit.text.names import TEST, TRAIN, VALID
from rnnkit.text.special import EOS, UNK

if TYPE_CHECKING:
    from rnnkit.data.aligned import Padding, SplitCounts
    from rnnkit.data.filters import Filter
    from rnnkit.data.parts import Part
    from rnnkit.stages.align_inputs import AlignInputs

EXAMPLE = """\
rnnkit align --source de --target en
rnnkit align --text en --length 64 --pad-side left
rnnkit align --train a.de.tok a.en.tok --valid b.de.tok b.en.tok --vocab vocab.tsv --output data
rnnkit align --source de --target en --max-ratio 3 --drop-duplicates --drop-leaked"""

PAIR_LENGTH = 256
"""Longest sentence of two-sided data, where nothing else is asked for."""

_MANY_DROPPED = 0.1
_PROGRESS_LINES = 1 << 14


@dataclass(frozen=True)
class Options:
    """Turn token files into aligned data: ids of the vocabulary, the two sides paired line by line.

    Two sides make data for translation, one side makes data for a language model. Lines of train and valid with an
    empty side are left out, and counted; the filters are for train alone. Of test nothing is left out: its line
    numbers are those of the text. Memory does not grow with the text.
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
    work: Path = option(Path("work"), help="Workspace.")
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


@dataclass(frozen=True)
class Result:
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


def run(options: Options, listen: Listener = ignore) -> Result:
    """Make the data.

    Raises:
        UsageError: Options that do not go together.
        DataError: Token files or the vocabulary are missing, line counts differ, or nothing is left of a part.
        ArtefactError: The vocabulary does not belong to the tokens, or the output is there already.
    """
    from rnnkit.data.aligned import PARALLEL, TEXT, Padding, write_meta
    from rnnkit.stages.align_inputs import find_inputs

    workspace = Workspace(options.work)
    sides = _sides(options)
    named = {TRAIN: options.train, VALID: options.valid, TEST: options.test}
    output = options.output or workspace.data
    with lock.hold(output.parent):
        recover_folder(output)
        if output.exists() and not options.overwrite:
            raise ArtefactError(
                f"{output} is there already", hint="--overwrite replaces it; --output or --work names another place"
            )
        inputs = find_inputs(workspace, sides, named, options.vocab, listen)
        _check(options, inputs)
        padding = Padding(options.length, options.pad_side) if options.length else None
        with atomic_folder(output) as folder:
            splits = {}
            for part in inputs.parts:
                splits[part.name] = _write(part, inputs, options, padding, folder, listen)
                _judge(part, splits[part.name], listen)
            write_meta(
                folder,
                task=PARALLEL if len(inputs.sides) == 2 else TEXT,
                splits=splits,
                vocabulary_size={side: len(inputs.vocabularies[side]) for side in inputs.sides},
                padding=padding,
                options=as_dict(options),
                inputs=inputs.digests,
            )
    return Result(output, inputs.sides, splits)


def describe(counts: SplitCounts) -> str:
    """What became of a part, in words."""
    sides = [
        f"{side} {side_counts.tokens:,} tokens ({side_counts.unknown / max(1, side_counts.tokens):.2%} unknown, "
        f"longest {side_counts.longest})"
        for side, side_counts in counts.sides.items()
    ]
    left_out = [f"dropped {number:,} {reason}" for reason, number in counts.dropped.items()]
    cut = [f"truncated {counts.truncated:,}"] if counts.truncated else []
    return "; ".join([f"{counts.sentences:,} of {counts.lines:,} lines", *sides, *left_out, *cut])


def _sides(options: Options) -> tuple[str, ...]:
    """The languages that the options name, the source first; none where they name none."""
    if (options.source is None) != (options.target is None) or (options.source and options.text):
        raise UsageError("give --source and --target for two sides, or --text for one")
    if options.source and options.target:
        if options.source == options.target:
            raise UsageError(f"--source and --target are both {options.source}")
        return (options.source, options.target)
    return (options.text,) if options.text else ()


def _check(options: Options, inputs: AlignInputs) -> None:
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
    if options.drop_leaked and all(part.split == TRAIN for part in inputs.parts):
        raise UsageError("--drop-leaked compares train with valid and test, and there is neither")


def _write(
    part: Part, inputs: AlignInputs, options: Options, padding: Padding | None, folder: Path, listen: Listener
) -> SplitCounts:
    """Write one part."""
    from rnnkit.data.aligned import SentenceWriter, SplitCounts
    from rnnkit.data.parts import read_sentences

    filters = _filters(part, inputs, options)
    limit = _limit(part, inputs, options)
    from_right = options.truncate_side == "right"
    lookups = [inputs.vocabularies[side].ids.get for side in inputs.sides]
    total = part.files[0].lines
    dropped: Counter[str] = Counter()
    lines = truncated = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(SentenceWriter(folder, part.name, side, len(inputs.vocabularies[side]), padding))
            for side in inputs.sides
        ]
        for lines, sentence in enumerate(read_sentences(part), start=1):
            if lines % _PROGRESS_LINES == 0:
                listen(Progress(f"align {part.name}", lines, total))
            reason = next((ground.reason for ground in filters if ground.drops(sentence)), None)
            if reason is not None:
                dropped[reason] += 1
                continue
            cut = False
            for writer, lookup, tokens in zip(writers, lookups, sentence, strict=True):
                ids = [lookup(token, UNK) for token in tokens]
                ids.append(EOS)
                if limit is not None and len(ids) > limit:
                    ids, cut = [*ids[: limit - 1], EOS] if from_right else ids[-limit:], True
                writer.append(ids)
            truncated += cut
    listen(Progress(f"align {part.name}", lines, lines, finished=True))
    sides = {side: writer.counts for side, writer in zip(inputs.sides, writers, strict=True)}
    reasons = [ground.reason for ground in filters if dropped[ground.reason]]
    return SplitCounts(sides, lines, {reason: dropped[reason] for reason in reasons}, truncated)


def _filters(part: Part, inputs: AlignInputs, options: Options) -> list[Filter]:
    """The grounds on which lines of a part are left out; cheap ones first."""
    from rnnkit.data import filters
    from rnnkit.data.parts import read_sentences

    if part.split == TEST:
        return []
    chosen = [] if options.keep_empty else [filters.empty()]
    longest = _max_length(inputs, options)
    if options.long == "drop" and longest is not None:
        chosen.append(filters.too_long(longest))
    if part.split == VALID:
        return chosen
    if options.max_ratio is not None:
        chosen.append(filters.length_ratio(options.max_ratio, part.features))
    if options.drop_leaked:
        # Random segmentations of a text differ from its best one in nothing but where they are cut.
        separator = "" if part.samples else " "
        judges = [other for other in inputs.parts if other.split != TRAIN]
        held_out = (filters.fingerprints(read_sentences(other), separator) for other in judges)
        chosen.append(filters.leaked(frozenset().union(*held_out), separator))
    if options.drop_duplicates:
        chosen.append(filters.duplicate())
    return chosen


def _max_length(inputs: AlignInputs, options: Options) -> int | None:
    """The longest sentence, None for no limit."""
    if options.max_length is not None:
        return options.max_length
    return PAIR_LENGTH if len(inputs.sides) == 2 else None


def _limit(part: Part, inputs: AlignInputs, options: Options) -> int | None:
    """The length at which sentences of a part are cut, None for nowhere."""
    cuts = options.long == "truncate" or part.split == TEST
    limits = [options.length, _max_length(inputs, options) if cuts else None]
    return min((limit for limit in limits if limit is not None), default=None)


def _judge(part: Part, counts: SplitCounts, listen: Listener) -> None:
    """Refuse a part of which nothing is left, and say it where much was dropped."""
    dropped = sum(counts.dropped.values())
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.dropped.items())
    if not counts.sentences:
        names = " and ".join(str(file.path) for file in part.files)
        raise DataError(
            f"nothing is left of the {part.name} part",
            f"{names}: {counts.lines:,} lines" + (f", dropped: {reasons}" if reasons else ""),
            hint="see --max-length, --long and the filters" if reasons else None,
        )
    if dropped > _MANY_DROPPED * counts.lines:
        listen(Warned(f"{part.name}: {dropped:,} of {counts.lines:,} lines were dropped: {reasons}"))
    elif dropped:
        listen(Note(f"{part.name}: dropped {reasons}"))
    if counts.truncated and part.split == TEST:
        listen(
            Warned(f"{part.name}: {counts.truncated:,} lines were cut; figures for them are those of their beginning")
        )
