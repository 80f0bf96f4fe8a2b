"""What the name of a corpus file says: `train.de.gz` is the German side of the training part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from rnnkit.errors import ArtefactError, DataError
from rnnkit.io import atomic, manifest
from rnnkit.io.artifact_output import artifact_file
from rnnkit.io.safe_reading import open_regular
from rnnkit.text import lines
from rnnkit.text.lines import decode_text, line_too_long, read_lines

TRAIN: Final = "train"
VALID: Final = "valid"
TEST: Final = "test"
TOKEN_SUFFIX: Final = ".tok"
"""Last part of the name of a token file."""

DEFAULT_LANGUAGE: Final = "text"
"""Language of a file whose name has no ending."""

_SPLITS: Final = {
    "train": TRAIN,
    "valid": VALID,
    "validation": VALID,
    "val": VALID,
    "dev": VALID,
    "test": TEST,
}
# `test_2016` is a test part, `tests` and `training` are names of their own.
_SPLIT: Final = re.compile(rf"({'|'.join(sorted(_SPLITS, key=len, reverse=True))})(?![^\W\d_])")


@dataclass(frozen=True)
class CorpusName:
    """The parts of a name `STEM.LANGUAGE`, without `.gz` and `.tok`.

    Attributes:
        stem: Such as `train` or `test_2016_flickr`.
        language: Such as `de`; whatever the ending is.
        split: `train`, `valid` or `test` where the stem begins with a word for it, the stem itself otherwise.
    """

    stem: str
    language: str
    split: str

    @property
    def token_file(self) -> str:
        """Name of the file for its tokens."""
        return f"{self.stem}.{self.language}{TOKEN_SUFFIX}"


def parse_name(path: Path) -> CorpusName:
    """Take a file's name apart."""
    name = path.name.removesuffix(".gz").removesuffix(TOKEN_SUFFIX)
    stem, dot, language = name.rpartition(".")
    if not dot or not stem:
        stem, language = name, DEFAULT_LANGUAGE
    found = _SPLIT.match(stem)
    return CorpusName(stem, language or DEFAULT_LANGUAGE, _SPLITS[found[1]] if found else stem)


RAW_SUFFIX: Final = ".raw"
"""What follows the name of a token file in the name of its raw lines."""


def raw_lines_path(tokens: Path) -> Path:
    """Where the raw lines of a token file are."""
    return tokens.with_name(tokens.name + RAW_SUFFIX)


def encode_raw_lines(lines: Iterable[str]) -> bytes:
    """Lines as a file has them."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def read_raw_lines(path: Path) -> Iterator[str]:
    """The lines of a file of raw lines.

    Raises:
        DataError: The file is missing or cannot be read, or a line is not UTF-8 or too long.
    """
    try:
        with open_regular(path) as file:
            number = 0
            while raw := file.readline(lines.MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > lines.MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    raise line_too_long(str(path), number, lines.MAX_LINE_BYTES)
                yield decode_text(raw.removesuffix(b"\n"), str(path), number)
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error


KIND: Final = "tokens"
VERSION: Final = 1
MAX_TOKEN_LINE_BYTES: Final = 32 * lines.MAX_LINE_BYTES
"""Tokens take more room than their text: a byte is seven in a file of byte tokens, composing can triple it first."""


@dataclass(frozen=True)
class TokenFile:
    """A token file and what is known about it.

    Attributes:
        path: Where it is.
        split: `train`, `valid`, `test` or another name.
        language: Such as `de`.
        sha256: Of the file as it is now.
        tokenizer: Identity of the tokenizer that made it; None where it came from elsewhere.
        lines: Number of lines, where it is known.
        samples: Random segmentations of each line of text; 0 means the one best.
        features: Whether some of its tokens may be features (`text/tokenizers/features.py`).
        byte_fallback: Whether the tokenizer can write any byte as a token.
        raw: Where the raw lines are (`text/token_files.py`); None where none were kept.
    """

    path: Path
    split: str
    language: str
    sha256: str
    tokenizer: str | None = None
    lines: int | None = None
    samples: int = 0
    features: bool = False
    byte_fallback: bool = False
    raw: Path | None = None


def create_token_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a token file for writing bytes, whole or not at all; `write_meta` comes next."""
    return artifact_file(path, KIND, VERSION, "wb")


