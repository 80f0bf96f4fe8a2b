"""Token files: their names, their manifests, and the raw lines kept beside them.

`train.de.gz` is the German side of the train split, `train.de.tok` contains its tokens, one line per line of text. A
token file from elsewhere has no manifest and is used as it is: any run of white space separates tokens.

`train.de.tok.raw` contains the raw lines of held-out text, against which the output of a model is evaluated. Each line
is as the line reader returned it, followed by LF, and is read back unchanged, including a CR or a byte order mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from rnnkit.errors import ArtefactError, DataError
from rnnkit.io import atomic, manifest
from rnnkit.io.artifact_output import artifact_file
from rnnkit.io.safe_reading import open_regular
from rnnkit.json_types import JsonMapping
from rnnkit.text import lines
from rnnkit.text.lines import decode_text, line_too_long, read_lines

TRAIN: Final = "train"
VALID: Final = "valid"
TEST: Final = "test"
KIND: Final = "tokens"
VERSION: Final = 1

TOKEN_SUFFIX: Final = ".tok"
"""Suffix of a token file."""

RAW_SUFFIX: Final = ".raw"
"""Suffix that follows the name of a token file in the name of its raw lines."""

DEFAULT_LANGUAGE: Final = "text"
"""Language of a file whose name has no suffix."""

MAX_TOKEN_LINE_BYTES: Final = 32 * lines.MAX_LINE_BYTES
"""Maximum length of a line of tokens: a byte token has seven bytes, and composition can triple the text first."""

_SPLITS: Final = {
    "train": TRAIN,
    "valid": VALID,
    "validation": VALID,
    "val": VALID,
    "dev": VALID,
    "test": TEST,
}
# `test_2016` is a test split; `tests` and `training` are not splits.
_SPLIT: Final = re.compile(rf"({'|'.join(sorted(_SPLITS, key=len, reverse=True))})(?![^\W\d_])")
_COMPRESSION_SUFFIX: Final = re.compile(r"\.(gz|bz2|xz)$")


@dataclass(frozen=True)
class CorpusName:
    """The parts of a name `STEM.LANGUAGE`, without suffixes of compression and of token files.

    Attributes:
        stem: Such as `train` or `test_2016_flickr`.
        language: The suffix, such as `de`.
        split: `train`, `valid` or `test` if the stem begins with the name of a split, otherwise the stem.
    """

    stem: str
    language: str
    split: str

    @property
    def token_file(self) -> str:
        """Name of the token file."""
        return f"{self.stem}.{self.language}{TOKEN_SUFFIX}"


def parse_name(path: Path) -> CorpusName:
    """Parse the name of a corpus file."""
    name = _COMPRESSION_SUFFIX.sub("", path.name).removesuffix(TOKEN_SUFFIX)
    stem, dot, language = name.rpartition(".")
    if not dot or not stem:
        stem, language = name, DEFAULT_LANGUAGE
    found = _SPLIT.match(stem)
    return CorpusName(stem, language or DEFAULT_LANGUAGE, _SPLITS[found[1]] if found else stem)


@dataclass(frozen=True)
class TokenFile:
    """A token file with the facts of its manifest.

    Attributes:
        path: The file.
        split: `train`, `valid`, `test` or another name.
        language: Such as `de`.
        sha256: Current checksum of the file.
        tokenizer: Identity of its tokenizer; None for a file from elsewhere.
        lines: Number of lines, if known.
        samples: Sampled segmentations of each line of text; 0 means the single best segmentation.
        features: Whether tokens may be features (`text/tokenizer.py`).
        byte_fallback: Whether the tokenizer can encode any byte as a token.
        raw: Path of the raw lines; None if none were kept.
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


@dataclass(frozen=True)
class TokenFileContents:
    """What a token file contains, as its manifest records it.

    Attributes:
        lines: Lines in the file.
        tokens: Tokens in the file.
        samples: Sampled segmentations of each line of text; 0 means the single best segmentation.
        features: Whether the tokenizer has features.
        byte_fallback: Whether the tokenizer can encode any byte as a token.
    """

    lines: int
    tokens: int
    samples: int
    features: bool = False
    byte_fallback: bool = False


def create_token_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a token file for an atomic write of bytes; `write_token_manifest` follows."""
    return artifact_file(path, KIND, VERSION, "wb")


def create_raw_lines(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open the raw lines of a token file for an atomic write; the token file must be finished first."""
    return atomic.atomic_file(raw_lines_path(path), "wb")


def raw_lines_path(tokens: Path) -> Path:
    """Return the path of the raw lines of a token file."""
    return tokens.with_name(tokens.name + RAW_SUFFIX)


