"""`rnnkit tokenize --merge`: the token files of all shards joined to what one machine would have made."""

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
from rnnkit.stages.outputs import claim_file
from rnnkit.stages.text.tokenize_options import (
    Tokenized,
    TokenizeOptions,
    TokenizeResult,
    token_folder,
    tokenizer_folder,
)
from rnnkit.text import shards, token_files
from rnnkit.text.tokenizers.store import load_tokenizer
from rnnkit.text.tokenizers.subword_training import check_not_empty


def merge(options: TokenizeOptions, listen: Listener) -> TokenizeResult:
    """Join every token file of the shards.

    Raises:
        UsageError: Files were named.
        DataError: There are no shards, one is missing, or a text has no tokens.
        ArtefactError: The shards do not go together, or a token file already exists.
    """
    if options.files:
        raise UsageError("--merge joins what the shards have made, and takes no text")
    folder = token_folder(options)
    found = shards.find_shards(folder)
    names = _names(found)
    targets = [folder / name for name in names]
    for target in targets:
        claim_file(options, target, token_files.KIND)
        claim_file(options, token_files.raw_lines_path(target))
        token_files.check_raw_lines_replaceable(target)
    tokenizer = load_tokenizer(tokenizer_folder(options))
    with lock.lock_directory(folder):
        merged = []
        with ExitStack() as outputs:
            for done, target in enumerate(targets, start=1):
                parts = [shard / target.name for shard in found]
                metas = shards.read_shard_manifests(parts, token_files.KIND, token_files.VERSION)
                raw = outputs.enter_context(token_files.create_raw_lines(target)) if _has_raw(metas) else None
                output = outputs.enter_context(token_files.create_token_file(target))
                lines, tokens = (sum(int(meta.facts[name]) for meta in metas) for name in ("lines", "tokens"))
                check_not_empty(target, lines, tokens)
                merged.append((metas, Tokenized(target, lines, tokens)))
                _join(parts, output)
                if raw is not None:
                    _join([token_files.raw_lines_path(part) for part in parts], raw)
                listen(Progress("merge", done, len(targets), "files", finished=done == len(targets)))
        for metas, written in merged:
            _describe(metas, written)
    return TokenizeResult(tokenizer_folder(options), tokenizer.options, False, tuple(written for _, written in merged))


def _join(parts: Sequence[Path], output: IO[bytes]) -> None:
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, output, 1 << 20)


def _has_raw(metas: Sequence[Manifest]) -> bool:
    """Whether each shard of a token file has its raw lines."""
    return all(any(name.endswith(token_files.RAW_SUFFIX) for name in meta.files) for meta in metas)


def _names(found: list[Path]) -> list[str]:
    """Names of the token files, which all shards have."""
    names = [sorted(path.name for path in token_files.find_token_files(shard)) for shard in found]
    for shard, others in zip(found, names, strict=True):
        if others != names[0]:
            differing = sorted({*others} ^ {*names[0]})
            raise ArtefactError(
                f"{found[0]} and {shard} do not have the same token files",
                f"only one of them has {differing[0]}",
                hint="tokenize the same files in all shards",
            )
    return names[0]


def _describe(metas: Sequence[Manifest], written: Tokenized) -> None:
    first = metas[0]
    token_files.write_token_manifest(
        written.path,
        options=first.options,
        inputs=first.inputs,
        lines=written.lines,
        tokens=written.tokens,
        samples=int(first.facts["samples"]),
        features=bool(first.facts["features"]),
        byte_fallback=bool(first.facts.get("byte_fallback", False)),
        raw=_has_raw(metas),
    )
