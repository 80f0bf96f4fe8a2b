"""The splits of a corpus, train, valid and test: token files that are read in step, with their vocabularies.

They are the inputs of `rnnkit align`: the files that are given or, without any, those of the workspace, checked to
belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, WarningEvent
from rnnkit.io.manifest import Workspace
from rnnkit.text.blocks import read_line_blocks
from rnnkit.text.token_files import (
    MAX_TOKEN_LINE_BYTES,
    TEST,
    TRAIN,
    VALID,
    TokenFile,
    common_tokenizer,
    describe_tokenizer,
    find_token_files,
    open_token_file,
    parse_name,
)
from rnnkit.text.vocabulary import Vocabulary, read_vocabulary_manifest


@dataclass(frozen=True)
class CorpusSplit:
    """A split of a corpus.

    Attributes:
        name: Name in the data: `train`, `valid`, or the name of a test file without its language.
        split: `train`, `valid` or `test`.
        files: One token file per side, the source first.
    """

    name: str
    split: str
    files: tuple[TokenFile, ...]

    @property
    def samples(self) -> int:
        """Sampled segmentations of each line of text; 0 means the single best segmentation."""
        return self.files[0].samples

    @property
    def features(self) -> bool:
        """Whether tokens may be features."""
        return self.files[0].features


def read_sentences(split: CorpusSplit) -> Iterator[list[list[str]]]:
    """Yield the tokens of each side, line by line.

    Raises:
        DataError: A file is not text, or the sides have different numbers of lines.
    """
    for blocks in read_line_blocks([file.path for file in split.files], MAX_TOKEN_LINE_BYTES):
        for lines in zip(*(block.decode(MAX_TOKEN_LINE_BYTES) for block in blocks), strict=True):
            yield [line.split() for line in lines]


def find_splits(paths: Sequence[Path], sides: Sequence[str]) -> tuple[list[CorpusSplit], list[str]]:
    """Group token files into splits by name.

    Args:
        paths: Token files of a workspace.
        sides: Languages, the source first.

    Returns:
        The splits, train first; and a message for each test file left out because a side is missing.

    Raises:
        DataError: A side of train or valid is missing or ambiguous.
    """
    splits = []
    for split in (TRAIN, VALID):
        if any(parse_name(path).split == split and parse_name(path).language in sides for path in paths):
            files = [open_token_file(_find_file(paths, split, language)) for language in sides]
            splits.append(CorpusSplit(split, split, tuple(files)))
    left_out = []
    for stem in sorted({parse_name(path).stem for path in paths if parse_name(path).split == TEST}):
        found = {parse_name(path).language: path for path in paths if parse_name(path).stem == stem}
        missing = [language for language in sides if language not in found]
        if not missing:
            splits.append(CorpusSplit(stem, TEST, tuple(open_token_file(found[language]) for language in sides)))
        elif len(missing) < len(sides):
            left_out.append(f"{stem} is left out: it has no {' and no '.join(missing)} side")
    return splits, left_out


def _find_file(paths: Sequence[Path], split: str, language: str) -> Path:
    """Return the file of a split and language."""
    found = [path for path in paths if (name := parse_name(path)).split == split and name.language == language]
    if not found:
        others = ", ".join(path.name for path in paths if parse_name(path).split == split)
        raise DataError(
            f"there is no token file {split}.{language}",
            f"token files of the split {split}: {others}",
            hint=f"`rnnkit tokenize {split}.{language}` creates it",
        )
    if len(found) > 1:
        raise DataError(
            f"two token files could be {split}.{language}: {found[0].name} and {found[1].name}",
            hint=f"select one with --{split}, or remove the other",
            option=f"--{split}",
        )
    return found[0]


@dataclass(frozen=True)
class EncodingInputs:
    """Token files and vocabularies that belong together.

    Attributes:
        sides: Languages, the source first.
        parts: The splits: train, valid and test sets, as far as there are any.
        vocabularies: Vocabulary of each side; both sides have the same if it is joint.
        digests: SHA-256 of the vocabularies and token files, and the identity of the tokenizer.
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
) -> EncodingInputs:
    """Open the given token files or, if there are none, those of the workspace; and their vocabularies.

    Args:
        workspace: Where files are that are not given.
        sides: Selected languages, the source first; empty to infer them from the files.
        named: Given token files by split.
        vocabularies: Given vocabulary files.
        listen: Receives warnings of test files left out and of a missing validation split.

    Raises:
        UsageError: The files do not match the sides.
        DataError: A file is missing.
        ArtefactError: Different tokenizers made the token files or the vocabulary.
    """
    sides, parts = _open_named(sides, named) if any(named.values()) else _open_workspace(workspace, sides, listen)
    if all(part.split == TRAIN for part in parts):
        listen(
            WarningEvent(
                "there is no validation split: `rnnkit train` needs one for early stopping and model selection"
            )
        )
    files = [file for part in parts for file in part.files]
    tokenizer = common_tokenizer(files)
    paths = _vocabulary_paths(workspace, sides, vocabularies)
    opened, digests = _open_vocabularies(paths, sides, files[0], tokenizer)
    if tokenizer is not None:
        digests["tokenizer"] = tokenizer
    for part in parts:
        digests |= {f"{part.name}.{side}": file.sha256 for side, file in zip(sides, part.files, strict=True)}
    return EncodingInputs(sides, parts, opened, digests)


