"""What `align` reads: token files and vocabularies, checked to belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.data.parts import Part, find_parts
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Warned
from rnnkit.files.workspace import Workspace
from rnnkit.text.names import TEST, TRAIN, VALID, parse_name
from rnnkit.text.token_files import (
    TokenFile,
    describe_tokenizer,
    find_token_files,
    open_token_file,
    shared_tokenizer,
)
from rnnkit.text.vocabulary import Vocabulary, read_meta

if TYPE_CHECKING:
    from rnnkit.stages.align import Options


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
    parts: Sequence[Part]
    vocabularies: Mapping[str, Vocabulary]
    digests: Mapping[str, str]


def find_inputs(options: Options, listen: Listener) -> AlignInputs:
    """Find the token files and the vocabulary that the options name, or those of the workspace.

    Raises:
        UsageError: Options that do not go together.
        DataError: Something is missing.
        ArtefactError: Different tokenizers made the token files or the vocabulary.
    """
    if (options.source is None) != (options.target is None) or (options.source and options.text):
        raise UsageError("give --source and --target for two sides, or --text for one")
    if options.source and options.source == options.target:
        raise UsageError(f"--source and --target are both {options.source}")
    named = {TRAIN: options.train, VALID: options.valid, TEST: options.test}
    sides, parts = _named(options, named) if any(named.values()) else _in_workspace(options, listen)
    if all(part.split == TRAIN for part in parts):
        listen(Warned("there is no valid part: training will not know when to stop"))
    files = [file for part in parts for file in part.files]
    tokenizer = shared_tokenizer(files)
    vocabularies, digests = _open_vocabularies(options, sides, files[0], tokenizer)
    if tokenizer is not None:
        digests["tokenizer"] = tokenizer
    for part in parts:
        digests |= {f"{part.name}.{side}": file.sha256 for side, file in zip(sides, part.files, strict=True)}
    return AlignInputs(sides, parts, vocabularies, digests)


def _named(options: Options, named: Mapping[str, Sequence[Path]]) -> tuple[tuple[str, ...], list[Part]]:
    """Sides and parts of the files on the command line."""
    numbers = {split: len(paths) for split, paths in named.items() if paths}
    if set(numbers.values()) not in ({1}, {2}):
        given = ", ".join(f"--{split} has {number}" for split, number in numbers.items())
        raise UsageError("give each part one token file, or each part two: source and target", given)
    parts = [
        Part(split, split, tuple(open_token_file(path) for path in paths)) for split, paths in named.items() if paths
    ]
    sides = _asked(options) or tuple(file.language for file in parts[0].files)
    if len(sides) == 2 and sides[0] == sides[1]:
        sides = ("source", "target")
    if len(sides) != len(parts[0].files):
        raise UsageError(f"{len(parts[0].files)} files a part do not fit the sides {', '.join(sides)}")
    return sides, parts


def _in_workspace(options: Options, listen: Listener) -> tuple[tuple[str, ...], list[Part]]:
    """Sides and parts of the workspace's token files."""
    folder = Workspace(options.work).tokens
    paths = find_token_files(folder)
    languages = sorted({parse_name(path).language for path in paths})
    sides = _asked(options) or tuple(languages)
    if not paths:
        raise DataError(f"there are no token files in {folder}", hint="`rnnkit tokenize FILE…` makes them")
    if missing := [side for side in sides if side not in languages]:
        raise DataError(
            f"there is no token file *.{missing[0]}.tok in {folder}", f"languages there: {', '.join(languages)}"
        )
    if not _asked(options) and len(languages) > 1:
        raise UsageError(
            f"{folder} has several languages: {', '.join(languages)}",
            hint="say which: --source LANG --target LANG for two sides, --text LANG for one",
        )
    parts, left_out = find_parts(paths, sides)
    for line in left_out:
        listen(Warned(line))
    if not parts:
        raise DataError(
            f"{folder} has no train, valid or test part",
            f"it has {', '.join(path.name for path in paths)}",
            hint="name the files: --train FILE…",
        )
    return sides, parts


def _asked(options: Options) -> tuple[str, ...]:
    """The sides that the options name; none where they name none."""
    if options.source and options.target:
        return (options.source, options.target)
    return (options.text,) if options.text else ()


def _open_vocabularies(
    options: Options, sides: Sequence[str], tokens: TokenFile, tokenizer: str | None
) -> tuple[dict[str, Vocabulary], dict[str, str]]:
    """The vocabulary of each side, and sha256 of each by its name in the manifest."""
    paths = _vocabulary_paths(options, sides)
    opened, digests = {}, {}
    for name, path in paths.items():
        meta = read_meta(path)
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


def _vocabulary_paths(options: Options, sides: Sequence[str]) -> dict[str, Path]:
    """Vocabulary files by their name in the manifest: `vocabulary`, or `vocabulary.LANG` for each side."""
    if len(options.vocab) == 1:
        return {"vocabulary": options.vocab[0]}
    if options.vocab:
        if len(options.vocab) != len(sides):
            raise UsageError(f"--vocab names {len(options.vocab)} files for {len(sides)} sides")
        return {f"vocabulary.{side}": path for side, path in zip(sides, options.vocab, strict=True)}
    workspace = Workspace(options.work)
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
