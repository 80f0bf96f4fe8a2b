"""What a training command reads: data, vocabulary and tokenizer, checked to belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, WarningEvent
from rnnkit.io import manifest
from rnnkit.io.workspace import Workspace
from rnnkit.text.special_tokens import NAMES, UNK
from rnnkit.text.token_files import TRAIN

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


if TYPE_CHECKING:
    from rnnkit.text.vocabulary import Vocabulary


def warn_of_markers(vocabulary: Vocabulary, counted: bool, listen: Listener) -> None:
    """Warn of markers among the words, and of what they mean for export.

    Args:
        vocabulary: Of the training text.
        counted: Whether the model is of counts, which can be exported. A network is warned only of markers that repeat
            the beginning and the end of a line: `<unk>` is common in prepared text, and does no harm there.
        listen: Receives one warning.
    """
    unknown = NAMES[UNK]
    found = [name for name in NAMES[UNK:] if name in vocabulary.ids and (counted or name != unknown)]
    if not found:
        return
    shown = ", ".join(f"{name} ({vocabulary.counts[vocabulary.ids[name]]:,} times)" for name in found)
    text = f"the training text has {shown} as ordinary words, beside the markers that each line gets"
    limits = [name for name in found if name != unknown]
    if limits:
        text += f"; remove {' and '.join(limits)} from the text (`sed -E 's#</?s>##g' TEXT`) and train again"
    if counted and limits:
        text += "; as it is, convert-ngrams cannot write the model: an ARPA file has each marker once"
    if unknown in found:
        text += f"; convert-ngrams --merge-unknown makes the text's {unknown} the unknown word of an ARPA file"
    listen(WarningEvent(text))


if TYPE_CHECKING:
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.training.seq2seq_task import AttentionSupervision

LINKS_INPUT = "links"
"""Under this name the manifest of a model has the checksum of the links."""

GUIDED_WEIGHT = 0.2
"""What a nat of a linked token's attention counts, where nobody says otherwise."""


@dataclass(frozen=True)
class GuidedAttentionInput:
    """What the options say of guided attention.

    Attributes:
        path: File of links; None for none.
        weight: How much they matter; with 0 the file is not looked at.
    """

    path: Path | None
    weight: float

    @property
    def file(self) -> Path | None:
        """The file of links that is read."""
        return self.path if self.weight else None

    def check(self, attention: str | None) -> None:
        """Refuse what makes no sense, before any work is done. Raises UsageError."""
        if self.path is None and self.weight != GUIDED_WEIGHT:
            raise UsageError(
                f"--guided-weight {self.weight:g} needs --guided-attention", "it is the weight of the links named there"
            )
        if self.path is not None and attention == "none":
            raise UsageError(
                f"--guided-attention {self.path} needs attention", "with --attention none there is nothing to guide"
            )

    def digests(self) -> dict[str, str]:
        """sha256 of the links, by the part they play. Raises DataError where there are none."""
        if self.file is None:
            return {}
        if not self.file.is_file():
            raise DataError(f"there are no links at {self.file}", hint=manifest.CREATION_HINTS["links"])
        return {LINKS_INPUT: manifest.sha256(self.file)}

    def load(self, data: AlignedData) -> AttentionSupervision | None:
        """The links of the data's training part.

        Raises:
            DataError: A line is malformed or links words that its sentences do not have, or the lines are fewer or
                more than the pairs; the message names the line. Or there is no link in the file.
            ArtefactError: The words of other data were linked, or the file has changed since.
            FormatError: Its manifest is damaged.
        """
        from rnnkit.alignment.bitext import make_side
        from rnnkit.alignment.pharaoh import check_links_match_data, read_links
        from rnnkit.training.seq2seq_task import AttentionSupervision

        if self.file is None:
            return None
        check_links_match_data(self.file, data.folder)
        sides = (make_side(data.side(TRAIN, side), data.vocabulary_size(side)) for side in data.sides)
        source_N, target_N = (side.length_N for side in sides)
        links = read_links(self.file, source_N, target_N)
        if not len(links.source_L):
            raise DataError(
                f"{self.file} has no link", "all its lines are empty", hint=manifest.CREATION_HINTS["links"]
            )
        return AttentionSupervision(links, self.weight)
