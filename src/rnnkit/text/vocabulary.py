"""The table of tokens: which row is which, and how often each was counted.

`vocab.tsv` has `token<TAB>count` rows; a token's id is its row, from 0. The first four rows are the special symbols,
by position. The same text met in a corpus is an ordinary row further down, so that no text can stand for them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from rnnkit.errors import FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file, write_file_manifest
from rnnkit.text import special_tokens
from rnnkit.text.lines import MAX_LINE_BYTES, read_lines

KIND: Final = "vocabulary"
VERSION: Final = 1
MAX_ROW_BYTES: Final = 32 * MAX_LINE_BYTES
"""Longest row that is read: a token can be as long as a line of a token file."""

_LONGEST: Final = MAX_ROW_BYTES - 20
"""Bytes of the longest token: a row also has a tab and a count of up to 18 digits."""

_UNFIT: Final = re.compile("[ \t\n\r\0\ud800-\udfff]")
"""What no token holds. Other white space, such as U+00A0 or a vertical tab, is part of words in KenLM's ARPA files."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id.

    Attributes:
        tokens: Text of each row; the special symbols' names first.
        counts: How often each was met; 0 for the special symbols.
    """

    tokens: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], min_count: int = 1, max_size: int = 0, always: Collection[str] = ()
    ) -> Vocabulary:
        """Order counted tokens: the most frequent first, ties by code point.

        Args:
            counts: Occurrences of each token.
            min_count: Rarer tokens get no row.
            max_size: Most rows, the four special symbols and `always` counted; 0 means no limit.
            always: Tokens that get a row in any case, however rare they are.
        """
        kept = {token: counts.get(token, 0) for token in always}
        rows = sorted((-count, token) for token, count in counts.items() if count >= min_count and token not in kept)
        if max_size:
            rows = rows[: max(0, max_size - len(special_tokens.NAMES) - len(kept))]
        rows = sorted(rows + [(-count, token) for token, count in kept.items()])
        tokens = (*special_tokens.NAMES, *(token for _, token in rows))
        return cls(tokens, (*[0] * len(special_tokens.NAMES), *(-count for count, _ in rows)))

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read a `vocab.tsv`.

        Raises:
            DataError: The file is missing or not text.
            FormatError: It is not a vocabulary; the message names the line.
        """
        if path.exists() and not path.is_file():
            raise FormatError(f"{path} is not a vocabulary", "it is not a regular file")
        tokens: list[str] = []
        counts: list[int] = []
        for number, line in enumerate(read_lines(path, MAX_ROW_BYTES), start=1):
            token, count = _parse_row(line, f"{path}:{number}")
            if number <= len(special_tokens.NAMES):
                _check_special(token, number, path)
            tokens.append(token)
            counts.append(count)
        _check(tokens, path)
        return cls(tuple(tokens), tuple(counts))

    def save(
        self,
        path: Path,
        *,
        options: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write `vocab.tsv` and its manifest beside it.

        Args:
            path: The file.
            options: The resolved options of the command.
            inputs: sha256 of each token file by name, identity of the `tokenizer`.
            facts: What else is known, such as the coverage.

        Raises:
            ArtefactError: It cannot be written.
            FormatError: `load` would refuse a row; the message names its line. Nothing is written.
        """
        _check(self.tokens, path)
        with artifact_file(path, KIND, VERSION) as file:
            file.writelines(f"{token}\t{count}\n" for token, count in zip(self.tokens, self.counts, strict=True))
        write_file_manifest(
            path, KIND, VERSION, options=options, inputs=inputs, facts={"rows": len(self), **(facts or {})}
        )

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Id of each ordinary token. The special symbols have no entry: no text is one of them."""
        first = len(special_tokens.NAMES)
        return {token: row for row, token in enumerate(self.tokens[first:], start=first)}

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The tokens' ids, UNK for a token without a row. Neither BOS nor EOS is added."""
        get = self.ids.get
        return [get(token, special_tokens.UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The rows' tokens; special symbols by their names."""
        return [self.tokens[row] for row in ids]


def read_vocabulary_manifest(path: Path) -> manifest.Manifest:
    """The manifest of a vocabulary file.

    Raises:
        DataError: The file or its manifest is missing.
        ArtefactError: The file is of another kind.
        FormatError: The manifest is damaged or newer, or the vocabulary has changed since it was written.
    """
    meta = manifest.read(path, KIND, VERSION)
    if faults := manifest.find_mismatches(path):
        raise FormatError(f"the vocabulary {path} is damaged", *faults, hint="make it again with `rnnkit vocab`")
    return meta


def _parse_row(line: str, where: str) -> tuple[str, int]:
    token, tab, count = line.partition("\t")
    if not tab:
        raise FormatError(f"{where}: no tab", "a row is `token<TAB>count`")
    if not re.fullmatch(r"[0-9]{1,18}", count):
        raise FormatError(f"{where}: the count {count!r} is not a whole number")
    return token, int(count)


def _check(tokens: Sequence[str], path: Path) -> None:
    """Refuse rows that a vocabulary cannot have. Reading and writing share this check, so they agree."""
    lines: dict[str, int] = {}
    for number, token in enumerate(tokens, start=1):
        if not token or _UNFIT.search(token):
            shown = repr(token if len(token) <= 60 else token[:57] + "...")
            raise FormatError(
                f"{path}:{number}: {shown} cannot be a token", "a token is not empty and holds no white space"
            )
        if 4 * len(token) > _LONGEST and len(token.encode()) > _LONGEST:
            raise FormatError(f"{path}:{number}: the token is longer than {_LONGEST:,} bytes")
        if number <= len(special_tokens.NAMES):
            _check_special(token, number, path)
        elif lines.setdefault(token, number) != number:
            raise FormatError(f"{path}:{number}: {token!r} has a row already", f"the first is line {lines[token]}")
    if len(tokens) < len(special_tokens.NAMES):
        raise FormatError(f"{path} is not a vocabulary", f"it has {len(tokens)} rows, the special symbols take 4")


def _check_special(token: str, number: int, path: Path) -> None:
    wanted = special_tokens.NAMES[number - 1]
    if token != wanted:
        raise FormatError(
            f"{path}:{number}: {wanted} is missing",
            f"the first rows of a vocabulary are {' '.join(special_tokens.NAMES)}, this one is {token!r}",
            hint="`rnnkit vocab FILE…` makes a vocabulary from token files",
        )
