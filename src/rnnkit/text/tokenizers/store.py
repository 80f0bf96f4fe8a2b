"""Tokenizers on disk: a folder with `meta.json` and, for SentencePiece's kinds, `model.spm`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rnnkit.errors import ArtefactError, FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import atomic_directory
from rnnkit.io.safe_reading import read_regular
from rnnkit.text.normalizer import FORMS, NONE, Normalizer
from rnnkit.text.tokenizers.features import FeaturedTokenizer
from rnnkit.text.tokenizers.simple_tokenizers import (
    ByteTokenizer,
    CharacterTokenizer,
    KenLMTokenizer,
    WhitespaceTokenizer,
)
from rnnkit.text.tokenizers.subword_tokenizer import SubwordTokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer
from rnnkit.text.tokenizers.word_tokenizer import WordTokenizer

KIND: Final = "tokenizer"
VERSION: Final = 1
MODEL: Final = "model.spm"

_LARGEST_MODEL: Final = 1 << 28
"""Bytes of the largest SentencePiece model that is read; one of a million pieces has some 30 million."""

RULE_BASED_TOKENIZERS: Final[
    Mapping[str, type[WordTokenizer | WhitespaceTokenizer | CharacterTokenizer | ByteTokenizer]]
] = {
    kind: tokenizer
    for tokenizer in (WordTokenizer, WhitespaceTokenizer, CharacterTokenizer, ByteTokenizer)
    for kind in tokenizer.kinds
}
"""The kinds that need no text to learn from."""

IMPORTED_TOKENIZERS: Final[Mapping[str, type[KenLMTokenizer]]] = dict.fromkeys(KenLMTokenizer.kinds, KenLMTokenizer)
"""The kinds that only imported models have: `rnnkit tokenize` does not make them."""

SUBWORD_KINDS: Final = SubwordTokenizer.kinds
"""The kinds that do."""


def save_tokenizer(
    tokenizer: Tokenizer,
    folder: Path,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write a tokenizer's folder, in place of one that is there.

    Args:
        tokenizer: What to save.
        folder: Where.
        inputs: sha256 of the texts it learned from, by file name.
        facts: What else is worth keeping about how it learned.

    Raises:
        ArtefactError: The folder cannot be written.
    """
    with staged_tokenizer(tokenizer, folder, inputs, facts):
        pass


@contextmanager
def staged_tokenizer(
    tokenizer: Tokenizer,
    folder: Path,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, object] | None = None,
) -> Iterator[Path]:
    """Write a tokenizer's folder that takes its place when the block ends without an error.

    Args:
        tokenizer: What to save.
        folder: Where it will be.
        inputs: As for `save_tokenizer`.
        facts: As for `save_tokenizer`.

    Yields:
        Where it is meanwhile; it can be read there.

    Raises:
        ArtefactError: The folder cannot be written.
    """
    with atomic_directory(folder, KIND) as partial:
        names = []
        text = tokenizer.text if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
        if isinstance(text, SubwordTokenizer):
            (partial / MODEL).write_bytes(text.model)
            names.append(MODEL)
        files = manifest.describe_files(partial, names)
        meta = manifest.Manifest(KIND, VERSION, tokenizer.options, inputs or {}, files, facts or {})
        manifest.write(partial / manifest.NAME, meta)
        yield partial


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read a tokenizer's folder.

    Raises:
        DataError: There is none.
        ArtefactError: The folder is something else.
        FormatError: It is damaged, or of a newer version.
    """
    meta = manifest.read(folder, KIND, VERSION)
    kind, form, lowercase = (meta.options.get(name) for name in ("type", "normalise", "lowercase"))
    features = meta.options.get("features", False)  # which folders without them do not mention
    exact = meta.options.get("exact", False)
    known = (
        kind in (*RULE_BASED_TOKENIZERS, *IMPORTED_TOKENIZERS, *SUBWORD_KINDS)
        and isinstance(features, bool)
        and (exact is False or form == NONE)
    )
    if not known or form not in FORMS or not isinstance(lowercase, bool):
        raise FormatError(
            f"{folder / manifest.NAME}: this rnnkit knows no such tokenizer",
            f"type {kind!r}, normalise {form!r}, lowercase {lowercase!r}, exact {exact!r}, features {features!r}",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
        )
    text = _load_text(folder, str(kind), Normalizer(form, lowercase, exact is True))
    return FeaturedTokenizer(text) if features else text


def _load_text(folder: Path, kind: str, normalizer: Normalizer) -> Tokenizer:
    """What cuts a line's text."""
    if kind in RULE_BASED_TOKENIZERS:
        return RULE_BASED_TOKENIZERS[kind](normalizer)
    if kind in IMPORTED_TOKENIZERS:
        return IMPORTED_TOKENIZERS[kind](normalizer)
    if faults := manifest.find_mismatches(folder):
        raise FormatError(f"the tokenizer {folder} is damaged", *faults, hint="copy it again, or make it again")
    try:
        return SubwordTokenizer(kind, read_regular(folder / MODEL, _LARGEST_MODEL), normalizer)
    except (OSError, ValueError, FormatError) as error:
        why = [error.what, *error.details] if isinstance(error, FormatError) else [str(error)]
        raise FormatError(f"{folder / MODEL} is damaged", *why, hint="copy it again, or make it again") from error


def load_compatible_tokenizer(folder: Path, asked: Mapping[str, object]) -> Tokenizer:
    """Read a tokenizer's folder and refuse it where other settings were asked for.

    Args:
        folder: Where it is.
        asked: Settings by name; None where nothing was said.

    Raises:
        ArtefactError: It was made with another setting; the message says which.
        As `load_tokenizer`.
    """
    tokenizer = load_tokenizer(folder)
    for name, value in asked.items():
        made_with = tokenizer.options.get(name)
        if value is None or value == made_with or (value is False and made_with is None):
            continue
        what = f"with --{name} {_shown(made_with)}" if name in tokenizer.options else f"without --{name}"
        raise ArtefactError(
            f"the tokenizer {folder} was made {what}, not with --{name} {_shown(value)}",
            f"it is {tokenizer}",
            hint=f"leave --{name} out to use it, --overwrite with train files to replace it, --work for another place",
        )
    return tokenizer


def read_tokenizer_identity(folder: Path) -> str:
    """What tells a tokenizer's tokens from another's: the same wherever it was copied, whoever wrote it.

    Raises:
        As `load_tokenizer`.
    """
    meta = manifest.read(folder, KIND, VERSION)
    return _identity(meta.options, meta.files)


def _identity(options: Mapping[str, object], files: Mapping[str, Mapping[str, object]]) -> str:
    facts = {"options": dict(options), "files": {name: entry["sha256"] for name, entry in files.items()}}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
