"""What a training command reads: data, vocabulary and tokenizer, checked to belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.io import manifest
from rnnkit.io.workspace import Workspace

if TYPE_CHECKING:
    from rnnkit.data.aligned_data import AlignedData


@dataclass(frozen=True)
class TrainingInputs:
    """Artefacts that belong together.

    Attributes:
        data: Aligned data with `train` and `valid` parts.
        vocabularies: One vocabulary file for all sides, or the source's and the target's.
        tokenizer: Tokenizer folder; None where the text was cut into tokens by somebody else.
        digests: sha256 of each, and of what they were made from.
    """

    data: AlignedData
    vocabularies: list[Path]
    tokenizer: Path | None
    digests: dict[str, str]

    @property
    def joint(self) -> bool:
        """Whether all sides share one vocabulary."""
        return len(self.vocabularies) == 1


def open_pairs(
    work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None
) -> TrainingInputs:
    """Open data of two sides and find the vocabulary and tokenizer that it was made with.

    Args:
        work: Workspace that paths not given are in.
        data_folder: Aligned data.
        vocabularies: One joint vocabulary, or the source's and the target's; empty for the workspace's.
        tokenizer: Tokenizer folder.

    Raises:
        DataError: Something is missing, or the data has one side only, or no `train` or `valid` part.
        ArtefactError: The vocabulary or the tokenizer is not the one that the data was made with.
    """
    found = _open(work, data_folder, vocabularies, tokenizer, "parallel")
    if found.tokenizer is None:
        raise DataError(
            f"{found.data.folder} was made from text that was tokenized elsewhere",
            "a model carries its tokenizer, so that it decodes raw text",
            hint="give the raw text to `rnnkit tokenize`; --type spaces for text that is in tokens already",
        )
    return found


def open_text(work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None) -> TrainingInputs:
    """Open data of one side with its vocabulary, and its tokenizer where it has one; arguments as for `open_pairs`.

    Raises:
        DataError: Something is missing, or the data has two sides, or no `train` or `valid` part.
        ArtefactError: The vocabulary or the tokenizer is not the one that the data was made with.
    """
    return _open(work, data_folder, vocabularies, tokenizer, "text")


def _open(
    work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None, task: str
) -> TrainingInputs:
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.text.tokenizers.store import read_tokenizer_identity

    workspace = Workspace(work)
    data = AlignedData.open(data_folder or workspace.data)
    _check_task(data, task)
    joint = "vocabulary" in data.meta.inputs
    names = ["vocabulary"] if joint else [f"vocabulary.{side}" for side in data.sides]
    paths = vocabularies or [workspace.vocabulary(None if joint else side) for side in data.sides[: len(names)]]
    if len(paths) != len(names):
        raise UsageError(f"--vocab names {len(paths)} files; {data.folder} was made with {len(names)}")
    for name, path in zip(names, paths, strict=True):
        _check_belongs(data, name, path, manifest.sha256(path))
    folder = None
    if "tokenizer" in data.meta.inputs:
        folder = tokenizer or workspace.tokenizer
        _check_belongs(data, "tokenizer", folder, read_tokenizer_identity(folder))
    elif tokenizer is not None:
        raise UsageError(f"--tokenizer {tokenizer}: {data.folder} was made from text that was tokenized elsewhere")
    digests = {"data": manifest.sha256(data.folder / manifest.NAME), **data.meta.inputs}
    return TrainingInputs(data, paths, folder, digests)


_WRONG_SIDES = {
    "parallel": "{folder} has one side, {sides}; a sequence-to-sequence model needs two",
    "text": "{folder} has two sides, {sides}; a language model needs one",
}
_OTHER_SIDES = {
    "parallel": "`rnnkit align --source LANG --target LANG` pairs two sides",
    "text": "`rnnkit align --text LANG --output DIR` makes data of one side",
}


def _check_task(data: AlignedData, task: str) -> None:
    """Refuse data with the wrong number of sides, or without what training needs."""
    if data.task != task:
        message = _WRONG_SIDES[task].format(folder=data.folder, sides=" and ".join(data.sides))
        raise DataError(message, hint=_OTHER_SIDES[task])
    for split in ("train", "valid"):
        if split not in data.splits or not len(data.side(split, data.sides[0])):
            raise DataError(f"{data.folder} has no {split} sentences", hint=f"align a {split} part as well")


def _check_belongs(data: AlignedData, name: str, path: Path, digest: str) -> None:
    if data.meta.inputs.get(name) != digest:
        raise ArtefactError(
            f"{path} does not belong to {data.folder}",
            f"the data was made with a {name} of sha256 {str(data.meta.inputs.get(name))[:12]}…, "
            f"{path} has {digest[:12]}…",
            hint="run `rnnkit align` again, or name the right one",
        )