def encode_raw_lines(raw_lines: Iterable[str]) -> bytes:
    """Return raw lines as the content of a file."""
    return "".join(f"{line}\n" for line in raw_lines).encode("utf-8")


def read_raw_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file of raw lines.

    Raises:
        DataError: The file is missing or unreadable, or a line is not UTF-8 or too long.
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
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error


def check_raw_lines_replaceable(path: Path) -> None:
    """Check that a raw-lines file to be replaced belongs to a token file of rnnkit and not to the user.

    Args:
        path: The token file to be written.

    Raises:
        ArtefactError: There is a raw-lines file without a manifest of its token file.
    """
    raw = raw_lines_path(path)
    if raw.exists() and not manifest.manifest_path(path).exists():
        raise ArtefactError(
            f"{raw} was not written by rnnkit: it is not replaced",
            f"its manifest {manifest.manifest_path(path).name} does not exist",
            hint="choose another --output, or remove the file yourself",
            path=raw,
            option="--output",
        )


def write_token_manifest(
    path: Path,
    contents: TokenFileContents,
    *,
    options: JsonMapping,
    inputs: Mapping[str, str],
    raw: bool = False,
) -> None:
    """Write the manifest beside a token file.

    Args:
        path: The finished token file.
        contents: What it contains.
        options: The resolved options of the command.
        inputs: sha256 of the `text`, identity of the `tokenizer`.
        raw: Whether raw lines were written, too.
    """
    if atomic.is_stream(path):
        return
    name = parse_name(path)
    facts = {"split": name.split, "language": name.language, **asdict(contents)}
    files = manifest.describe_files(path.parent, [path.name, *([raw_lines_path(path).name] if raw else [])])
    manifest.write(manifest.manifest_path(path), manifest.Manifest(KIND, VERSION, options, inputs, files, facts))


def open_token_file(path: Path) -> TokenFile:
    """Check a token file and read its manifest, if any.

    Raises:
        DataError: The file does not exist.
        ArtefactError: The file or its raw lines have changed since the manifest was written, or its kind differs.
        FormatError: The manifest is damaged or of a newer version.
    """
    if not path.is_file():
        raise DataError(f"there is no token file {path}", hint="`rnnkit tokenize FILE…` creates token files", path=path)
    name = parse_name(path)
    sha256 = manifest.sha256(path)
    if not manifest.manifest_path(path).exists():
        return TokenFile(path, name.split, name.language, sha256)
    meta = manifest.read(path, KIND, VERSION)
    if meta.files.get(path.name, {}).get("sha256") != sha256:
        raise ArtefactError(
            f"{path} has changed since `rnnkit tokenize` wrote it",
            f"sha256 mismatch with {manifest.manifest_path(path).name}",
            hint=f"create it again; if the change is intended, delete {manifest.manifest_path(path)}",
            path=path,
        )
    facts = meta.facts
    raw = raw_lines_path(path)
    kept = raw.name in meta.files and raw.is_file()
    if kept and meta.files[raw.name]["sha256"] != manifest.sha256(raw):
        raise ArtefactError(
            f"{raw} has changed since `rnnkit tokenize` wrote it",
            f"sha256 mismatch with {manifest.manifest_path(path).name}",
            hint="tokenize the text again with --overwrite",
            path=raw,
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
    """Yield the lines of a token file. Raises as `read_lines`."""
    return read_lines(path, MAX_TOKEN_LINE_BYTES)


def find_token_files(folder: Path) -> list[Path]:
    """Return the token files of a directory, sorted by name; an empty list if it does not exist."""
    return sorted(path for path in folder.glob(f"*{TOKEN_SUFFIX}") if path.is_file() and not path.name.startswith("."))


def common_tokenizer(files: Iterable[TokenFile]) -> str | None:
    """Return the identity of the tokenizer that all files have in common; None if they are from elsewhere.

    Raises:
        ArtefactError: The files have different tokenizers; the message contains two of them.
    """
    known: Sequence[TokenFile] = list(files)
    for file in known[1:]:
        if file.tokenizer != known[0].tokenizer:
            raise ArtefactError(
                "token files of different tokenizers are incompatible",
                f"{known[0].path}: {describe_tokenizer(known[0].tokenizer)}",
                f"{file.path}: {describe_tokenizer(file.tokenizer)}",
                hint="tokenize all of them with one tokenizer, in one command or into one workspace",
                path=file.path,
            )
    return known[0].tokenizer if known else None


def describe_tokenizer(identity: str | None) -> str:
    """Return the identity of a tokenizer for messages."""
    return f"tokenizer {identity[:12]}" if identity else "no tokenizer of rnnkit"
