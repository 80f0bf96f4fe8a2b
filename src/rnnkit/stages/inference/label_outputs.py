"""Outputs of taggers and text classifiers in `decode`: labels, probabilities, JSON with spans, attention maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rnnkit.errors import UsageError
from rnnkit.events import Listener, Note, Status
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import did_you_mean
from rnnkit.stages.inference.decode_options import DecodeOptions, lines_ahead

if TYPE_CHECKING:
    from rnnkit.data.labelled_data import LabelSet
    from rnnkit.decoding.label_texts import LabelledText, Labeller, OutputLabels
    from rnnkit.reports.attention_map import AttentionMap
    from rnnkit.stages.inference.translation_outputs import Outputs

DIGITS = 4
"""Digits of a probability after the point."""


def open_labeller(options: DecodeOptions, listen: Listener) -> Labeller:
    """Load the models.

    Raises:
        DataError: A model or checkpoint is missing, or is for another task.
        FormatError: A file is damaged.
        ArtefactError: The models have different labels.
        UsageError: The model lacks the column, or has no attention that could be drawn.
    """
    from rnnkit.decoding.label_texts import Labeller
    from rnnkit.models.labelling.labelling_store import load_labeller
    from rnnkit.models.labelling.text_classifier import ClassifierNetwork
    from rnnkit.nn.device import choose_device

    device = choose_device(options.device)
    labeller = Labeller([load_labeller(folder, options.checkpoint, device) for folder in options.folders])
    for model in labeller.models:
        kind = "tagger" if model.is_tagger else "text classifier"
        listen(Note(f"{model.folder}: {options.checkpoint} weights, {model.network.config.arch} {kind}"))
    _column(options, labeller.columns)
    network = labeller.models[0].network
    if options.attention is not None and isinstance(network, ClassifierNetwork) and network.attention is None:
        raise UsageError(
            f"--attention needs attention, and {options.folder} has --pooling {network.config.pooling}",
            hint="train with --pooling attention, or all",
            option="--attention",
        )
    return labeller


def _column(options: DecodeOptions, columns: tuple[LabelSet, ...]) -> int:
    """Return the index of the column of labels to write."""
    names = [column.name for column in columns]
    if options.column is None:
        return 0
    if options.column not in names:
        raise UsageError(
            f"{options.folder} has no column {options.column}",
            f"columns: {', '.join(names)}",
            hint=did_you_mean(options.column, names),
            option="--column",
        )
    return names.index(options.column)


def label(options: DecodeOptions, labeller: Labeller, lines: Iterator[str], done: int, listen: Listener) -> Outputs:
    """Label lines.

    Args:
        options: The options.
        labeller: The models.
        lines: Raw text.
        done: Lines before them that an earlier run has labelled.
        listen: Receives notes and warnings.
    """
    from rnnkit.decoding.label_texts import BLOCK_LINES, LabelTextOptions, label_lines
    from rnnkit.reports.attention_map import open_attention_maps

    settings = LabelTextOptions(
        options.nbest, options.threshold, options.raw, options.json and labeller.is_tagger, options.batch_tokens
    )
    listen(Status("decoding"))
    column = _column(options, labeller.columns)
    with ExitStack() as stack:
        maps = None
        if options.attention is not None:
            maps = stack.enter_context(open_attention_maps(options.attention, listen))
        ahead = lines_ahead(options, BLOCK_LINES)
        for number, text in enumerate(label_lines(labeller, lines, settings, ahead), start=done + 1):
            if maps is not None:
                maps.add(_attention_map(number, text, text.outputs[column]))
            facts = _describe(labeller, text) if options.json else {}
            yield _output_lines(options, text, text.outputs[column]), facts
        if maps is not None:
            listen(Note(maps.summary()))


def _attention_map(number: int, text: LabelledText, output: OutputLabels) -> AttentionMap:
    from rnnkit.reports.attention_map import AttentionMap

    return AttentionMap(number, text.words, [" ".join(output.alternatives[0].labels)], [text.attention], is_label=True)


def _output_lines(options: DecodeOptions, text: LabelledText, output: OutputLabels) -> tuple[str, ...]:
    """Return a line for each alternative: labels, and with `nbest` their probability."""
    lines = []
    for each in output.alternatives:
        labels = " ".join(each.labels)
        if options.raw:
            labels = " ".join(f"{word}/{tag}" for word, tag in zip(text.words, each.labels, strict=True))
        lines.append(f"{labels}\t{each.probability:.{DIGITS}f}" if options.nbest > 1 else labels)
    return tuple(lines)


def _describe(labeller: Labeller, text: LabelledText) -> JsonObject:
    """Return the labels of a line as JSON: those of the first column, and of all columns if there are several."""
    described = [
        _describe_tags(text, output, column) if labeller.is_tagger else _describe_labels(output, column)
        for output, column in zip(text.outputs, labeller.columns, strict=True)
    ]
    several = {}
    if len(described) > 1:
        several = {"columns": {column.name: each for column, each in zip(labeller.columns, described, strict=True)}}
    words = {"words": list(text.words)} if labeller.is_tagger else {}
    return {**words, **described[0], **several}


def _describe_labels(output: OutputLabels, column: LabelSet) -> JsonObject:
    best = output.alternatives[0]
    chosen: JsonObject = {"labels": list(best.labels)} if column.many else {"label": " ".join(best.labels)}
    return {
        **chosen,
        "probability": _round(best.probability),
        "probabilities": {label: _round(p) for label, p in output.distribution[0].items()},
    }


def _describe_tags(text: LabelledText, output: OutputLabels, column: LabelSet) -> JsonObject:
    from rnnkit.text.span_schemes import parse_scheme, spans

    best = output.alternatives[0]
    facts: JsonObject = {
        "tags": list(best.labels),
        "probabilities": [_round(p) for p in output.probability],
        "probability": _round(best.probability),
    }
    offsets = word_offsets(text.line, text.words)
    facts["offsets"] = [list(each) if each is not None else None for each in offsets]
    if column.scheme is not None:
        found = spans(best.labels, parse_scheme(column.scheme))
        facts["spans"] = [_describe_span(text, offsets, span.type, span.start, span.end) for span in found]
    if len(output.alternatives) > 1:
        facts["alternatives"] = [
            {"tags": list(each.labels), "probability": _round(each.probability)} for each in output.alternatives
        ]
    facts["marginals"] = [{label: _round(p) for label, p in word.items()} for word in output.distribution]
    return facts


def _describe_span(
    text: LabelledText, offsets: Sequence[tuple[int, int] | None], kind: str, start: int, end: int
) -> JsonObject:
    """Return a span as JSON: its words, and its characters in the line if they are known."""
    first, last = offsets[start], offsets[end - 1]
    described: JsonObject = {"type": kind, "words": [start, end]}
    if first is not None and last is not None:
        described |= {"characters": [first[0], last[1]], "text": text.line[first[0] : last[1]]}
    return described


def word_offsets(line: str, words: Sequence[str]) -> list[tuple[int, int] | None]:
    """Return the first character of each word in its line, and the one after its last.

    None stands for a word that normalization has changed.
    """
    offsets: list[tuple[int, int] | None] = []
    position = 0
    for word in words:
        start = line.find(word, position)
        offsets.append(None if start < 0 else (start, start + len(word)))
        position = position if start < 0 else start + len(word)
    return offsets


def _round(probability: float) -> float:
    return round(probability, DIGITS)
