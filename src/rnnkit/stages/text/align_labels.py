"""`rnnkit align --text NAME --labels NAME`: encode texts with a label for each line or each word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, Progress, WarningEvent
from rnnkit.io import manifest
from rnnkit.io.artifact_output import atomic_directory
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonObject
from rnnkit.text.token_files import TEST, TRAIN, VALID

if TYPE_CHECKING:
    from rnnkit.data.corpus_splits import EncodingInputs
    from rnnkit.data.label_parsing import LabelForm
    from rnnkit.data.label_sources import LabelSource
    from rnnkit.data.labelled_data import LabelSet
    from rnnkit.data.labelled_data_writer import LabelledCounts, LabelledDataWriter, LabelledSplit
    from rnnkit.stages.text.align_options import AlignOptions

MANY_LABELS = 0.5
"""Share of distinct labels of lines above which a warning suggests that they are no labels."""

FEW_LINES = 20
SHOWN = 10
"""Labels that a report lists."""


@dataclass(frozen=True)
class LabelledResult:
    """The labelled data that was written.

    Attributes:
        data: Its directory.
        text: Name of the text.
        task: `tagging` or `classification`.
        columns: The columns of labels.
        splits: Counts of each split.
    """

    data: Path
    text: str
    task: str
    columns: tuple[LabelSet, ...]
    splits: dict[str, LabelledCounts]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (
            *(_describe_split(self.data, self.text, name, counts) for name, counts in self.splits.items()),
            *(_describe_column(column, self.task) for column in self.columns),
        )

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {
            "data": str(self.data),
            "text": self.text,
            "task": self.task,
            "labels": {
                each.name: {"scheme": each.scheme, "counts": dict(zip(each.labels, each.counts, strict=True))}
                for each in self.columns
            },
            "splits": {name: counts.as_facts(self.text) for name, counts in self.splits.items()},
        }


def _describe_split(data: Path, text: str, name: str, counts: LabelledCounts) -> str:
    share = counts.unknown / max(1, counts.tokens)
    parts = [
        f"{counts.sentences:,} of {counts.lines:,} lines",
        f"{text} {counts.tokens:,} tokens ({share:.2%} unknown, longest {counts.longest})",
        *(f"dropped {count:,} {reason}" for reason, count in counts.dropped.items()),
        *([f"truncated {counts.truncated:,}"] if counts.truncated else []),
    ]
    return f"{data} {name}: {'; '.join(parts)}"


def _describe_column(column: LabelSet, task: str) -> str:
    from rnnkit.data.labelled_data import TAGGING

    shown = ", ".join(
        f"{label} {count:,}" for label, count in list(zip(column.labels, column.counts, strict=True))[:SHOWN]
    )
    rest = f", and {len(column.labels) - SHOWN:,} more" if len(column.labels) > SHOWN else ""
    scheme = f", {column.scheme.upper()} spans" if column.scheme else ""
    unit = "one per word" if task == TAGGING else "several per line" if column.many else "one per line"
    return f"{column.name}: {len(column.labels):,} labels, {unit}{scheme}: {shown}{rest}"


def check_options(options: AlignOptions) -> None:
    """Check the options of labelled data before any work is done.

    Raises:
        UsageError: They cannot be combined.
    """
    if not options.labels:
        for name in ("label_files", "weights", "multi_label", "soft_labels"):
            if getattr(options, name):
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} needs --labels", "it is for texts with labels", option=flag)
        return
    if options.source or options.target:
        raise UsageError(
            "--labels cannot be combined with --source and --target", hint="--text NAME", option="--labels"
        )
    for name in ("shard", "merge", "length", "max_ratio"):
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} cannot be combined with --labels", option=flag)
    if options.multi_label and options.soft_labels:
        raise UsageError("--multi-label and --soft-labels exclude each other", option="--multi-label")
    if (options.multi_label or options.soft_labels) and options.label_level == "word":
        raise UsageError("--multi-label and --soft-labels need one line of labels per text", option="--label-level")
    if len(set(options.labels)) < len(options.labels) or options.text in options.labels:
        raise UsageError("--labels names a column twice, or the text itself", option="--labels")


def encode_labelled(options: AlignOptions, output: Path, listen: Listener) -> LabelledResult:
    """Encode texts and labels.

    Raises:
        DataError: A file is missing, line counts differ, or a line of labels is invalid.
        ArtefactError: The vocabulary does not belong to the tokens, or a text has changed since it was tokenized.
    """
    from rnnkit.data.aligned_data import KIND
    from rnnkit.data.corpus_splits import find_inputs
    from rnnkit.data.label_sources import find_label_sources
    from rnnkit.data.labelled_data_writer import LabelledDataWriter
    from rnnkit.text.parallel_processing import recorded_options

    named = {TRAIN: options.train, VALID: options.valid, TEST: options.test}
    sides = (options.text,) if options.text else ()
    inputs = find_inputs(Workspace(options.work), sides, named, options.vocab, listen)
    if any(part.samples for part in inputs.parts):
        raise UsageError(
            "--labels needs text with one segmentation", hint="tokenize without --samples", option="--labels"
        )
    names = [*options.labels, *([options.weights] if options.weights else [])]
    sources = find_label_sources(inputs.parts, names, options.label_files)
    splits, forms = _read_forms(options, sources, listen)
    columns = _collect(options, splits, forms, listen)
    text = inputs.sides[0]
    with atomic_directory(output, KIND) as folder:
        writer = LabelledDataWriter(folder, text, columns, forms, _word_encoder(options, inputs, forms))
        _report_duplicates(options, splits, forms, listen)
        counts = {}
        for split in splits:
            counts[split.name] = _write(options, writer, split, splits, forms, listen)
        task = writer.task
        digests = {**inputs.digests, **_label_digests(sources, names)}
        writer.finish(len(inputs.vocabularies[text]), counts, recorded_options(options), digests)
    _report_unseen(counts, listen)
    return LabelledResult(output, text, task, tuple(columns), counts)


def _label_digests(sources: Sequence[LabelSource], names: Sequence[str]) -> dict[str, str]:
    return {
        f"{source.name}.{name}": manifest.sha256(path)
        for source in sources
        for name, path in zip(names, source.columns, strict=True)
    }


def _read_forms(
    options: AlignOptions, sources: Sequence[LabelSource], listen: Listener
) -> tuple[list[LabelledSplit], list[LabelForm]]:
    """Detect what has a label, and return the files to read: words of the text, or tokens for labels of lines."""
    from rnnkit.data import label_parsing
    from rnnkit.data.label_parsing import LabelForm
    from rnnkit.data.labelled_data_writer import LabelledSplit

    train = next((source for source in sources if source.split == TRAIN), None)
    if train is None:
        raise DataError("labelled data needs a train split", "its labels are the ones that a model predicts")
    level = options.label_level
    is_line = options.multi_label or options.soft_labels
    if level == label_parsing.AUTO and is_line:
        level = label_parsing.LINE
    count = len(options.labels)
    if level == label_parsing.AUTO:
        found = {label_parsing.detect_level(train.text or train.tokens, path) for path in train.columns[:count]}
        if len(found) > 1:
            raise DataError(
                f"{' and '.join(map(str, train.columns[:count]))} have labels of words and of lines",
                hint="train one model for each; --label-level forces one reading",
            )
        level = found.pop()
        listen(Note(f"one label per {level}"))
    forms = [LabelForm(level, options.multi_label, options.soft_labels)] * count
    splits = [
        LabelledSplit(
            source.name,
            source.split,
            (source.text or source.tokens) if level == label_parsing.WORD else source.tokens,
            source.columns[:count],
            source.columns[count] if options.weights else None,
        )
        for source in sources
    ]
    return splits, forms


def _collect(
    options: AlignOptions, splits: Sequence[LabelledSplit], forms: Sequence[LabelForm], listen: Listener
) -> list[LabelSet]:
    """Collect the labels of train."""
    from rnnkit.data.label_parsing import LINE, WORD
    from rnnkit.data.labelled_data_writer import collect_labels, make_label_set

    train = next(split for split in splits if split.split == TRAIN)
    columns: list[LabelSet] = []
    for name, counts, form, path in zip(options.labels, collect_labels(train, forms), forms, train.labels, strict=True):
        if not counts:
            raise DataError(f"{path} has no labels", path=path)
        total = sum(counts.values())
        if len(counts) == 1:
            listen(WarningEvent(f"{path} has a single label, {next(iter(counts))}: there is nothing to learn"))
        elif form.level == LINE and total >= FEW_LINES and len(counts) > MANY_LABELS * total:
            listen(
                WarningEvent(f"{path} has {len(counts):,} distinct labels in {total:,} lines; is it a file of labels?")
            )
        scheme = _detect_scheme(train, len(columns), forms, listen) if form.level == WORD else None
        columns.append(make_label_set(name, counts, form, scheme))
    return columns


def _detect_scheme(train: LabelledSplit, column: int, forms: Sequence[LabelForm], listen: Listener) -> str | None:
    """Detect the scheme of the spans that the tags of train mark, and warn of tags that break it."""
    from rnnkit.data.labelled_data_writer import read_split
    from rnnkit.text.span_schemes import detect_scheme, stray_tags

    scheme = detect_scheme(line.labels[column].labels for line in read_split(train, forms))
    if scheme is None:
        return None
    stray = [
        (line.number, line.labels[column].labels[index])
        for line in read_split(train, forms)
        for index in stray_tags(line.labels[column].labels, scheme)
    ]
    if stray:
        number, tag = stray[0]
        listen(
            WarningEvent(
                f"{train.labels[column]}: {len(stray):,} tags break the scheme {scheme.name}, the first on line "
                f"{number}: {tag}; a CRF cannot predict them"
            )
        )
    return scheme.value


def _word_encoder(
    options: AlignOptions, inputs: EncodingInputs, forms: Sequence[LabelForm]
) -> Callable[[str], Sequence[int]]:
    """Return the function that maps a token to its vocabulary id, or a word of text to those of its pieces."""
    from rnnkit.data.label_parsing import LINE
    from rnnkit.text.special_tokens import UNK
    from rnnkit.text.tokenizer_store import load_tokenizer, read_tokenizer_identity

    ids = inputs.vocabularies[inputs.sides[0]].ids
    if forms[0].level == LINE or "tokenizer" not in inputs.digests:
        return lambda token: (ids.get(token, UNK),)
    folder = Workspace(options.work).tokenizer
    if not folder.exists() or read_tokenizer_identity(folder) != inputs.digests["tokenizer"]:
        raise DataError(
            f"{folder} is not the tokenizer of the token files",
            "it cuts each word into tokens",
            hint="use the --work of `rnnkit tokenize`",
            path=folder,
        )
    tokenizer = load_tokenizer(folder)
    return lambda word: [ids.get(token, UNK) for token in tokenizer.tokenize(word)]


def _write(
    options: AlignOptions,
    writer: LabelledDataWriter,
    split: LabelledSplit,
    splits: Sequence[LabelledSplit],
    forms: Sequence[LabelForm],
    listen: Listener,
) -> LabelledCounts:
    """Write a split with its progress."""
    from rnnkit.data.labelled_data_writer import LineRules

    held_out: frozenset[int] = frozenset()
    if split.split == TRAIN and options.drop_leaked:
        others = (text_fingerprints(other, forms) for other in splits if other.split != TRAIN)
        held_out = frozenset().union(*others)
    rules = LineRules(
        max_length=options.max_length if split.split != TEST else None,
        truncate=options.long != "drop",
        held_out=held_out,
        deduplicate=split.split == TRAIN and options.drop_duplicates,
    )
    task = f"align {split.name}"
    counts = writer.write_split(split, rules, lambda number: listen(Progress(task, number, None)))
    listen(Progress(task, counts.lines, counts.lines, finished=True))
    if not counts.sentences:
        raise DataError(f"the {split.name} split has no lines left", f"{split.text}: {counts.lines:,} lines")
    return counts


def text_fingerprints(split: LabelledSplit, forms: Sequence[LabelForm]) -> frozenset[int]:
    """Return the 8-byte hashes of the texts of a split."""
    from rnnkit.data.encoding import fingerprint
    from rnnkit.data.labelled_data_writer import read_split

    return frozenset(fingerprint([line.words]) for line in read_split(split, forms) if line.words)


def _report_duplicates(
    options: AlignOptions, splits: Sequence[LabelledSplit], forms: Sequence[LabelForm], listen: Listener
) -> None:
    """Warn of texts of train that recur in another split: scores on them are too good."""
    if options.drop_leaked or len(splits) < 2:
        return
    prints: Mapping[str, frozenset[int]] = {split.name: text_fingerprints(split, forms) for split in splits}
    train = next(split.name for split in splits if split.split == TRAIN)
    for name, found in prints.items():
        if name != train and (common := len(found & prints[train])):
            listen(
                WarningEvent(
                    f"{common:,} of {len(found):,} distinct texts of {name} occur in train, too: scores on them are "
                    "too good; --drop-leaked removes them from train"
                )
            )


def _report_unseen(splits: Mapping[str, LabelledCounts], listen: Listener) -> None:
    """Warn of labels that occur in valid or test only."""
    for name, counts in splits.items():
        for column, unseen in counts.unseen.items():
            if unseen:
                shown = ", ".join(f"{label} ({count})" for label, count in Counter(unseen).most_common(SHOWN))
                listen(
                    WarningEvent(
                        f"{name}.{column} has {len(unseen)} labels that train lacks, which no model predicts: {shown}"
                    )
                )
