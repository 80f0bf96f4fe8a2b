"""What `align` reads: token files and vocabularies, checked to belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.data.corpus_splits import CorpusSplit, find_splits
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, WarningEvent
from rnnkit.io.workspace import Workspace
from rnnkit.text.token_files import (
    TRAIN,
    TokenFile,
    common_tokenizer,
    describe_tokenizer,
    find_token_files,
    open_token_file,
    parse_name,
)
from rnnkit.text.vocabulary import Vocabulary, read_vocabulary_manifest


@dataclass(frozen=True)
class AlignInputs:
    """Artefacts that belong together.

    Attributes:
        sides: Languages, the source first.
        parts: Train, valid and test as far as they are there.
        vocabularies: By side; the same one for both where it is joint.
        digests: sha256 of the vocabularies and token files, identity of the tokenizer.
    """

    sides: tuple[str, ...]
    parts: Sequence[CorpusSplit]
    vocabularies: Mapping[str, Vocabulary]
    digests: Mapping[str, str]


def find_inputs(
    workspace: Workspace,
    sides: tuple[str, ...],
    named: Mapping[str, Sequence[Path]],
    vocabularies: Sequence[Path],
    listen: Listener,
) -> AlignInputs:
    """Open the files that were named, or where none was, those of the workspace.

    Args:
        workspace: Where to look for what is not named.
        sides: Languages asked for, the source first; none to take what the files are.
        named: Token files by split.
        vocabularies: Vocabulary files.
        listen: Is told what was left out or is missing.

    Raises:
        UsageError: The files do not fit the sides.
        DataError: Something is missing.
        ArtefactError: Different tokenizers made the token files or the vocabulary.
    """
    sides, parts = _named(sides, named) if any(named.values()) else _in_workspace(workspace, sides, listen)
    if all(part.split == TRAIN for part in parts):
        listen(WarningEvent("there is no valid part: `rnnkit train` needs one, to stop and to choose the best weights"))
    files = [file for part in parts for file in part.files]
    tokenizer = common_tokenizer(files)
    paths = _vocabulary_paths(workspace, sides, vocabularies)
    opened, digests = _open_vocabularies(paths, sides, files[0], tokenizer)
    if tokenizer is not None:
        digests["tokenizer"] = tokenizer
    for part in parts:
        digests |= {f"{part.name}.{side}": file.sha256 for side, file in zip(sides, part.files, strict=True)}
    return AlignInputs(sides, parts, opened, digests)


def _named(asked: tuple[str, ...], named: Mapping[str, Sequence[Path]]) -> tuple[tuple[str, ...], list[CorpusSplit]]:
    """Sides and parts of the files on the command line."""
    numbers = {split: len(paths) for split, paths in named.items() if paths}
    if set(numbers.values()) not in ({1}, {2}):
        given = ", ".join(f"--{split} has {number}" for split, number in numbers.items())
        raise UsageError("give each part one token file, or each part two: source and target", given)
    parts = [
        CorpusSplit(split, split, tuple(open_token_file(path) for path in paths))
        for split, paths in named.items()
        if paths
    ]
    sides = asked or tuple(file.language for file in parts[0].files)
    if len(sides) != len(parts[0].files):
        raise UsageError(f"{len(parts[0].files)} files a part do not fit the sides {', '.join(sides)}")
    if len(sides) == 2 and sides[0] == sides[1]:
        sides = ("source", "target")
    return sides, parts


def _in_workspace(
    workspace: Workspace, asked: tuple[str, ...], listen: Listener
) -> tuple[tuple[str, ...], list[CorpusSplit]]:
    """Sides and parts of the workspace's token files."""
    folder = workspace.tokens
    paths = find_token_files(folder)
    if not paths:
        raise DataError(f"there are no token files in {folder}", hint="`rnnkit tokenize FILE…` makes them")
    languages = sorted({parse_name(path).language for path in paths})
    if missing := [side for side in asked if side not in languages]:
        raise DataError(
            f"there is no token file *.{missing[0]}.tok in {folder}", f"languages there: {', '.join(languages)}"
        )
    if not asked and len(languages) > 1:
        raise UsageError(
            f"{folder} has several languages: {', '.join(languages)}",
            hint="say which: --source LANG --target LANG for two sides, --text LANG for one",
        )
    sides = asked or tuple(languages)
    parts, left_out = find_splits(paths, sides)
    for line in left_out:
        listen(WarningEvent(line))
    if not parts:
        raise DataError(
            f"{folder} has no train, valid or test part",
            f"it has {', '.join(path.name for path in paths)}",
            hint="name the files: --train FILE…",
        )
    return sides, parts


def _open_vocabularies(
    paths: Mapping[str, Path], sides: Sequence[str], tokens: TokenFile, tokenizer: str | None
) -> tuple[dict[str, Vocabulary], dict[str, str]]:
    """The vocabulary of each side, and sha256 of each by its name in the manifest."""
    opened, digests = {}, {}
    for name, path in paths.items():
        meta = read_vocabulary_manifest(path)
        if meta.inputs.get("tokenizer") != tokenizer:
            raise ArtefactError(
                "the vocabulary does not belong to the token files",
                f"{path}: {describe_tokenizer(meta.inputs.get('tokenizer'))}",
                f"{tokens.path}: {describe_tokenizer(tokenizer)}",
                hint="count the tokens again: `rnnkit vocab --overwrite`",
            )
        opened[name] = Vocabulary.load(path)
        digests[name] = str(meta.files[path.name]["sha256"])
    joint = opened.get("vocabulary")
    return {side: joint or opened[f"vocabulary.{side}"] for side in sides}, digests


def _vocabulary_paths(workspace: Workspace, sides: Sequence[str], named: Sequence[Path]) -> dict[str, Path]:
    """Vocabulary files by their name in the manifest: `vocabulary`, or `vocabulary.LANG` for each side."""
    if len(named) == 1:
        return {"vocabulary": named[0]}
    if named:
        if len(named) != len(sides):
            raise UsageError(f"--vocab names {len(named)} files for {len(sides)} sides")
        return {f"vocabulary.{side}": path for side, path in zip(sides, named, strict=True)}
    joint = workspace.vocabulary()
    separate = {f"vocabulary.{side}": workspace.vocabulary(side) for side in sides}
    there = [path for path in separate.values() if path.exists()]
    if joint.exists() and there:
        raise ArtefactError(
            f"both {joint} and {there[0]} are there",
            hint="say which with --vocab, or remove what is out of date",
        )
    if joint.exists():
        return {"vocabulary": joint}
    if len(there) == len(sides):
        return separate
    missing = next(path for path in separate.values() if path not in there)
    raise DataError(
        f"there is no vocabulary {missing if there else joint}",
        hint="`rnnkit vocab` makes it from the tokens of the training part",
    )
