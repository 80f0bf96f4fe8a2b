"""`rnnkit tokenize --merge`: join the token files of all shards into those that one run would have written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from rnnkit.errors import ArtefactError, UsageError
from rnnkit.events import Listener, Progress
from rnnkit.io import lock
from rnnkit.io.manifest import Manifest
from rnnkit.stages.outputs import check_output_file
from rnnkit.stages.text.tokenize_options import (
    TokenizedFile,
    TokenizeOptions,
    TokenizeResult,
    token_folder,
    tokenizer_folder,
)
from rnnkit.text import parallel_processing, token_files
from rnnkit.text.subword_training import check_not_empty
from rnnkit.text.tokenizer_store import load_tokenizer


def merge(options: TokenizeOptions, listen: Listener) -> TokenizeResult:
    """Join every token file of the shards.

    Raises:
        UsageError: The options name text files.
        DataError: There are no shards, one is missing, or a text has no tokens.
        ArtefactError: The shards do not belong together, or a token file already exists.
    """
    if options.files:
        raise UsageError("--merge joins the output of shards and takes no text files", option="--merge")
    folder = token_folder(options)
    found = parallel_processing.find_shards(folder)
    targets = [folder / name for name in _common_names(found)]
    for target in targets:
        check_output_file(options, target, token_files.KIND)
        check_output_file(options, token_files.raw_lines_path(target))
        token_files.check_raw_lines_replaceable(target)
    tokenizer = load_tokenizer(tokenizer_folder(options))
    with lock.lock_directory(folder):
        merged = []
        with ExitStack() as outputs:
            for done, target in enumerate(targets, start=1):
                merged.append(_merge_file(target, [shard / target.name for shard in found], outputs))
                listen(Progress("merge", done, len(targets), "files", finished=done == len(targets)))
        for metas, written in merged:
            _write_manifest(metas, written)
    return TokenizeResult(tokenizer_folder(options), tokenizer.options, False, tuple(written for _, written in merged))


def _merge_file(target: Path, parts: Sequence[Path], outputs: ExitStack) -> tuple[list[Manifest], TokenizedFile]:
    """Join one token file and its raw lines; `outputs` completes the files. Also returns the shards' manifests."""
    metas = parallel_processing.read_shard_manifests(parts, token_files.KIND, token_files.VERSION)
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


def _common_names(found: Sequence[Path]) -> list[str]:
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


def _write_manifest(metas: Sequence[Manifest], written: TokenizedFile) -> None:
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
