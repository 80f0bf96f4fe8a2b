"""`rnnkit phrases`: detect collocations and join their words: new_york."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, Progress, WarningEvent, null_listener
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file
from rnnkit.io.atomic import atomic_file, is_stream
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import STDIN, argument, option
from rnnkit.options.record import as_dict
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_file
from rnnkit.text.token_files import read_token_lines

if TYPE_CHECKING:
    from rnnkit.text.phrase_detection import BigramCounts, BigramPhrase, PhraseList

EXAMPLE = """\
rnnkit phrases train.txt --output train.phrases.txt
rnnkit phrases train.txt --passes 2 --threshold 50 --output train.phrases.txt
rnnkit phrases --phrases train.phrases.txt.phrases.tsv < test.txt > test.phrases.txt"""

LIST_SUFFIX = ".phrases.tsv"
"""Suffix of the phrase list, after the name of the output."""
THRESHOLDS = {"default": 100.0, "npmi": 0.5}
_PROGRESS_LINES = 1 << 14
"""Lines between two progress events."""


@dataclass(frozen=True)
class PhrasesOptions(shared.OverwriteOptions):
    """Join word pairs that occur together much more often than by chance: new york becomes new_york.

    Phrases are detected in all files together and joined in them, one output line per input line. The list of phrases
    is written beside the output, to OUTPUT.phrases.tsv: phrase, count, score, pass, and its two words. --phrases
    applies such a list to other text, so that train and test text are treated alike; without --output that is a filter.

    The default score of a pair is (count(ab) - discount) / (count(a) count(b)) times the number of words in the text,
    as in word2phrase. gensim multiplies by the number of distinct words and pairs instead: it finds the same phrases
    with a smaller threshold.
    """

    files: list[Path] = argument(
        (),
        help="Text with words separated by white space, plain or .gz; none, with --phrases: filter stdin to stdout.",
        metavar="FILE…",
        shown_default="stdin",
    )
    phrases: Path | None = option(None, help="Apply this phrase list instead of detecting phrases.")
    min_count: int = option(
        5,
        help="Ignore pairs below this frequency.",
        unit="occurrences",
        minimum=1,
        panel="Phrases",
        variable="PHRASES_MIN_COUNT",
    )
    scoring: str = option(
        "default",
        help="Scoring: that of word2phrase, or normalized pointwise mutual information (NPMI), from -1 to 1.",
        choices=tuple(THRESHOLDS),
        panel="Phrases",
    )
    threshold: float | None = option(
        None, help="Join pairs with a score above this.", shown_default="100; npmi: 0.5", panel="Phrases"
    )
    discount: float | None = option(
        None,
        help="Discount subtracted from the pair count in the default scoring.",
        shown_default="--min-count",
        minimum=0,
        panel="Phrases",
    )
    delimiter: str = option("_", help="Delimiter between the words of a phrase.", panel="Phrases")
    passes: int = option(
        1, help="Passes over the text; each one joins the output of the last into longer phrases.", minimum=1,
        maximum=9, panel="Phrases",
    )  # fmt: skip
    max_pairs: int = option(
        20_000_000,
        help="Maximum number of distinct pairs in memory, about 40 bytes each; beyond it the rarest are pruned.",
        minimum=1,
        panel="Phrases",
    )
    output: Path | None = option(None, help="Text to write.", shown_default="stdout, with --phrases", panel="Output")


@dataclass(frozen=True)
class PhrasesResult:
    """The text and the list that were written.

    Attributes:
        output: The joined text.
        line_count: Lines of the text.
        words_before: Words of the input.
        words_after: Words of the output, each phrase counted as one.
        list: The phrase list, new or applied.
        phrases: Number of phrases in the list.
    """

    output: Path
    line_count: int
    words_before: int
    words_after: int
    list: Path
    phrases: int

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return (
            f"{self.output}: {self.line_count:,} lines, {self.words_before:,} words joined to {self.words_after:,}",
            f"{self.list}: {self.phrases:,} phrases",
        )

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        return {
            "output": str(self.output),
            "lines": self.line_count,
            "words_before": self.words_before,
            "words_after": self.words_after,
            "list": str(self.list),
            "phrases": self.phrases,
        }


def is_filter(options: PhrasesOptions) -> bool:
    """Return whether the command writes to standard output."""
    return options.output in (None, STDIN)


def run(options: PhrasesOptions, listen: Listener = null_listener) -> PhrasesResult:
    """Detect or load phrases, and write the text with phrases joined. Text and list appear together.

    Raises:
        UsageError: Options contradict each other.
        DataError: A file is missing or not valid text, or there are no words.
        FormatError: The phrase list is malformed.
        ArtefactError: An output already exists, or is one of the inputs.
    """
    with spool_pipes(options.files) as files:
        return _run(dataclasses.replace(options, files=files), as_dict(options), listen)


def _run(options: PhrasesOptions, given: JsonObject, listen: Listener) -> PhrasesResult:
    """Do the work of `run` on files that can be read repeatedly; the manifest records the options `given`."""
    from rnnkit.text.phrase_detection import KIND, VERSION, write_phrase_manifest

    assert options.output is not None
    _check_options(options)
    check_output_file(options, options.output)
    no_list = options.phrases or is_stream(options.output)  # no file is written beside a device or a pipe
    outputs = [options.output] if no_list else [options.output, _list_path(options.output)]
    for path in outputs[1:]:
        check_output_file(options, path, KIND, beside=[options.output])
    inputs = {path.name: manifest.sha256(path) for path in options.files}
    phrases = _load(options.phrases, listen) if options.phrases else _detect(options, listen)
    with ExitStack() as opened:
        files = [opened.enter_context(atomic_file(options.output))]
        files += [opened.enter_context(artifact_file(path, KIND, VERSION)) for path in outputs[1:]]
        for file in files[1:]:
            phrases.write(file)
        lines = before = after = 0
        for words, joined in _join(options, phrases, listen):
            files[0].write(f"{' '.join(joined)}\n")
            lines += 1
            before += len(words)
            after += len(joined)
    if outputs[1:]:
        write_phrase_manifest(outputs[1], given, inputs, {"phrases": len(phrases), "words": before})
    return PhrasesResult(
        options.output, lines, before, after, options.phrases or _list_path(options.output), len(phrases)
    )


def open_filter(options: PhrasesOptions, listen: Listener = null_listener) -> Iterator[str]:
    """Join the phrases of a list in the files, or in standard input, line by line.

    Raises:
        UsageError: There is no list: detection needs files to read repeatedly and an output to write the list beside.
        DataError: The list or a file is missing; during iteration: the input is not valid text.
        FormatError: The list is malformed.
    """
    if options.phrases is None:
        raise UsageError(
            "--output is missing",
            "detection reads the files repeatedly, and writes the list of phrases beside the output",
            hint="give --output, or apply an existing list with --phrases LIST, which works as a filter",
            option="--output",
        )
    phrases = _load(options.phrases, listen)
    files = options.files or [STDIN]
    for file in files:
        if file != STDIN and not file.exists():
            raise DataError(f"file not found: {file}", path=file)
    if STDIN in files and sys.stdin.isatty():
        listen(Note("reading text from the keyboard; Ctrl-D ends the input"))
    join = phrases.joiner()
    return (" ".join(join(line.split())) for file in files for line in read_token_lines(file))


def _check_options(options: PhrasesOptions) -> None:
    if not options.files or STDIN in options.files:
        raise UsageError(
            "--output needs files", "they are read repeatedly, standard input only once", option="--output"
        )
    if not options.delimiter or options.delimiter.split() != [options.delimiter]:
        raise UsageError(
            f"--delimiter cannot be {options.delimiter!r}",
            "it must be a string without white space",
            option="--delimiter",
        )
    if options.scoring == "npmi" and not -1 <= _threshold(options) < 1:
        raise UsageError(
            f"--threshold must be at least -1 and below 1 with npmi, not {options.threshold:g}", option="--threshold"
        )
    if options.scoring == "npmi" and options.discount is not None:
        raise UsageError("--discount applies to the default scoring, not to npmi", option="--discount")


def _list_path(output: Path) -> Path:
    return output.with_name(f"{output.name}{LIST_SUFFIX}")


def _threshold(options: PhrasesOptions) -> float:
    return THRESHOLDS[options.scoring] if options.threshold is None else options.threshold


def _load(path: Path, listen: Listener) -> PhraseList:
    from rnnkit.text.phrase_detection import PhraseList, is_modified

    phrases = PhraseList.load(path)
    if is_modified(path):
        listen(WarningEvent(f"{path} was changed after rnnkit wrote it; using it as it is"))
    return phrases


def _detect(options: PhrasesOptions, listen: Listener) -> PhraseList:
    """Detect phrases; each pass counts pairs in the text as joined by the earlier passes."""
    from rnnkit.text.phrase_detection import PhraseList

    found: list[tuple[BigramPhrase, ...]] = []
    for number in range(1, options.passes + 1):
        counts = _count(options, PhraseList(tuple(found)), number, listen)
        found.append(_select(options, counts, listen))
        listen(Note(f"pass {number}: {len(found[-1]):,} phrases in {counts.words:,} words"))
        if not found[-1]:
            break
    if not found[0]:
        listen(WarningEvent(f"no pair has a score above {_threshold(options):g}; lower --threshold to find some"))
    return PhraseList(tuple(found))


def _count(options: PhrasesOptions, phrases: PhraseList, number: int, listen: Listener) -> BigramCounts:
    """Count words and pairs in pass `number`."""
    from rnnkit.text.phrase_detection import BigramCounts

    counts = BigramCounts(options.max_pairs)
    join = phrases.joiner()
    for path in options.files:
        task, done = f"pass {number} {path.name}", 0
        for done, line in enumerate(read_token_lines(path), start=1):
            counts.add(join(line.split()))
            if done % _PROGRESS_LINES == 0:
                listen(Progress(task, done))
        listen(Progress(task, done, done, finished=True))
    if not counts.words:
        path = options.files[0]
        raise DataError(f"{path} has no words", "it is empty or has only blank lines", path=path)
    return counts


def _select(options: PhrasesOptions, counts: BigramCounts, listen: Listener) -> tuple[BigramPhrase, ...]:
    """Select the pairs with a score above the threshold."""
    from rnnkit.text.phrase_detection import default_score, find_phrases, npmi_score

    discount = options.min_count if options.discount is None else options.discount
    score = partial(npmi_score, words=counts.words)
    if options.scoring == "default":
        score = partial(default_score, words=counts.words, discount=discount)
    found = find_phrases(counts.frequent(options.min_count), score, _threshold(options), options.delimiter)
    if counts.dropped:
        listen(
            WarningEvent(
                f"more than {options.max_pairs:,} distinct pairs: rare ones were pruned, so some counts are too low by "
                f"{counts.floor:,} or more; raise --max-pairs to keep more"
            )
        )
    return found


def _join(
    options: PhrasesOptions, phrases: PhraseList, listen: Listener
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the words of each line of the files, before and after joining."""
    join = phrases.joiner()
    for path in options.files:
        task, done = f"join {path.name}", 0
        for done, line in enumerate(read_token_lines(path), start=1):
            words = line.split()
            yield words, join(words)
            if done % _PROGRESS_LINES == 0:
                listen(Progress(task, done))
        listen(Progress(task, done, done, finished=True))
