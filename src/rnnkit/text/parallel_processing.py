"""Parallel processing of a corpus: shards for several machines and how they are joined, and work for processes.

Shard I of N has the lines from (I - 1) / N to I / N of every file, so shards of both sides match. The name of its
output is that of the whole with `.I-of-N` inserted: `data.2-of-8`, `vocab.2-of-8.tsv`.

A worker process tokenizes blocks of text, or counts tokens (`system/workers.py`).
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.io.manifest import Manifest
from rnnkit.json_types import JsonObject
from rnnkit.options.record import as_dict
from rnnkit.text import token_files
from rnnkit.text.blocks import LineBlock
from rnnkit.text.subword_training import check_not_empty
from rnnkit.text.token_files import MAX_TOKEN_LINE_BYTES
from rnnkit.text.tokenizer_store import load_tokenizer

UNRECORDED_OPTIONS: Final = ("processes", "shard", "merge")
"""Options that distribute the work without effect on the result; manifests do not record them."""

_MACHINE_OPTIONS: Final = {
    *("files", "work", "output", "model", "vocab", "tokenizer", "threads", "overwrite", "train", "valid", "test")
}
"""Options that may differ between shards: paths, whose inputs are compared by checksum, and machine settings."""


@dataclass(frozen=True)
class Shard:
    """Shard `number` (from 1) of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None) -> Shard | None:
        """Parse `I/N`; None for None. Raises UsageError."""
        if text is None:
            return None
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        shard = cls(int(found[1]), int(found[2])) if found else None
        if shard is None or not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard expects I/N with I from 1 to N, such as 2/8, got {text!r}", option="--shard")
        return shard

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def line_range(self, lines: int) -> tuple[int, int]:
        """Return its half-open range of line indices, from 0, in a file with this number of lines."""
        return lines * (self.number - 1) // self.count, lines * self.number // self.count

    def path_of(self, whole: Path) -> Path:
        """Return the path of its part of an artifact."""
        return whole.with_name(f"{whole.stem}.{self}{whole.suffix}")


def recorded_options(options: object) -> JsonObject:
    """Return the options of a stage that its manifests record."""
    return {name: value for name, value in as_dict(options).items() if name not in UNRECORDED_OPTIONS}


def parse_shard(shard: str | None, merge: bool) -> Shard | None:
    """Return the shard of the options `--shard` and `--merge`. Raises UsageError if both are given."""
    if shard is not None and merge:
        raise UsageError("--shard creates a part and --merge joins the parts: use one of them", option="--shard")
    return Shard.parse(shard)


def find_shards(whole: Path) -> list[Path]:
    """Return the paths of the shards of an artifact, in order.

    Raises:
        DataError: There are none, or one is missing.
        ArtefactError: Shards with different N exist.
    """
    pattern = re.compile(re.escape(whole.stem) + r"\.([0-9]+)-of-([0-9]+)" + re.escape(whole.suffix))
    folder = whole.parent
    found = {
        Shard(int(match[1]), int(match[2])): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := pattern.fullmatch(path.name))
    }
    counts = sorted({shard.count for shard in found})
    if not found:
        raise DataError(
            f"there are no shards of {whole}",
            f"{Shard(1, 2).path_of(whole)} would be the first of two",
            hint="--shard I/N creates them",
            path=whole,
        )
    if len(counts) > 1:
        raise ArtefactError(
            f"there are shards of {whole} of {' and of '.join(map(str, counts))}",
            hint="remove the outdated ones",
            path=whole,
        )
    expected = [Shard(number, counts[0]) for number in range(1, counts[0] + 1)]
    if missing := [shard for shard in expected if shard not in found]:
        others = f", and {len(missing) - 1} more" if missing[1:] else ""
        raise DataError(
            f"there is no {missing[0].path_of(whole)}{others}",
            f"{len(found)} of {counts[0]} shards exist",
            hint=f"run the command with --shard {missing[0].number}/{counts[0]}",
            path=missing[0].path_of(whole),
        )
    return [found[shard] for shard in expected]


def read_shard_manifests(shards: Sequence[Path], kind: str, version: int) -> list[manifest.Manifest]:
    """Read the manifests of shards and check that they are intact and have the same inputs and options.

    Raises:
        ArtefactError: A shard is damaged, or two are incompatible; the message contains both.
    """
    metas = []
    for path in shards:
        metas.append(manifest.read(path, kind, version))
        if mismatches := manifest.find_mismatches(path):
            raise ArtefactError(f"the shard {path} is damaged", *mismatches, hint="create it again", path=path)
        first, last = metas[0], metas[-1]
        differing = sorted(
            name
            for name in {*first.options, *last.options} - _MACHINE_OPTIONS
            if first.options.get(name) != last.options.get(name)
        )
        if first.inputs != last.inputs or differing:
            why = f"--{differing[0]} differs" if differing else "their inputs differ"
            raise ArtefactError(
                f"the shards {shards[0]} and {path} are incompatible", why, hint="create one of them again", path=path
            )
    return metas


@dataclass(frozen=True)
class SamplingBatch:
    """Lines whose segmentations are sampled together.

    Attributes:
        lines: The lines.
        seed: Seed of the samples.
    """

    lines: list[str]
    seed: int


