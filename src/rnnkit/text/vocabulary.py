"""The vocabulary: tokens with their ids and counts.

`vocab.tsv` has lines `token<TAB>count`; the id of a token is its line, from 0. The first four entries are the special
tokens, by position. The same text in a corpus is an ordinary entry further down, so no text becomes a special token.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from rnnkit.errors import FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import artifact_file, write_file_manifest
from rnnkit.json_types import JsonMapping
from rnnkit.text import special_tokens
from rnnkit.text.lines import MAX_LINE_BYTES, read_lines

KIND: Final = "vocabulary"
VERSION: Final = 1
MAX_ENTRY_BYTES: Final = 32 * MAX_LINE_BYTES
"""Maximum length of a line: a token can be as long as a line of a token file."""

_MAX_TOKEN_BYTES: Final = MAX_ENTRY_BYTES - 20
"""Maximum length of a token: a line also has a tab and a count of up to 18 digits."""

_FORBIDDEN: Final = re.compile("[ \t\n\r\0\ud800-\udfff]")
"""Characters that no token contains. Other white space, such as U+00A0, is part of words in KenLM's ARPA files."""


@dataclass(frozen=True)
class Vocabulary:
    """Mapping between tokens and ids.

    Attributes:
        tokens: Token of each id; the names of the special tokens first.
        counts: Number of occurrences of each token; 0 for the special tokens.
    """

    tokens: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], min_count: int = 1, max_size: int = 0, required: Collection[str] = ()
    ) -> Vocabulary:
        """Build a vocabulary from counts: the most frequent tokens first, ties by code point.

        Args:
            counts: Occurrences of each token.
            min_count: Minimum frequency of a token.
            max_size: Maximum number of entries, including the special tokens and `required`; 0 means no limit.
            required: Tokens with an entry whatever their frequency.
        """
        kept = {token: counts.get(token, 0) for token in required}
        rows = sorted((-count, token) for token, count in counts.items() if count >= min_count and token not in kept)
        if max_size:
            rows = rows[: max(0, max_size - len(special_tokens.NAMES) - len(kept))]
        rows = sorted(rows + [(-count, token) for token, count in kept.items()])
        tokens = (*special_tokens.NAMES, *(token for _, token in rows))
        return cls(tokens, (*[0] * len(special_tokens.NAMES), *(-count for count, _ in rows)))

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Load a `vocab.tsv`.

        Raises:
            DataError: The file is missing or not text.
            FormatError: It is not a vocabulary; the message contains the line.
        """
        if path.exists() and not path.is_file():
            raise FormatError(f"{path} is not a vocabulary", "it is not a regular file", path=path)
        tokens: list[str] = []
        counts: list[int] = []
        for number, line in enumerate(read_lines(path, MAX_ENTRY_BYTES), start=1):
            token, count = _parse_entry(line, path, number)
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
        options: JsonMapping | None = None,
        inputs: Mapping[str, str] | None = None,
        facts: JsonMapping | None = None,
    ) -> None:
        """Write `vocab.tsv` and its manifest.

        Args:
            path: The file.
            options: The resolved options of the command.
            inputs: sha256 of each token file by name, identity of the `tokenizer`.
            facts: Further facts, such as the coverage.

        Raises:
            ArtefactError: The file cannot be written.
            FormatError: `load` would reject an entry; the message contains its line. Nothing is written.
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
        """Id of each ordinary token. The special tokens are left out: no text is one of them."""
        first = len(special_tokens.NAMES)
        return {token: id for id, token in enumerate(self.tokens[first:], start=first)}

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Map tokens to ids; unknown tokens to UNK. Neither BOS nor EOS is added."""
        get = self.ids.get
        return [get(token, special_tokens.UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Map ids to tokens; special tokens to their names."""
        return [self.tokens[id] for id in ids]


def read_vocabulary_manifest(path: Path) -> manifest.Manifest:
    """Read the manifest of a vocabulary file and check the file.

    Raises:
        DataError: The file or its manifest is missing.
        ArtefactError: The file is another kind of artifact.
        FormatError: The manifest is damaged or of a newer version, or the vocabulary has changed since.
    """
    meta = manifest.read(path, KIND, VERSION)
    if mismatches := manifest.find_mismatches(path):
        raise FormatError(
            f"the vocabulary {path} is damaged", *mismatches, hint="create it again with `rnnkit vocab`", path=path
        )
    return meta


def _parse_entry(line: str, path: Path, number: int) -> tuple[str, int]:
    token, tab, count = line.partition("\t")
    if not tab:
        raise FormatError(
            f"{path}:{number}: no tab", "the format of a line is `token<TAB>count`", path=path, line=number
        )
    if not re.fullmatch(r"[0-9]{1,18}", count):
        raise FormatError(f"{path}:{number}: the count {count!r} is not an integer", path=path, line=number)
    return token, int(count)


def _check(tokens: Sequence[str], path: Path) -> None:
    """Check all entries. Reading and writing share this check, so they agree."""
    lines: dict[str, int] = {}
    for number, token in enumerate(tokens, start=1):
        if not token or _FORBIDDEN.search(token):
            shown = repr(token if len(token) <= 60 else token[:57] + "...")
            raise FormatError(
                f"{path}:{number}: {shown} cannot be a token",
                "a token is not empty and contains no white space",
                path=path,
                line=number,
            )
        if 4 * len(token) > _MAX_TOKEN_BYTES and len(token.encode()) > _MAX_TOKEN_BYTES:
            raise FormatError(
                f"{path}:{number}: the token is longer than {_MAX_TOKEN_BYTES:,} bytes", path=path, line=number
            )
        if number <= len(special_tokens.NAMES):
            _check_special(token, number, path)
        elif lines.setdefault(token, number) != number:
            raise FormatError(
                f"{path}:{number}: duplicate token {token!r}",
                f"it is already on line {lines[token]}",
                path=path,
                line=number,
            )
    if len(tokens) < len(special_tokens.NAMES):
        raise FormatError(
            f"{path} is not a vocabulary", f"it has {len(tokens)} entries; the special tokens are 4", path=path
        )


def _check_special(token: str, number: int, path: Path) -> None:
    expected = special_tokens.NAMES[number - 1]
    if token != expected:
        raise FormatError(
            f"{path}:{number}: {expected} is missing",
            f"a vocabulary begins with {' '.join(special_tokens.NAMES)}; found {token!r}",
            hint="`rnnkit vocab FILE…` builds a vocabulary from token files",
            path=path,
            line=number,
        )
