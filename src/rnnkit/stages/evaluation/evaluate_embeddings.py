"""`rnnkit evaluate-embeddings`: evaluate word vectors on analogies and on human similarity ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.embeddings.queries import load_vectors
from rnnkit.errors import DataError, UsageError
from rnnkit.evaluation.segments import source_name
from rnnkit.events import Listener, Status, WarningEvent, null_listener
from rnnkit.io.safe_reading import Repairs
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, option
from rnnkit.reports.figures import format_columns
from rnnkit.stages import shared_options as shared
from rnnkit.text.lines import read_lines

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import WordVectors
    from rnnkit.evaluation.word_vector_evaluation import Correlation, SectionScore

EXAMPLE = """\
rnnkit evaluate-embeddings questions-words.txt wordsim353.tsv
rnnkit evaluate-embeddings rare-words.txt --vectors work/embeddings --unseen"""


NO_VECTORS = "its words have no vectors"


@dataclass(frozen=True)
class EvaluateEmbeddingsOptions(shared.VectorOptions):
    """Evaluate word vectors on files of analogies and of rated word pairs; the kind of a file is detected.

    Analogies, as in questions-words.txt: `: section` lines, and four words per line, `Athens Greece Baghdad Iraq`. The
    predicted word is the nearest to Greece - Athens + Baghdad (3CosAdd), excluding these three. As is usual, only the
    most frequent words are considered: questions with other words are skipped. Sections whose names begin with gram are
    syntactic, the others semantic.

    Rated pairs, as in wordsim353.tsv: two words and a number per line, separated by tabs, semicolons, commas, white
    space or colons, with or without double quotes. The score is Spearman's rank correlation of ratings and cosine
    similarities, over all words that have a vector.
    """

    files: list[Path] = argument(help="Files of analogies or rated pairs; - is standard input.", metavar="FILE")
    restrict: int = option(
        30_000,
        help="Consider only this many of the most frequent words in analogies.",
        panel="Score",
        unit="words",
        minimum=1,
    )
    lowercase: bool = option(
        True,
        help="Ignore case: a word without a vector gets that of the most frequent word that differs only in case.",
        panel="Score",
        variable="EVALUATE_EMBEDDINGS_LOWERCASE",
    )
    unseen: bool = option(
        False, help="Compose vectors of out-of-vocabulary words in rated pairs from their n-grams.", panel="Score"
    )


@dataclass(frozen=True)
class AnalogyScore:
    """Accuracy on a file of analogies.

    Attributes:
        path: The file.
        restrict: Number of most frequent words considered.
        sections: Counts of each section.
        sums: Semantic and syntactic counts, if the file has both; then the total.
    """

    path: Path
    restrict: int
    sections: tuple[SectionScore, ...]
    sums: tuple[SectionScore, ...]

    @property
    def measured(self) -> bool:
        """Whether any question has vectors."""
        return self.sums[-1].covered > 0

    @property
    def why(self) -> str:
        """Why there is no score."""
        return f"there is no score because {NO_VECTORS}"

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        heads = [("section", "accuracy", "correct", "asked", "questions")]
        rows = [
            (tally.name, percent(tally.accuracy), *(f"{n:,}" for n in (tally.correct, tally.covered, tally.questions)))
            for tally in (*self.sections, *self.sums)
        ]
        title = f"{self.path}: analogies among the {self.restrict:,} most frequent words"
        return [title, *format_columns([*heads, *rows], right=range(1, 5), indent="  ")]

    @property
    def number(self) -> str:
        """The score alone."""
        return percent(self.sums[-1].accuracy)

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {
            "file": str(self.path),
            "kind": "analogies",
            "restrict": self.restrict,
            **{tally.name: {k: v for k, v in tally.as_dict().items() if k != "name"} for tally in self.sums},
            "sections": [tally.as_dict() for tally in self.sections],
        }


@dataclass(frozen=True)
class SimilarityScore:
    """Rank correlation with a file of rated pairs."""

    path: Path
    correlation: Correlation

    @property
    def measured(self) -> bool:
        """Whether the correlation is defined."""
        return self.correlation.spearman is not None

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        found = self.correlation
        share = f"{found.used:,} of {found.pairs:,} pairs, {percent(found.coverage)}"
        lines = [f"{self.path}: rated pairs of words", f"  Spearman's rho = {self.number} ({share})"]
        return lines if found.undefined is None else [*lines, f"  not defined: {found.undefined}"]

    @property
    def why(self) -> str:
        """Why there is no score."""
        undefined = self.correlation.undefined
        if undefined is not None:
            return f"the correlation is not defined because {undefined}"
        return f"there is no score because {NO_VECTORS}"

    @property
    def number(self) -> str:
        """The score alone."""
        return "-" if self.correlation.spearman is None else f"{self.correlation.spearman:.4f}"

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {"file": str(self.path), "kind": "pairs", **self.correlation.as_dict()}


Score = AnalogyScore | SimilarityScore


@dataclass(frozen=True)
class EvaluateEmbeddingsResult:
    """A score for each file, ready to print, and the repairs of the vectors with `--repair`."""

    scores: tuple[Score, ...]
    repairs: Repairs | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form: a table per file."""
        return tuple(line for score in self.scores for line in [*score.lines, ""])[:-1]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: one number per file."""
        return tuple(score.number for score in self.scores)

    def as_dict(self) -> JsonObject:
        """JSON form."""
        scores = {"scores": [score.as_dict() for score in self.scores]}
        return scores if self.repairs is None else {**scores, "repairs": self.repairs.as_dict()}


def percent(share: float | None) -> str:
    """Format a fraction as a percentage."""
    return "-" if share is None else f"{100 * share:.2f} %"


def run(options: EvaluateEmbeddingsOptions, listen: Listener = null_listener) -> EvaluateEmbeddingsResult:
    """Evaluate the vectors.

    Raises:
        UsageError: `--unseen` is given, and the vectors have no n-grams.
        DataError: A file is missing or has neither analogies nor pairs, or no word of any file has a vector.
        FormatError: The vectors are damaged.
    """
    texts = [(path, list(read_lines(path))) for path in options.files]
    for path, lines in texts:
        _is_analogies(path, lines)
    vectors = load_vectors(options.vectors, options.work, options.repair, listen)
    if options.unseen and vectors.table.subwords is None:
        raise UsageError(
            f"--unseen needs vectors with n-grams, and those of {vectors.table.name} have none", option="--unseen"
        )
    scores = tuple(_score(path, lines, vectors, options, listen) for path, lines in texts)
    if not any(score.measured for score in scores):
        if any(isinstance(score, SimilarityScore) and score.correlation.undefined for score in scores):
            raise DataError("there is no score", *(f"{source_name(score.path)}: {score.why}" for score in scores))
        raise DataError(
            "there is no score: no question has a vector for each of its words",
            hint="check that files and vectors have the same language and tokenization",
        )
    return EvaluateEmbeddingsResult(scores, vectors.table.repairs)


def _score(
    path: Path, lines: Sequence[str], vectors: WordVectors, options: EvaluateEmbeddingsOptions, listen: Listener
) -> Score:
    """Score one file."""
    listen(Status(f"evaluating {path.name}"))
    score: Score
    if _is_analogies(path, lines):
        score, bad = _solve(path, lines, vectors, options)
    else:
        score, bad = _correlate(path, lines, vectors, options)
    if bad:
        lines_are = "1 line is" if len(bad) == 1 else f"{len(bad):,} lines are"
        listen(WarningEvent(f"{source_name(path)}: {lines_are} malformed and skipped, the first is line {bad[0]}"))
    if not score.measured:
        listen(WarningEvent(f"{source_name(path)}: {score.why}"))
    return score


def _solve(
    path: Path, lines: Sequence[str], vectors: WordVectors, options: EvaluateEmbeddingsOptions
) -> tuple[AnalogyScore, list[int]]:
    from rnnkit.evaluation.word_vector_evaluation import (
        combine_scores,
        evaluate_analogies,
        is_syntactic,
        parse_questions,
    )

    questions, bad = parse_questions(lines)
    restrict = min(options.restrict, len(vectors))
    sections = evaluate_analogies(questions, vectors, restrict, options.lowercase)
    syntactic = [tally for tally in sections if is_syntactic(tally)]
    semantic = [tally for tally in sections if not is_syntactic(tally)]
    sums = [combine_scores("total", sections)]
    if syntactic and semantic:
        sums = [combine_scores("semantic", semantic), combine_scores("syntactic", syntactic), *sums]
    return AnalogyScore(path, restrict, tuple(sections), tuple(sums)), bad


def _correlate(
    path: Path, lines: Sequence[str], vectors: WordVectors, options: EvaluateEmbeddingsOptions
) -> tuple[SimilarityScore, list[int]]:
    from rnnkit.evaluation.word_vector_evaluation import correlate, parse_pairs

    pairs, bad = parse_pairs(lines)
    return SimilarityScore(path, correlate(pairs, vectors, options.lowercase, options.unseen)), bad


def _is_analogies(path: Path, lines: Sequence[str]) -> bool:
    """Return whether a file has analogies rather than rated pairs, judging by its first nonempty lines.

    Raises:
        DataError: It has neither analogies nor rated pairs.
    """
    from rnnkit.evaluation.word_vector_evaluation import COMMENT, SECTION, parse_pair

    nonempty = (line for line in lines if line.strip() and not line.startswith(COMMENT))
    first = list(islice(nonempty, 2))  # one of them may be a header
    if first and first[0].startswith(SECTION):
        return True
    if any(parse_pair(line) is not None for line in first):
        return False
    if any(len(line.split()) == 4 for line in first):
        return True
    raise DataError(
        f"{source_name(path)} has neither analogies nor rated word pairs",
        "an analogy is four words on a line, below `: section` lines; a pair is two words and a number on a line",
        path=path,
    )
