"""What is asked of each line's translation, read from files beside the text: beginnings, and phrases to be used."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, repeat
from pathlib import Path
from typing import cast

from rnnkit.decoding.constraints.phrase_spellings import RequiredPhrase, enumerate_spellings
from rnnkit.decoding.constraints.token_boundaries import VocabularyEdges
from rnnkit.decoding.constraints.token_constraints import UNCONSTRAINED, ConstrainedSource, Constraints
from rnnkit.decoding.translator import source_oov_tokens
from rnnkit.errors import DataError
from rnnkit.events import Listener, WarningEvent, null_listener
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text.lines import read_lines

"""A source line and what is asked of its translation."""


_MAX_NAMED = 5
"""Impossible demands that an error names; the others are counted."""

_CACHE_SIZE = 1 << 16
"""Phrases of which it is remembered how they are written."""


@dataclass(frozen=True)
class ConstraintFiles:
    """The files beside the text, each with a line for each line of the text.

    Attributes:
        prefixes: The beginning of each line's translation, empty for any.
        constraints: Each line's phrases, split by tabs, empty for none.
        sequences: The same as tokens, split by spaces.
    """

    prefixes: Path | None = None
    constraints: Path | None = None
    sequences: Path | None = None

    @property
    def named(self) -> tuple[Path | None, ...]:
        """All of them, in the order of the attributes."""
        return self.prefixes, self.constraints, self.sequences


@dataclass
class ConstraintReader:
    """Turns lines of the files into what is asked for.

    Attributes:
        model: Whose tokens are meant.
        files: Where the lines come from, for messages.
        copies: Whether tokens that the vocabulary lacks can be copied from the source.
        problems: A message for each demand that cannot be met, of those read so far.
    """

    model: LoadedSeq2Seq
    files: ConstraintFiles
    copies: bool = False
    problems: list[str] = field(default_factory=list)
    _written: dict[str, RequiredPhrase | None] = field(default_factory=dict)

    def read(self, number: int, source: str, lines: Sequence[str]) -> Constraints:
        """What is asked of a line's translation, without what cannot be met.

        Args:
            number: Of the line, from 1.
            source: The line.
            lines: Those of the files' lines.
        """
        if not any(lines):
            return UNCONSTRAINED
        own = source_oov_tokens(self.model, self.model.tokenizer.tokenize(source)) if self.copies else ()
        begin, phrases, sequences = lines
        where = [f"{path}:{number}" for path in self.files.named]
        prefix = self._prefix(begin, own, where[0])
        texts = [self._phrase(phrase, own, where[1]) for phrase in phrases.split("\t")]
        given = [
            self._encode(tokens.split(), own, f"{where[2]}: the sequence {tokens!r}")
            for tokens in sequences.split("\t")
        ]
        wish = Constraints(
            prefix, tuple(dict.fromkeys(filter(None, given))), tuple({one.text: one for one in texts if one}.values())
        )
        return wish if wish.prefix or wish.constrains else UNCONSTRAINED

    @cached_property
    def _edges(self) -> VocabularyEdges:
        return VocabularyEdges.of_vocabulary(self.model.tokenizer, self.model.target_vocabulary)

    def _known(self, own: Sequence[str]) -> Mapping[str, int]:
        ids = self.model.target_vocabulary.ids
        first = len(self.model.target_vocabulary)
        behind = {token: row for row, token in enumerate(own, start=first)}
        return ChainMap(behind, cast(dict[str, int], ids)) if own else ids

    def _prefix(self, text: str, own: Sequence[str], where: str) -> tuple[int, ...]:
        self.model.tokenizer.split_features(text, where)  # features that cannot be read are refused by their place
        return self._encode(self.model.tokenizer.tokenize(text), own, f"{where}: the prefix {text!r}") or ()

    def _phrase(self, text: str, own: Sequence[str], where: str) -> RequiredPhrase | None:
        tokenizer = self.model.tokenizer
        if not (normal := tokenizer.normalizer(text)):
            return None
        if not own and normal in self._written:
            found = self._written[normal]
        else:
            ways = enumerate_spellings(tokenizer, normal, self._known(own))
            edges = VocabularyEdges.of(tokenizer, own) if own else None
            found = RequiredPhrase(normal, ways, self._edges, edges) if ways else None
            if not own and len(self._written) < _CACHE_SIZE:
                self._written[normal] = found
        if found is None:
            self._encode(tokenizer.tokenize_normalized(normal), own, f"{where}: the phrase {text!r}")
        return found

    def _encode(self, tokens: Sequence[str], own: Sequence[str], what: str) -> tuple[int, ...] | None:
        """Ids of tokens; None where one of them is not known, which is a problem."""
        known = self._known(own)
        unknown = [token for token in tokens if token not in known]
        if unknown:
            self.problems.append(f"{what} has {unknown[0]!r}, which the target vocabulary does not know")
            return None
        return tuple(known[token] for token in tokens)


def read_constraints(
    demands: ConstraintReader,
    lines: Iterable[str],
    skip: int = 0,
    lenient: bool = False,
    again: Callable[[], Iterable[str]] | None = None,
    listen: Listener = null_listener,
) -> Iterator[ConstrainedSource]:
    """Source lines with what is asked of them.

    Files that can be read twice are looked through before the first line is given, so that all that cannot be met is
    named at once; what comes through a pipe is judged line by line.

    Args:
        demands: Reads the files beside the text.
        lines: The source.
        skip: Lines of all files to leave out at the start.
        lenient: Whether what cannot be met is left out, with a warning that counts it.
        again: Gives the source once more; None where it comes through a pipe. What can be copied depends on it.
        listen: Is warned.

    Raises:
        DataError: A file has more or fewer lines than the source, or asks for what the vocabulary does not know, or
            has features that cannot be read; the message names file and line.
    """
    paths = demands.files.named
    early = any(paths) and all(path is None or path.is_file() for path in paths) and not (demands.copies and not again)
    if early:
        sources = again() if again is not None and demands.copies else repeat("")
        for number, (source, *some) in enumerate(zip(sources, *map(_read_optional, paths), strict=False), start=1):
            if number > skip:
                demands.read(number, source, some)
        _report_problems(demands, lenient, listen)
    beside, number = [_read_optional(path) for path in paths], 0
    for number, line in enumerate(lines, start=1):
        some = [_next_line(others, path, number) for others, path in zip(beside, paths, strict=True)]
        if number <= skip:
            continue
        wish = demands.read(number, line, some)
        if not lenient:
            _report_problems(demands, lenient, listen)
        if early:  # these are counted already
            demands.problems.clear()
        yield line, wish
    for others, path in zip(beside, paths, strict=True):
        if path is not None and list(islice(others, 1)):
            raise DataError(f"{path}:{number + 1}: the text has no such line", f"it ends with line {number}")
    _report_problems(demands, lenient, listen)


def _report_problems(demands: ConstraintReader, lenient: bool, listen: Listener) -> None:
    """Refuse, or count, what cannot be met."""
    problems, folder = demands.problems, demands.model.folder
    demands.problems = []
    if not problems:
        return
    rest = [f"and {len(problems) - _MAX_NAMED:,} more"] if len(problems) > _MAX_NAMED else []
    if lenient:
        listen(WarningEvent(f"{len(problems):,} prefixes and constraints were left out: {problems[0]}"))
        return
    raise DataError(
        *problems[:_MAX_NAMED], *rest,
        hint=f"only what {folder} can write can be asked for; --skip-impossible leaves the others out",
    )  # fmt: skip


def _read_optional(path: Path | None) -> Iterator[str]:
    return read_lines(path) if path is not None else repeat("")


def _next_line(lines: Iterator[str], path: Path | None, number: int) -> str:
    for line in lines:
        return line
    raise DataError(
        f"{path} ends with line {number - 1}, the text has more", hint="every line of the text has its line there"
    )