def _open_named(
    selected: tuple[str, ...], named: Mapping[str, Sequence[Path]]
) -> tuple[tuple[str, ...], list[CorpusSplit]]:
    """Open the given token files. Returns sides and splits."""
    counts = {split: len(paths) for split, paths in named.items() if paths}
    if set(counts.values()) not in ({1}, {2}):
        given = ", ".join(f"--{split} has {count}" for split, count in counts.items())
        raise UsageError("every split needs one token file, or every split two: source and target", given)
    parts = [
        CorpusSplit(split, split, tuple(open_token_file(path) for path in paths))
        for split, paths in named.items()
        if paths
    ]
    sides = selected or tuple(file.language for file in parts[0].files)
    if len(sides) != len(parts[0].files):
        raise UsageError(f"{len(parts[0].files)} token files per split do not match the sides {', '.join(sides)}")
    if len(sides) == 2 and sides[0] == sides[1]:
        sides = ("source", "target")
    return sides, parts


def _open_workspace(
    workspace: Workspace, selected: tuple[str, ...], listen: Listener
) -> tuple[tuple[str, ...], list[CorpusSplit]]:
    """Open the token files of the workspace. Returns sides and splits."""
    folder = workspace.tokens
    paths = find_token_files(folder)
    if not paths:
        raise DataError(f"there are no token files in {folder}", hint="`rnnkit tokenize FILE…` makes them", path=folder)
    languages = sorted({parse_name(path).language for path in paths})
    if missing := [side for side in selected if side not in languages]:
        raise DataError(
            f"there is no token file *.{missing[0]}.tok in {folder}",
            f"available languages: {', '.join(languages)}",
            path=folder,
        )
    if not selected and len(languages) > 1:
        raise UsageError(
            f"{folder} has several languages: {', '.join(languages)}",
            hint="select --source LANG --target LANG for two sides, or --text LANG for one",
            path=folder,
        )
    sides = selected or tuple(languages)
    parts, left_out = find_splits(paths, sides)
    for line in left_out:
        listen(WarningEvent(line))
    if not parts:
        raise DataError(
            f"{folder} has no train, valid or test split",
            f"it has {', '.join(path.name for path in paths)}",
            hint="name the files: --train FILE…",
            path=folder,
        )
    return sides, parts


def _open_vocabularies(
    paths: Mapping[str, Path], sides: Sequence[str], tokens: TokenFile, tokenizer: str | None
) -> tuple[dict[str, Vocabulary], dict[str, str]]:
    """Open the vocabulary of each side. Also returns the SHA-256 of each by its name in the manifest."""
    opened, digests = {}, {}
    for name, path in paths.items():
        meta = read_vocabulary_manifest(path)
        if meta.inputs.get("tokenizer") != tokenizer:
            raise ArtefactError(
                "the vocabulary does not belong to the token files",
                f"{path}: {describe_tokenizer(meta.inputs.get('tokenizer'))}",
                f"{tokens.path}: {describe_tokenizer(tokenizer)}",
                hint="build it again: `rnnkit vocab --overwrite`",
                path=path,
            )
        opened[name] = Vocabulary.load(path)
        digests[name] = str(meta.files[path.name]["sha256"])
    joint = opened.get("vocabulary")
    return {side: joint or opened[f"vocabulary.{side}"] for side in sides}, digests


def _vocabulary_paths(workspace: Workspace, sides: Sequence[str], named: Sequence[Path]) -> dict[str, Path]:
    """Return vocabulary files by their name in the manifest: `vocabulary`, or `vocabulary.LANG` for each side."""
    if len(named) == 1:
        return {"vocabulary": named[0]}
    if named:
        if len(named) != len(sides):
            raise UsageError(f"--vocab has {len(named)} files for {len(sides)} sides", option="--vocab")
        return {f"vocabulary.{side}": path for side, path in zip(sides, named, strict=True)}
    joint = workspace.vocabulary()
    separate = {f"vocabulary.{side}": workspace.vocabulary(side) for side in sides}
    existing = [path for path in separate.values() if path.exists()]
    if joint.exists() and existing:
        raise ArtefactError(
            f"both {joint} and {existing[0]} exist",
            hint="select one with --vocab, or remove the one that is out of date",
            path=joint,
            option="--vocab",
        )
    if joint.exists():
        return {"vocabulary": joint}
    if len(existing) == len(sides):
        return separate
    missing = next(path for path in separate.values() if path not in existing) if existing else joint
    raise DataError(
        f"there is no vocabulary {missing}",
        hint="`rnnkit vocab` builds it from the tokens of the train split",
        path=missing,
    )
