"""`rnnkit phrases`: join words that occur together more often than chance would have it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.config import STDIN, argument, as_dict, option
from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, Progress, WarningEvent, null_listener
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file
from rnnkit.io.atomic import atomic_file, is_stream
from rnnkit.io.safe_reading import spool_pipes
from rnnkit.stages.outputs import claim_file
from rnnkit.text.token_files import read_token_lines

if TYPE_CHECKING:
    from rnnkit.text.phrase_detection import BigramCounts, BigramPhrase, PhraseList

EXAMPLE = """\
rnnkit phrases train.txt --output train.phrases.txt
rnnkit phrases train.txt --passes 2 --threshold 50 --output train.phrases.txt
rnnkit phrases --phrases train.phrases.txt.phrases.tsv < test.txt > test.phrases.txt"""

LIST_SUFFIX = ".phrases.tsv"
THRESHOLDS = {"default": 100.0, "npmi": 0.5}
_PROGRESS_LINES = 1 << 14


@dataclass(frozen=True)
class PhrasesOptions:
    """Join pairs of words that occur together much more often than chance would have it: new york becomes new_york.

    The phrases are learned from all files together and joined in them, one line out for each line in. Beside the
    output stands the list of phrases, OUTPUT.phrases.tsv: phrase, count, score, pass, and its two words. --phrases
    applies such a list to other text, so that train and test text are treated alike; without --output that is a filter.

    The default score of a pair is (count(ab) - discount) / (count(a) count(b)) times the words of the text, as in
    word2phrase. gensim has the number of different words and pairs in place of the words of the text: the same phrases
    want a smaller threshold there.
    """

    files: list[Path] = argument(
        (),
        help="Text in words, parted by white space; .gz too. None, with --phrases: from stdin to stdout.",
        metavar="FILE…",
        shown_default="stdin",
    )
    phrases: Path | None = option(None, help="Phrase list to apply, in place of learning one.")
    min_count: int = option(5, help="Rarer pairs are no phrases.", unit="occurrences", minimum=1, panel="Phrases")
    scoring: str = option(
        "default",
        help="How pairs are scored: as word2phrase does, or by normalised pointwise mutual information, from -1 to 1.",
        choices=tuple(THRESHOLDS),
        panel="Phrases",
    )
    threshold: float | None = option(
        None, help="Pairs that score more are phrases.", shown_default="100; npmi: 0.5", panel="Phrases"
    )
    discount: float | None = option(
        None,
        help="Taken off a pair's count in the default scoring.",
        shown_default="--min-count",
        minimum=0,
        panel="Phrases",
    )
    delimiter: str = option("_", help="Stands between the words of a phrase.", panel="Phrases")
    passes: int = option(
        1, help="Passes; each joins what the last one left, so that longer phrases arise.", minimum=1, maximum=9,
        panel="Phrases",
    )  # fmt: skip
    max_pairs: int = option(
        20_000_000,
        help="Most different pairs counted, at about 40 bytes; where there are more, the rarest are forgotten.",
        minimum=1,
        panel="Phrases",
    )
    output: Path | None = option(None, help="Text to write.", shown_default="stdout, with --phrases", panel="Output")
    overwrite: bool = option(False, help="Replace the text and the list.", panel="Output")


@dataclass(frozen=True)
class PhrasesResult:
    """What was written.

    Attributes:
        output: The joined text.
        line_count: Its lines.
        words_before: Words of the text.
        words_after: Words with each phrase as one.
        list: The phrase list, new or applied.
        phrases: Its length.
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
            f"{self.output}: {self.line_count:,} lines, {self.words_before:,} words are {self.words_after:,}",
            f"{self.list}: {self.phrases:,} phrases",
        )

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        return {
            "output": str(self.output),
            "lines": self.line_count,
            "words_before": self.words_before,
            "words_after": self.words_after,
            "list": str(self.list),
            "phrases": self.phrases,
        }


def is_filter(options: PhrasesOptions) -> bool:
    """Whether the command writes to stdout."""
    return options.output in (None, STDIN)


def run(options: PhrasesOptions, listen: Listener = null_listener) -> PhrasesResult:
    """Learn phrases or read them, and write the text with phrases joined; text and list appear together.

    Raises:
        UsageError: Options that do not go together.
        DataError: A file is missing, not text, or there are no words.
        FormatError: The phrase list to apply is none.
        ArtefactError: An output already exists, or is one of the inputs.
    """
    with spool_pipes(options.files) as files:
        return _run(dataclasses.replace(options, files=files), as_dict(options), listen)


def _run(options: PhrasesOptions, given: dict[str, Any], listen: Listener) -> PhrasesResult:
    """The same for files that can be read more than once; the list's manifest records the options as `given`."""
    from rnnkit.text.phrase_detection import KIND, VERSION

    assert options.output is not None
    _check(options)
    claim_file(options, options.output)
    no_list = options.phrases or is_stream(options.output)  # beside a device or a pipe nothing is written
    outputs = [options.output] if no_list else [options.output, _list_path(options.output)]
    for path in outputs[1:]:
        claim_file(options, path, KIND, beside=[options.output])
    inputs = {path.name: manifest.sha256(path) for path in options.files}
    phrases = _load(options.phrases, listen) if options.phrases else _learn(options, listen)
    with ExitStack() as opened:
        files = [opened.enter_context(atomic_file(options.output))]
        files += [opened.enter_context(artifact_file(path, KIND, VERSION)) for path in outputs[1:]]
        for file in files[1:]:
            phrases.write(file)
        lines = before = after = 0
        for words, joined in _joined(options, phrases, listen):
            files[0].write(f"{' '.join(joined)}\n")
            lines += 1
            before += len(words)
            after += len(joined)
    if outputs[1:]:
        from rnnkit.text.phrase_detection import write_phrase_manifest

        write_phrase_manifest(outputs[1], given, inputs, {"phrases": len(phrases), "words": before})
    return PhrasesResult(
        options.output, lines, before, after, options.phrases or _list_path(options.output), len(phrases)
    )