def create_raw_lines(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open the file of a token file's raw lines, whole or not at all; it must be finished after the token file."""
    return atomic.atomic_file(raw_lines_path(path), "wb")


def check_raw_lines_replaceable(path: Path) -> None:
    """Refuse to replace raw lines that no token file's manifest stands beside: they are a file of the user.

    Args:
        path: The token file that will be written.

    Raises:
        ArtefactError: There is such a file.
    """
    raw = raw_lines_path(path)
    if raw.exists() and not manifest.manifest_path(path).exists():
        raise ArtefactError(
            f"{raw} was not written by rnnkit: it is not replaced",
            f"there is no {manifest.manifest_path(path).name} beside it that says so",
            hint="choose another --output, or remove the file yourself",
        )


def write_token_manifest(
    path: Path,
    *,
    options: Mapping[str, Any],
    inputs: Mapping[str, str],
    lines: int,
    tokens: int,
    samples: int,
    features: bool = False,
    byte_fallback: bool = False,
    raw: bool = False,
) -> None:
    """Write the manifest beside a token file.

    Args:
        path: The token file, finished.
        options: The resolved options of the command.
        inputs: sha256 of the `text`, identity of the `tokenizer`.
        lines: Lines in the file.
        tokens: Tokens in the file.
        samples: Random segmentations of each line; 0 means the one best.
        features: Whether the tokenizer has features.
        byte_fallback: Whether the tokenizer can write any byte as a token.
        raw: Whether raw lines were written beside it.
    """
    name = parse_name(path)
    facts = {
        "split": name.split,
        "language": name.language,
        "lines": lines,
        "tokens": tokens,
        "samples": samples,
        "features": features,
        "byte_fallback": byte_fallback,
    }
    if not atomic.is_stream(path):
        files = manifest.describe_files(path.parent, [path.name, *([raw_lines_path(path).name] if raw else [])])
        manifest.write(manifest.manifest_path(path), manifest.Manifest(KIND, VERSION, options, inputs, files, facts))


def open_token_file(path: Path) -> TokenFile:
    """Look at a token file and at its manifest, if it has one.

    Raises:
        DataError: There is no such file.
        ArtefactError: The file has changed since its manifest was written, or is of another kind.
        FormatError: The manifest is damaged or newer.
    """
    if not path.is_file():
        raise DataError(f"there is no token file {path}", hint="`rnnkit tokenize FILE…` makes token files")
    name = parse_name(path)
    sha256 = manifest.sha256(path)
    if not manifest.manifest_path(path).exists():
        return TokenFile(path, name.split, name.language, sha256)
    meta = manifest.read(path, KIND, VERSION)
    if meta.files.get(path.name, {}).get("sha256") != sha256:
        raise ArtefactError(
            f"{path} has changed since `rnnkit tokenize` wrote it",
            f"its sha256 is not the one in {manifest.manifest_path(path).name}",
            hint=f"make it again; if the change was meant, delete {manifest.manifest_path(path)}",
        )
    facts = meta.facts
    raw = raw_lines_path(path)
    kept = raw.name in meta.files and raw.is_file()
    if kept and meta.files[raw.name]["sha256"] != manifest.sha256(raw):
        raise ArtefactError(
            f"{raw} has changed since `rnnkit tokenize` wrote it",
            f"its sha256 is not the one in {manifest.manifest_path(path).name}",
            hint="tokenize the text again with --overwrite",
        )
    return TokenFile(
        path,
        str(facts.get("split", name.split)),
        str(facts.get("language", name.language)),
        sha256,
        meta.inputs.get("tokenizer"),
        facts.get("lines"),
        int(facts.get("samples", 0)),
        bool(facts.get("features", False)),
        bool(facts.get("byte_fallback", False)),
        raw if kept else None,
    )


def read_token_lines(path: Path) -> Iterator[str]:
    """The lines of a token file. Raises as `read_lines`."""
    return read_lines(path, MAX_TOKEN_LINE_BYTES)


def find_token_files(folder: Path) -> list[Path]:
    """The token files of a folder, by name. None where there is no such folder."""
    return sorted(path for path in folder.glob(f"*{TOKEN_SUFFIX}") if path.is_file() and not path.name.startswith("."))


def common_tokenizer(files: Iterable[TokenFile]) -> str | None:
    """Identity of the one tokenizer that made all these files; None where they came from elsewhere.

    Raises:
        ArtefactError: Different tokenizers made them; the message names two.
    """
    known: Sequence[TokenFile] = list(files)
    for file in known[1:]:
        if file.tokenizer != known[0].tokenizer:
            raise ArtefactError(
                "token files of different tokenizers do not go together",
                f"{known[0].path}: {describe_tokenizer(known[0].tokenizer)}",
                f"{file.path}: {describe_tokenizer(file.tokenizer)}",
                hint="tokenize all of them with one tokenizer, in one command or into one workspace",
            )
    return known[0].tokenizer if known else None


def describe_tokenizer(identity: str | None) -> str:
    """A tokenizer's identity as messages show it."""
    return f"tokenizer {identity[:12]}" if identity else "no tokenizer of rnnkit"
