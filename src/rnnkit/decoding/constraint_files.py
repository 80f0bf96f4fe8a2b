"""Constraints read from files beside the source: a prefix, phrases and token sequences for each line."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, repeat
from pathlib import Path
from typing import cast

from rnnkit.decoding.constraints import UNCONSTRAINED, ConstrainedSource, Constraints
from rnnkit.decoding.phrase_spellings import RequiredPhrase, enumerate_spellings
from rnnkit.decoding.token_boundaries import VocabularyEdges
from rnnkit.decoding.translator import source_oov_tokens
from rnnkit.errors import DataError
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text.lines import read_lines

_MAX_LISTED = 5
"""Unsatisfiable constraints that an error lists; the others are counted."""

_CACHE_SIZE = 1 << 16
"""Phrases whose spellings are cached."""


@dataclass(frozen=True)
class ConstraintFiles:
    """Files of constraints, each with one line per source line; None for a file that is not given.

    Attributes:
        prefixes: Prefix of each translation; an empty line means no constraint.
        constraints: Phrases separated by tabs.
        sequences: Token sequences separated by tabs, their tokens separated by spaces.
    """

    prefixes: Path | None = None
    constraints: Path | None = None
    sequences: Path | None = None

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """All paths, in the order of the attributes."""
        return self.prefixes, self.constraints, self.sequences


@dataclass(frozen=True)
class UnsatisfiableConstraint:
    """A constraint with a token that the model cannot generate.

    Attributes:
        path: Its file.
        line: Its line, counted from 1.
        what: What it contains.
    """

    path: Path | None
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass
class ConstraintReader:
    """Converts lines of constraint files to ids.

    Attributes:
        model: Model that supplies tokenizer and target vocabulary.
        files: Files that the lines come from.
        copies: Whether the model can copy out-of-vocabulary tokens from the source.
        problems: Unsatisfiable constraints found so far.
    """

    model: LoadedSeq2Seq
    files: ConstraintFiles
    copies: bool = False
    problems: list[UnsatisfiableConstraint] = field(default_factory=list)
    _phrases: dict[str, RequiredPhrase | None] = field(default_factory=dict)

    def read(self, number: int, source: str, lines: Sequence[str]) -> Constraints:
        """Return the constraints of one source line, without those that cannot be satisfied.

        Args:
            number: Line number, counted from 1.
            source: The source line.
            lines: Its line in each of the files.
        """
        if not any(lines):
            return UNCONSTRAINED
        oov = source_oov_tokens(self.model, self.model.tokenizer.tokenize(source)) if self.copies else ()
        prefix = self._read_prefix(lines[0], oov, number)
        phrases = [self._read_phrase(phrase, oov, number) for phrase in lines[1].split("\t")]
        sequences = [
            self._encode(tokens.split(), oov, self.files.sequences, number, f"the sequence {tokens!r}")
            for tokens in lines[2].split("\t")
        ]
        constraints = Constraints(
            prefix,
            tuple(dict.fromkeys(filter(None, sequences))),
            tuple({phrase.text: phrase for phrase in phrases if phrase}.values()),
        )
        return constraints if constraints.prefix or constraints.is_lexical else UNCONSTRAINED

    @cached_property
    def _edges(self) -> VocabularyEdges:
        return VocabularyEdges.from_vocabulary(self.model.tokenizer, self.model.target_vocabulary)

    def _ids(self, oov: Sequence[str]) -> Mapping[str, int]:
        """Return the ids of the target vocabulary, extended by the out-of-vocabulary tokens of the source."""
        ids = self.model.target_vocabulary.ids
        extension = {token: index for index, token in enumerate(oov, start=len(self.model.target_vocabulary))}
        return ChainMap(extension, cast(dict[str, int], ids)) if oov else ids

    def _read_prefix(self, text: str, oov: Sequence[str], number: int) -> tuple[int, ...]:
        tokenizer, path = self.model.tokenizer, self.files.prefixes
        tokenizer.split_features(text, f"{path}:{number}")  # raises DataError if the features are malformed
        return self._encode(tokenizer.tokenize(text), oov, path, number, f"the prefix {text!r}") or ()

    def _read_phrase(self, text: str, oov: Sequence[str], number: int) -> RequiredPhrase | None:
        tokenizer = self.model.tokenizer
        if not (normalized := tokenizer.normalizer(text)):
            return None
        if not oov and normalized in self._phrases:
            phrase = self._phrases[normalized]
        else:
            spellings = enumerate_spellings(tokenizer, normalized, self._ids(oov))
            oov_edges = VocabularyEdges.from_tokens(tokenizer, oov) if oov else None
            phrase = RequiredPhrase(normalized, spellings, self._edges, oov_edges) if spellings else None
            if not oov and len(self._phrases) < _CACHE_SIZE:
                self._phrases[normalized] = phrase
        if phrase is None:
            self._encode(
                tokenizer.tokenize_normalized(normalized), oov, self.files.constraints, number, f"the phrase {text!r}"
            )
        return phrase

    def _encode(
        self, tokens: Sequence[str], oov: Sequence[str], path: Path | None, number: int, what: str
    ) -> tuple[int, ...] | None:
        """Return the ids of tokens; if one of them is unknown, record a problem and return None."""
        ids = self._ids(oov)
        unknown = [token for token in tokens if token not in ids]
        if unknown:
            message = f"{what} contains {unknown[0]!r}, which is not in the target vocabulary"
            self.problems.append(UnsatisfiableConstraint(path, number, message))
            return None
        return tuple(ids[token] for token in tokens)


def read_constraints(
    reader: ConstraintReader,
    lines: Iterable[str],
    skip: int = 0,
    lenient: bool = False,
    reopen: Callable[[], Iterable[str]] | None = None,
    listen: Listener = null_listener,
) -> Iterator[ConstrainedSource]:
    """Pair source lines with their constraints.

    Files that can be read twice are checked completely before the first line is yielded, so that one error lists all
    unsatisfiable constraints. Constraints from a pipe are checked line by line.

    Args:
        reader: Converts the lines of the constraint files.
        lines: The source.
        skip: Number of lines to skip at the start of all files.
        lenient: Drop unsatisfiable constraints with a warning that counts them, instead of raising an error.
        reopen: Opens the source a second time; None if it is a pipe. Needed for models that copy source tokens.
        listen: Receives the warning.

    Raises:
        DataError: A file has more or fewer lines than the source, or a constraint has unknown tokens or malformed
            features; names file and line.
    """
    paths = reader.files.paths
    early = any(paths) and all(path is None or path.is_file() for path in paths) and not (reader.copies and not reopen)
    if early:
        sources = reopen() if reopen is not None and reader.copies else repeat("")
        for number, (source, *beside) in enumerate(zip(sources, *map(_read_optional, paths), strict=False), start=1):
            if number > skip:
                reader.read(number, source, beside)
        _report_problems(reader, lenient, listen)
    files, number = [_read_optional(path) for path in paths], 0
    for number, line in enumerate(lines, start=1):
        beside = [_next_line(file, path, number) for file, path in zip(files, paths, strict=True)]
        if number <= skip:
            continue
        constraints = reader.read(number, line, beside)
        if not lenient:
            _report_problems(reader, lenient, listen)
        if early:  # these were counted before
            reader.problems.clear()
        yield line, constraints
    for file, path in zip(files, paths, strict=True):
        if path is not None and list(islice(file, 1)):
            raise DataError(
                f"{path} has more lines than the source",
                f"line {number + 1} has no source line: the source has {number:,}",
                hint="give each source line exactly one line in every constraint file",
                path=path,
                line=number + 1,
            )
    _report_problems(reader, lenient, listen)


def _report_problems(reader: ConstraintReader, lenient: bool, listen: Listener) -> None:
    """Raise an error for unsatisfiable constraints or, if lenient, count them in a warning."""
    problems, model_dir = reader.problems, reader.model.folder
    reader.problems = []
    if not problems:
        return
    if lenient:
        listen(WarningEvent(f"{len(problems):,} prefixes and constraints were dropped; the first: {problems[0]}"))
        return
    rest = [f"and {len(problems) - _MAX_LISTED:,} more"] if len(problems) > _MAX_LISTED else []
    raise DataError(
        *map(str, problems[:_MAX_LISTED]),
        *rest,
        hint=f"use tokens that {model_dir} can generate, or drop these constraints with --skip-impossible",
        path=problems[0].path,
        line=problems[0].line,
    )


def _read_optional(path: Path | None) -> Iterator[str]:
    return read_lines(path) if path is not None else repeat("")


def _next_line(lines: Iterator[str], path: Path | None, number: int) -> str:
    for line in lines:
        return line
    raise DataError(
        f"{path} has fewer lines than the source",
        f"it ends with line {number - 1:,}",
        hint="give each source line exactly one line in every constraint file",
        path=path,
        line=number - 1,
    )