def open_filter(options: PhrasesOptions, listen: Listener = null_listener) -> Iterator[str]:
    """The text of the files, or of standard input, with the phrases of a list joined.

    Raises:
        UsageError: There is no list: what is learned from has to be a file, and the list wants a place.
        DataError: The list is missing; later, where a file is missing or no text.
        FormatError: The list is none.
    """
    if options.phrases is None:
        raise UsageError(
            "--output is missing",
            "phrases are learned from files, which are read more than once, and their list stands beside the output",
            hint="--phrases LIST joins the phrases of a list; that is a filter",
        )
    phrases = _load(options.phrases, listen)
    files = options.files or [STDIN]
    for file in files:
        if file != STDIN and not file.exists():
            raise DataError(f"there is no file {file}")
    if STDIN in files and sys.stdin.isatty():
        listen(Note("reading text from the keyboard; Ctrl-D ends it"))
    join = phrases.joiner()
    return (" ".join(join(line.split())) for file in files for line in read_token_lines(file))


def _check(options: PhrasesOptions) -> None:
    if not options.files or STDIN in options.files:
        raise UsageError("--output needs files", "a file is read more than once; standard input can be read once")
    if not options.delimiter or options.delimiter.split() != [options.delimiter]:
        raise UsageError(f"--delimiter cannot be {options.delimiter!r}", "it is not empty and holds no white space")
    if options.scoring == "npmi" and not -1 <= _threshold(options) < 1:
        raise UsageError(f"--threshold of npmi lies between -1 and 1, not at {options.threshold:g}")
    if options.scoring == "npmi" and options.discount is not None:
        raise UsageError("--discount is for the default scoring, not for npmi")


def _list_path(output: Path) -> Path:
    return output.with_name(f"{output.name}{LIST_SUFFIX}")


def _threshold(options: PhrasesOptions) -> float:
    return THRESHOLDS[options.scoring] if options.threshold is None else options.threshold


def _load(path: Path, listen: Listener) -> PhraseList:
    from rnnkit.text.phrase_detection import PhraseList, is_modified

    phrases = PhraseList.load(path)
    if is_modified(path):
        listen(WarningEvent(f"{path} has changed since it was written; it is used as it is now"))
    return phrases


def _learn(options: PhrasesOptions, listen: Listener) -> PhraseList:
    """Pass after pass over the files: what the earlier passes found is joined, and the rest counted."""
    from rnnkit.text.phrase_detection import PhraseList

    found: list[tuple[BigramPhrase, ...]] = []
    for which in range(1, options.passes + 1):
        counts = _count(options, PhraseList(tuple(found)), which, listen)
        found.append(_choose(options, counts, listen))
        listen(Note(f"pass {which}: {len(found[-1]):,} phrases among {counts.words:,} words"))
        if not found[-1]:
            break
    if not found[0]:
        listen(WarningEvent(f"no pair scores more than {_threshold(options):g}; a lower --threshold finds some"))
    return PhraseList(tuple(found))


def _count(options: PhrasesOptions, phrases: PhraseList, which: int, listen: Listener) -> BigramCounts:
    from rnnkit.text.phrase_detection import BigramCounts

    counts = BigramCounts(options.max_pairs)
    join = phrases.joiner()
    for path in options.files:
        task, done = f"pass {which} {path.name}", 0
        for done, line in enumerate(read_token_lines(path), start=1):
            counts.add(join(line.split()))
            if done % _PROGRESS_LINES == 0:
                listen(Progress(task, done))
        listen(Progress(task, done, done, finished=True))
    if not counts.words:
        raise DataError(f"{options.files[0]} has no words", "it is empty or has only blank lines")
    return counts


def _choose(options: PhrasesOptions, counts: BigramCounts, listen: Listener) -> tuple[BigramPhrase, ...]:
    from rnnkit.text.phrase_detection import default_score, find_phrases, npmi_score

    discount = options.min_count if options.discount is None else options.discount
    score = partial(npmi_score, words=counts.words)
    if options.scoring == "default":
        score = partial(default_score, words=counts.words, discount=discount)
    pairs = counts.frequent(options.min_count)
    found = find_phrases(pairs, score, _threshold(options), options.delimiter)
    if counts.dropped:
        listen(
            WarningEvent(
                f"more than {options.max_pairs:,} different pairs: rare ones were forgotten on the way, so that some "
                f"counts are too low by {counts.floor:,} or more; --max-pairs keeps more"
            )
        )
    return found


def _joined(
    options: PhrasesOptions, phrases: PhraseList, listen: Listener
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """The words of each line of the files, before and after phrases are joined."""
    join = phrases.joiner()
    for path in options.files:
        task, done = f"join {path.name}", 0
        for done, line in enumerate(read_token_lines(path), start=1):
            words = line.split()
            yield words, join(words)
            if done % _PROGRESS_LINES == 0:
                listen(Progress(task, done))
        listen(Progress(task, done, done, finished=True))
