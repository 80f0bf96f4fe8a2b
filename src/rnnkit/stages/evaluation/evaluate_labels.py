"""`rnnkit evaluate-labels`: scores of predicted labels of lines or words, and of the spans that tags mark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError, UsageError
from rnnkit.evaluation.segments import check_stdin_used_once, prompt_on_terminal, source_name
from rnnkit.events import Listener, Note, Status, WarningEvent, null_listener
from rnnkit.options.declare import STDIN, argument, option
from rnnkit.reports.label_report import BootstrapSettings, LabelReport, SpanDefinition, StrayTags
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file
from rnnkit.text.span_schemes import (
    ALLOWED_STEPS,
    LENIENT_RULES,
    OUTSIDE,
    SCHEME_NAMES,
    STRICT_RULES,
    SpanScheme,
    detect_scheme,
    parse_scheme,
    parse_tag,
)

if TYPE_CHECKING:
    from rnnkit.evaluation.calibration import Calibration
    from rnnkit.evaluation.label_evaluation import EstimatedScore, LabelTask, SystemScores
    from rnnkit.evaluation.label_files import EncodedLabels, LabelRows

EXAMPLE = """\
rnnkit decode < test.txt | rnnkit evaluate-labels test.labels
rnnkit decode --json < test.txt | rnnkit evaluate-labels test.tags --reliability reliability.svg
rnnkit evaluate-labels test.tags --hypotheses test.hyp --baseline older.hyp
rnnkit evaluate-labels test.tags --hypotheses test.hyp --text test.txt --train-text train.txt"""

AUTO, NO_SPANS = "auto", "none"
LEVELS = (AUTO, "line", "word")
MAX_NAMED = 8
"""Maximum number of labels that a warning names."""


@dataclass(frozen=True)
class EvaluateLabelsOptions(shared.OverwriteOptions):
    """Evaluate predicted labels: one label per line (classification), or one per word, separated by blanks (tagging).

    Reports accuracy, precision, recall and F1 of each label with averages, Matthews correlation and the confusion
    matrix; for tags in IOB1, BIO, BIOES or BILOU also those of spans, such as named entities. The figures are those of
    scikit-learn, seqeval and conlleval. All scores have 95 % confidence intervals.

    Hypotheses are plain text, or JSON Lines as `rnnkit decode --json` writes them. With the probabilities of the
    predicted labels, the calibration is reported as well: the expected calibration error and a reliability diagram.
    """

    reference: Path = argument(help="Reference: the right labels.", metavar="REFERENCE")
    hypotheses: Path = option(
        STDIN,
        help="Predicted labels, in the form of the reference or as JSON Lines; - is standard input.",
        panel="Data",
    )
    baseline: Path | None = option(
        None,
        help="Labels of a baseline, to test the difference by paired bootstrap resampling and McNemar's test.",
        panel="Data",
    )
    label_level: str = option(
        AUTO,
        help="What has a label; auto: the words, if any line of the reference has several labels.",
        choices=LEVELS,
        panel="Data",
    )
    multi_label: bool = option(False, help="Each line has a set of labels, separated by blanks.", panel="Data")
    probabilities: Path | None = option(
        None,
        help="Probability of each predicted label: numbers in the form of the hypotheses, or JSON Lines.",
        panel="Data",
    )
    text: Path | None = option(
        None,
        help="Tagged words, one sentence per line, separated by blanks, for the accuracy on known and unknown ones.",
        panel="Data",
        variable="EVALUATE_LABELS_TEXT",
    )
    train_text: Path | None = option(
        None, help="Text of the training data, whose words are known; with --text.", panel="Data"
    )
    scheme: str = option(
        AUTO,
        help="Scheme of tags that mark spans; iob2 is bio, iobes is bioes; auto: detected from the reference; none: no "
        "scores of spans.",
        choices=(AUTO, *SCHEME_NAMES, NO_SPANS),
        panel="Spans",
    )
    strict: bool = option(
        False,
        help="Count only spans that follow the scheme, as the strict mode of seqeval; otherwise a stray tag begins a "
        "span, as in conlleval.",
        panel="Spans",
    )
    bootstrap_samples: int = option(
        1000,
        help="Bootstrap resamples of the confidence intervals and the significance test; 0 for none.",
        minimum=0,
        panel="Significance",
    )
    seed: int = option(12345, help="Random seed of the resamples.", minimum=0, panel="Significance")
    width: int = option(4, help="Decimal places.", minimum=0, panel="Output")
    figure: Path | None = option(
        None, help="Confusion matrix as a picture; .png, .svg or .pdf selects the format.", panel="Output"
    )
    reliability: Path | None = option(
        None, help="Reliability diagram, as a picture; needs probabilities.", panel="Output"
    )


def run(options: EvaluateLabelsOptions, listen: Listener = null_listener) -> LabelReport:
    """Read the files and evaluate the labels.

    Raises:
        UsageError: Options cannot be combined.
        DataError: A file is missing, empty, not text or malformed, or files do not match.
        ArtefactError: A picture exists or cannot be written.
    """
    from rnnkit.evaluation.label_evaluation import evaluate_labels
    from rnnkit.evaluation.label_files import encode_labels

    _check(options)
    prompt_on_terminal([options.hypotheses], listen)
    files = _read_labels(options)
    labels, encoded = encode_labels(files.all)
    scheme = _choose_scheme(options, files, listen)
    task = _make_task(options, files, labels, encoded[0], scheme)
    calibration = _measure_calibration(options, files, task, encoded[1])
    known = _score_known(options, files, task, encoded[1])
    baseline = encoded[2] if files.baseline is not None else None
    listen(Status("computing scores"))
    report = LabelReport(
        reference=source_name(options.reference),
        systems=tuple(source_name(file.path) for file in files.systems),
        form=files.form,
        lines_read=len(files.reference.rows),
        scores=evaluate_labels(task, encoded[1], baseline, options.bootstrap_samples, options.seed),
        resampling=BootstrapSettings(options.bootstrap_samples, options.seed),
        width=options.width,
        known=known,
        spans=None if scheme is None else _define_spans(options, files, task, encoded, scheme),
        calibration=calibration,
    )
    _warn(report, listen)
    _plot(options, report, listen)
    return report


def _check(options: EvaluateLabelsOptions) -> None:
    """Check that the options can be combined, before anything is read."""
    inputs = (
        options.reference,
        options.hypotheses,
        options.baseline,
        options.probabilities,
        options.text,
        options.train_text,
    )
    check_stdin_used_once([path for path in inputs if path is not None])
    if (options.text is None) != (options.train_text is None):
        given, missing = ("--text", "--train-text") if options.text else ("--train-text", "--text")
        raise UsageError(f"{given} needs {missing}", "words are known if they occur in the training text", option=given)
    if options.multi_label and options.label_level == "word":
        raise UsageError("--multi-label cannot be combined with --label-level word", option="--multi-label")
    if options.multi_label and options.figure is not None:
        raise UsageError("--multi-label has no confusion matrix for --figure", option="--figure")
    if options.strict and options.scheme == NO_SPANS:
        raise UsageError("--strict cannot be combined with --scheme none", option="--strict")
    for path, other in ((options.figure, options.reliability), (options.reliability, options.figure)):
        if path is not None:
            check_output_file(options, path, beside=[] if other is None else [other])


@dataclass(frozen=True)
class LabelFiles:
    """Labels of all files.

    Attributes:
        form: Their form.
        reference: The reference.
        hypotheses: Output of the system.
        baseline: Output of the baseline, if there is one.
    """

    form: str
    reference: LabelRows
    hypotheses: LabelRows
    baseline: LabelRows | None

    @property
    def systems(self) -> list[LabelRows]:
        """The system, and the baseline if there is one."""
        return [self.hypotheses] if self.baseline is None else [self.hypotheses, self.baseline]

    @property
    def all(self) -> list[LabelRows]:
        """Reference and systems."""
        return [self.reference, *self.systems]


def _read_labels(options: EvaluateLabelsOptions) -> LabelFiles:
    """Read reference, hypotheses and baseline."""
    from rnnkit.evaluation.label_files import LINE, SET, check_single_labels, read_labels, read_reference

    given = SET if options.multi_label else None if options.label_level == AUTO else options.label_level
    reference, form = read_reference(options.reference, given)
    systems = [
        read_labels(path, reference, form) for path in (options.hypotheses, options.baseline) if path is not None
    ]
    for system in systems if given is None and form == LINE else ():
        check_single_labels(system, reference)
    return LabelFiles(form, reference, systems[0], systems[1] if len(systems) > 1 else None)


def _choose_scheme(options: EvaluateLabelsOptions, files: LabelFiles, listen: Listener) -> SpanScheme | None:
    """Return the scheme of the tags; None if they mark no spans."""
    from rnnkit.evaluation.label_files import WORD

    given = options.scheme not in (AUTO, NO_SPANS)
    if given and files.form != WORD:
        raise UsageError("--scheme needs one label per word", hint="add --label-level word", option="--scheme")
    if files.form != WORD or options.scheme == NO_SPANS:
        return None
    scheme = parse_scheme(options.scheme) if given else _detect(files)
    if scheme is None and options.strict:
        raise UsageError(
            "--strict needs tags that mark spans", f"{source_name(options.reference)} has none", option="--strict"
        )
    if scheme is None:
        _note_almost_tags(files.reference, listen)
    else:
        for file in files.all:
            _check_tags(file, scheme, options.strict or (given and file is files.reference))
    return scheme


def _detect(files: LabelFiles) -> SpanScheme | None:
    """Detect the scheme from the reference; if that has no span, from the first system that has."""
    for file in files.all:
        scheme = detect_scheme(file.rows)
        if scheme is not None or any(label != OUTSIDE for row in file.rows for label in row):
            return scheme
    return None


def _note_almost_tags(reference: LabelRows, listen: Listener) -> None:
    """Note a label that is not a tag among others of which most are."""
    labels = {label for row in reference.rows for label in row}
    others = sorted(label for label in labels if parse_tag(label) is None)
    if OUTSIDE in labels and 2 * len(others) < len(labels):
        why = f"{others[0]!r} is not a tag" if others else "prefixes of several schemes are mixed"
        listen(Note(f"{source_name(reference.path)}: the tags mark no spans of a known scheme: {why}"))


def _check_tags(file: LabelRows, scheme: SpanScheme, strict: bool) -> None:
    """Check that labels are tags, with `strict` those of the scheme.

    Raises:
        DataError: A label is not.
    """
    allowed = {OUTSIDE, *scheme.prefixes}
    labels = {label for row in file.rows for label in row}
    wrong = {label for label in labels if (tag := parse_tag(label)) is None or (strict and tag.prefix not in allowed)}
    if not wrong:
        return
    line, label = next((line, label) for line, row in enumerate(file.rows) for label in row if label in wrong)
    raise DataError(
        f"{file.where(line)}: {label!r} is not a tag of {scheme.name}",
        f"its tags are O, and {', '.join(f'{prefix}-TYPE' for prefix in scheme.prefixes)}",
        hint="--scheme names another scheme, and --scheme none leaves out the scores of spans",
        path=file.path,
        line=line + 1,
    )


def _make_task(
    options: EvaluateLabelsOptions,
    files: LabelFiles,
    labels: tuple[str, ...],
    reference: EncodedLabels,
    scheme: SpanScheme | None,
) -> LabelTask:
    from rnnkit.evaluation.label_evaluation import LabelTask, SpanTask
    from rnnkit.evaluation.span_metrics import TagTable

    if scheme is None:
        return LabelTask(files.form, labels, reference)
    rules = STRICT_RULES[scheme] if options.strict else LENIENT_RULES
    return LabelTask(files.form, labels, reference, SpanTask(TagTable.make(labels), rules))


def _define_spans(
    options: EvaluateLabelsOptions,
    files: LabelFiles,
    task: LabelTask,
    encoded: list[EncodedLabels],
    scheme: SpanScheme,
) -> SpanDefinition:
    """Describe the spans, and count stray tags of each file."""
    from rnnkit.evaluation.span_metrics import TagSteps

    assert task.spans is not None
    strays = []
    for file, each in zip(files.all, encoded, strict=True):
        steps = TagSteps.make(each.ids_N, each.lengths_U, task.spans.table)
        count, lines = steps.count_strays(ALLOWED_STEPS[scheme])
        if count:
            strays.append(StrayTags(source_name(file.path), count, tuple(lines.tolist())))
    return SpanDefinition(scheme.name, options.scheme == AUTO, options.strict, tuple(strays))


def _measure_calibration(
    options: EvaluateLabelsOptions, files: LabelFiles, task: LabelTask, hypothesis: EncodedLabels
) -> Calibration | None:
    """Measure the calibration; None without probabilities."""
    from itertools import chain

    import numpy as np

    from rnnkit.evaluation.calibration import measure_calibration
    from rnnkit.evaluation.label_files import read_probabilities

    probabilities = files.hypotheses.probabilities
    if options.probabilities is not None:
        probabilities = read_probabilities(options.probabilities, files.hypotheses, files.form)
    if probabilities is None:
        if options.reliability is not None:
            raise UsageError(
                "--reliability needs probabilities",
                hint="give them with --probabilities, or hypotheses of `rnnkit decode --json`",
                option="--reliability",
            )
        return None
    flat = np.fromiter(chain.from_iterable(probabilities), dtype=np.float64)
    return measure_calibration(flat, task.correct(hypothesis)) if len(flat) else None


def _score_known(
    options: EvaluateLabelsOptions, files: LabelFiles, task: LabelTask, hypothesis: EncodedLabels
) -> tuple[EstimatedScore, ...]:
    """Compute the accuracy on known and unknown words; nothing without --text."""
    from rnnkit.evaluation.label_evaluation import count_known
    from rnnkit.evaluation.label_files import WORD, read_known_words

    if options.text is None or options.train_text is None:
        return ()
    if files.form != WORD:
        raise UsageError("--text needs one label per word", hint="add --label-level word", option="--text")
    return count_known(task.correct(hypothesis), read_known_words(options.text, options.train_text, files.reference))


def _cautions(scores: SystemScores) -> Iterator[str]:
    """Yield reasons why a score may mislead."""
    for table, what in ((scores.labels, "labels"), (scores.spans, "types")):
        for name, labels in table.undefined if table is not None else ():
            why = "missing in the reference" if name == "recall" else "never predicted"
            more = f" and {len(labels) - MAX_NAMED:,} more" if len(labels) > MAX_NAMED else ""
            yield f"{name} is 0.0 for {what} that are {why}: {', '.join(labels[:MAX_NAMED])}{more}"
    if len(scores.labels.labels) == 1:
        yield f"all labels are {scores.labels.labels[0].name!r}, which makes every score trivial"


def _warn(report: LabelReport, listen: Listener) -> None:
    """Emit warnings about scores that may mislead, and about stray tags."""
    for text in _cautions(report.scores):
        listen(WarningEvent(text))
    if report.spans is not None:
        for stray in report.spans.strays:
            listen(WarningEvent(stray.describe(report.spans.scheme)))


def _plot(options: EvaluateLabelsOptions, report: LabelReport, listen: Listener) -> None:
    """Write the requested pictures."""
    if options.figure is None and options.reliability is None:
        return
    from rnnkit.reports.label_figures import plot_confusion_matrix, plot_reliability

    if options.figure is not None:
        plot_confusion_matrix(report.scores.confusions, options.figure, listen)
        listen(Note(f"{options.figure} drawn"))
    if options.reliability is not None and report.calibration is not None:
        plot_reliability(report.calibration, options.reliability)
        listen(Note(f"{options.reliability} drawn"))
