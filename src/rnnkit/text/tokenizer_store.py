"""Tokenizers on disk: a directory with `meta.json` and, for SentencePiece models, `model.spm`."""

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
from rnnkit.text.rule_based_tokenizers import (
    ByteTokenizer,
    CharacterTokenizer,
    KenLMTokenizer,
    WhitespaceTokenizer,
    WordTokenizer,
)
from rnnkit.text.subword_tokenizer import SubwordTokenizer
from rnnkit.text.tokenizer import FeaturedTokenizer, Tokenizer
from rnnkit.text.unicode import FORMS, NONE, Normalizer

KIND: Final = "tokenizer"
VERSION: Final = 1
MODEL: Final = "model.spm"

_MAX_MODEL_BYTES: Final = 1 << 28
"""Maximum size of a SentencePiece model; one with a million pieces has about 30 million bytes."""

RULE_BASED_TOKENIZERS: Final[
    Mapping[str, type[WordTokenizer | WhitespaceTokenizer | CharacterTokenizer | ByteTokenizer]]
] = {
    kind: tokenizer
    for tokenizer in (WordTokenizer, WhitespaceTokenizer, CharacterTokenizer, ByteTokenizer)
    for kind in tokenizer.kinds
}
"""Kinds that need no training."""

IMPORTED_TOKENIZERS: Final[Mapping[str, type[KenLMTokenizer]]] = dict.fromkeys(KenLMTokenizer.kinds, KenLMTokenizer)
"""Kinds that only imported models have: `rnnkit tokenize` does not create them."""

SUBWORD_KINDS: Final = SubwordTokenizer.kinds
"""Kinds that are trained on text."""

FLAGS = {"normalise": "--normalize"}
"""Settings that the file format spells otherwise than the option."""


def save_tokenizer(
    tokenizer: Tokenizer,
    folder: Path,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write the directory of a tokenizer, replacing an existing one.

    Args:
        tokenizer: The tokenizer.
        folder: Its directory.
        inputs: sha256 of its training texts, by file name.
        facts: Further facts about its training.

    Raises:
        ArtefactError: The directory cannot be written.
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
    """Write the directory of a tokenizer under a temporary name; rename it when the block ends without an error.

    Args:
        tokenizer: The tokenizer.
        folder: Its final directory.
        inputs: As for `save_tokenizer`.
        facts: As for `save_tokenizer`.

    Yields:
        The temporary directory, which can be loaded.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    with atomic_directory(folder, KIND) as partial:
        names = []
        inner = tokenizer.text_tokenizer if isinstance(tokenizer, FeaturedTokenizer) else tokenizer
        if isinstance(inner, SubwordTokenizer):
            (partial / MODEL).write_bytes(inner.model)
            names.append(MODEL)
        files = manifest.describe_files(partial, names)
        meta = manifest.Manifest(KIND, VERSION, tokenizer.options, inputs or {}, files, facts or {})
        manifest.write(partial / manifest.NAME, meta)
        yield partial


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer.

    Raises:
        DataError: There is no tokenizer at `folder`.
        ArtefactError: The directory contains another kind of artifact.
        FormatError: It is damaged or of a newer version.
    """
    meta = manifest.read(folder, KIND, VERSION)
    kind, form, lowercase = (meta.options.get(name) for name in ("type", "normalise", "lowercase"))
    features = meta.options.get("features", False)  # absent in directories without features
    exact = meta.options.get("exact", False)
    known = (
        kind in (*RULE_BASED_TOKENIZERS, *IMPORTED_TOKENIZERS, *SUBWORD_KINDS)
        and isinstance(features, bool)
        and (exact is False or form == NONE)
    )
    if not known or form not in FORMS or not isinstance(lowercase, bool):
        raise FormatError(
            f"{folder / manifest.NAME}: this version of rnnkit does not support the tokenizer",
            f"type {kind!r}, normalise {form!r}, lowercase {lowercase!r}, exact {exact!r}, features {features!r}",
            hint="install a newer rnnkit: `pip install --upgrade rnnkit`",
            path=folder / manifest.NAME,
        )
    text = _load_text(folder, str(kind), Normalizer(form, lowercase, exact is True))
    return FeaturedTokenizer(text) if features else text


def _load_text(folder: Path, kind: str, normalizer: Normalizer) -> Tokenizer:
    """Load the tokenizer of the text, without features."""
    if kind in RULE_BASED_TOKENIZERS:
        return RULE_BASED_TOKENIZERS[kind](normalizer)
    if kind in IMPORTED_TOKENIZERS:
        return IMPORTED_TOKENIZERS[kind](normalizer)
    if faults := manifest.find_mismatches(folder):
        raise FormatError(f"the tokenizer {folder} is damaged", *faults, hint="copy or create it again", path=folder)
    try:
        return SubwordTokenizer(kind, read_regular(folder / MODEL, _MAX_MODEL_BYTES), normalizer)
    except (OSError, ValueError, FormatError) as error:
        why = [error.what, *error.details] if isinstance(error, FormatError) else [str(error)]
        raise FormatError(
            f"{folder / MODEL} is damaged", *why, hint="copy or create it again", path=folder / MODEL
        ) from error


def load_compatible_tokenizer(folder: Path, requested: Mapping[str, object]) -> Tokenizer:
    """Load a tokenizer and check that it has the requested settings.

    Args:
        folder: Its directory.
        requested: Settings by name; None for any value.

    Raises:
        ArtefactError: A setting differs; the message contains both values. Also as `load_tokenizer`.
    """
    tokenizer = load_tokenizer(folder)
    for name, value in requested.items():
        actual = tokenizer.options.get(name)
        if value is None or value == actual or (value is False and actual is None):
            continue
        flag = FLAGS.get(name, f"--{name}")
        what = f"with {flag} {_shown(actual)}" if name in tokenizer.options else f"without {flag}"
        raise ArtefactError(
            f"the tokenizer {folder} was made {what}, not with {flag} {_shown(value)}",
            f"it is {tokenizer}",
            hint=f"omit {flag} to use it, --overwrite with train files to replace it, --work for another workspace",
            path=folder,
            option=flag,
        )
    return tokenizer


def read_tokenizer_identity(folder: Path) -> str:
    """Return the hash of the settings and the model of a tokenizer, equal in all copies. Raises as `load_tokenizer`."""
    meta = manifest.read(folder, KIND, VERSION)
    return _identity(meta.options, meta.files)


def _identity(options: Mapping[str, object], files: Mapping[str, Mapping[str, object]]) -> str:
    facts = {"options": dict(options), "files": {name: entry["sha256"] for name, entry in files.items()}}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
