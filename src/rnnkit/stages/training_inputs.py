"""What a training command reads: data, vocabulary and tokenizer, checked to belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.files import manifest
from rnnkit.files.workspace import Workspace

if TYPE_CHECKING:
    from rnnkit.data.aligned import AlignedData


@dataclass(frozen=True)
class TrainingInputs:
    """Artefacts that belong together.

    Attributes:
        data: Aligned data of two sides with `train` and `valid` parts.
        vocabularies: One joint vocabulary file, or the source's and the target's.
        tokenizer: Tokenizer folder.
        digests: sha256 of each, and of what they were made from.
    """

    data: AlignedData
    vocabularies: list[Path]
    tokenizer: Path
    digests: dict[str, str]

    @property
    def joint(self) -> bool:
        """Whether both sides share one vocabulary."""
        return len(self.vocabularies) == 1


def open_inputs(
    work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None
) -> TrainingInputs:
    """Open the data and find the vocabulary and tokenizer that it was made with.

    Args:
        work: Workspace that paths not given are in.
        data_folder: Aligned data.
        vocabularies: One joint vocabulary, or the source's and the target's; empty for the workspace's.
        tokenizer: Tokenizer folder.

    Raises:
        DataError: Something is missing, or the data has one side only, or no `train` or `valid` part.
        ArtefactError: The vocabulary or the tokenizer is not the one that the data was made with.
    """
    from rnnkit.data.aligned import AlignedData
    from rnnkit.text.tokenizers.store import identity

    workspace = Workspace(work)
    data = AlignedData.open(data_folder or workspace.data)
    if data.task != "parallel":
        raise DataError(
            f"{data.folder} has one side, {data.sides[0]}; a sequence-to-sequence model needs two",
            hint="`rnnkit align --source LANG --target LANG` pairs two sides",
        )
    for split in ("train", "valid"):
        if split not in data.splits or not len(data.side(split, data.sides[0])):
            raise DataError(f"{data.folder} has no {split} sentences", hint=f"align a {split} part as well")
    joint = "vocabulary" in data.meta.inputs
    names = ["vocabulary"] if joint else [f"vocabulary.{side}" for side in data.sides]
    paths = vocabularies or [workspace.vocabulary(None if joint else side) for side in data.sides[: len(names)]]
    if len(paths) != len(names):
        raise UsageError(f"--vocab names {len(paths)} files; {data.folder} was made with {len(names)}")
    for name, path in zip(names, paths, strict=True):
        _check_belongs(data, name, path, manifest.sha256(path))
    if "tokenizer" not in data.meta.inputs:
        raise DataError(
            f"{data.folder} was made from text that was tokenized elsewhere",
            "a model carries its tokenizer, so that it decodes raw text",
            hint="give the raw text to `rnnkit tokenize`; --type words for text that is in words already",
        )
    tokenizer = tokenizer or workspace.tokenizer
    _check_belongs(data, "tokenizer", tokenizer, identity(tokenizer))
    digests = {"data": manifest.sha256(data.folder / manifest.NAME), **data.meta.inputs}
    return TrainingInputs(data, paths, tokenizer, digests)


def _check_belongs(data: AlignedData, name: str, path: Path, digest: str) -> None:
    if data.meta.inputs.get(name) != digest:
        raise ArtefactError(
            f"{path} does not belong to {data.folder}",
            f"the data was made with a {name} of sha256 {str(data.meta.inputs.get(name))[:12]}…, "
            f"{path} has {digest[:12]}…",
            hint="run `rnnkit align` again, or name the right one",
        )