@dataclass(frozen=True)
class TokenizedBlock:
    """Consecutive lines of a token file.

    Attributes:
        text: UTF-8, each line with its end.
        text_lines: Lines of raw text.
        lines: Lines of the token file; several for each line of text if segmentations are sampled.
        tokens: Tokens in them.
    """

    text: bytes
    text_lines: int
    lines: int
    tokens: int


class TokenizeWorker:
    """Tokenizes blocks of lines, or samples segmentations of batches of lines.

    Args:
        tokenizer: Directory of the tokenizer.
        threads: Threads of SentencePiece; -1 is one per core.
        samples: Segmentations of each line of a batch.
        alpha: As in `SubwordTokenizer.sample_batch`.
    """

    def __init__(self, tokenizer: Path, threads: int = 1, samples: int = 0, alpha: float = 0.0) -> None:
        self._tokenizer = load_tokenizer(tokenizer)
        self._threads = threads
        self._samples = samples
        self._alpha = alpha

    def process(self, item: LineBlock | SamplingBatch) -> TokenizedBlock:
        """Tokenize a block or batch. Raises DataError if it is not text or its features are malformed."""
        if isinstance(item, LineBlock):
            lines = self._decode(item)
            rows = self._tokenizer.tokenize_to_lines(lines, self._threads)
        else:
            lines, rows = item.lines, self._sample(item)
        text = "\n".join(rows) + "\n"
        tokens = text.count(" ") + len(rows) - rows.count("")
        return TokenizedBlock(text.encode("utf-8"), len(lines), len(rows), tokens)

    def finish(self) -> None:
        """Do nothing: there is no result beyond the blocks."""

    def _decode(self, block: LineBlock) -> list[str]:
        """Return the lines of a block; malformed features are reported by file and line."""
        lines = block.decode()
        if self._tokenizer.features:
            for number, line in enumerate(lines, start=block.first_line):
                self._tokenizer.split_features(line, f"{block.path}:{number}")
        return lines

    def _sample(self, batch: SamplingBatch) -> list[str]:
        rows = self._tokenizer.sample_batch(batch.lines, self._samples, self._alpha, batch.seed)
        return [" ".join(row) for row in rows]


@dataclass(frozen=True)
class TokenCount:
    """Size of a block that was counted."""

    lines: int
    tokens: int


class TokenCounter:
    """Counts the tokens of blocks; the counts are sent once, at the end."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def process(self, block: LineBlock) -> TokenCount:
        """Count the tokens of a block. Raises DataError if it is not text."""
        tokens = " ".join(block.decode(MAX_TOKEN_LINE_BYTES)).split()
        self._counts.update(tokens)
        return TokenCount(block.lines, len(tokens))

    def finish(self) -> Counter[str]:
        """Return the counts over all blocks."""
        return self._counts


@dataclass(frozen=True)
class TokenizedFile:
    """A token file that was written."""

    path: Path
    lines: int
    tokens: int


def merge_token_file(target: Path, parts: Sequence[Path], outputs: ExitStack) -> tuple[list[Manifest], TokenizedFile]:
    """Join one token file and its raw lines; `outputs` completes the files. Also returns the shards' manifests."""
    metas = read_shard_manifests(parts, token_files.KIND, token_files.VERSION)
    raw = outputs.enter_context(token_files.create_raw_lines(target)) if _has_raw(metas) else None
    output = outputs.enter_context(token_files.create_token_file(target))
    lines, tokens = (sum(int(meta.facts[name]) for meta in metas) for name in ("lines", "tokens"))
    check_not_empty(target, lines, tokens)
    _concatenate(parts, output)
    if raw is not None:
        _concatenate([token_files.raw_lines_path(part) for part in parts], raw)
    return metas, TokenizedFile(target, lines, tokens)


def _concatenate(parts: Sequence[Path], output: IO[bytes]) -> None:
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, output, 1 << 20)


def _has_raw(metas: Sequence[Manifest]) -> bool:
    """Return whether every shard of a token file has its raw lines."""
    return all(any(name.endswith(token_files.RAW_SUFFIX) for name in meta.files) for meta in metas)


def common_token_files(found: Sequence[Path]) -> list[str]:
    """Return the names of the token files. Raises ArtefactError if the shards have different ones."""
    names = [sorted(path.name for path in token_files.find_token_files(shard)) for shard in found]
    for shard, others in zip(found, names, strict=True):
        if others != names[0]:
            differing = sorted({*others} ^ {*names[0]})
            raise ArtefactError(
                f"{found[0]} and {shard} have different token files",
                f"only one of them has {differing[0]}",
                hint="tokenize the same files in all shards",
                path=shard,
            )
    return names[0]


def write_merged_manifest(metas: Sequence[Manifest], written: TokenizedFile) -> None:
    """Write the manifest of a joined token file, given those of the shards."""
    first = metas[0]
    contents = token_files.TokenFileContents(
        written.lines,
        written.tokens,
        samples=int(first.facts["samples"]),
        features=bool(first.facts["features"]),
        byte_fallback=bool(first.facts.get("byte_fallback", False)),
    )
    token_files.write_token_manifest(
        written.path, contents, options=first.options, inputs=first.inputs, raw=_has_raw(metas)
    )
