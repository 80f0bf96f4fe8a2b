"""Inputs of a training command: data, vocabularies, tokenizer and alignment links, checked to match each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, WarningEvent
from rnnkit.io import manifest
from rnnkit.io.manifest import Workspace
from rnnkit.text.special_tokens import NAMES, UNK
from rnnkit.text.token_files import TRAIN

if TYPE_CHECKING:
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.text.vocabulary import Vocabulary
    from rnnkit.training.seq2seq_task import AttentionSupervision


@dataclass(frozen=True)
class TrainingInputs:
    """Artifacts that match each other.

    Attributes:
        data: Encoded data with the splits `train` and `valid`.
        vocabularies: One vocabulary file for all sides, or the source's and the target's.
        tokenizer: Tokenizer directory; None if the text was tokenized elsewhere.
        digests: SHA-256 of each, and of what they were made from.
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
    """Open parallel data and find the vocabularies and the tokenizer that it was made with.

    Args:
        work: Workspace with the default paths.
        data_folder: Encoded data.
        vocabularies: One joint vocabulary, or the source's and the target's; empty for those of the workspace.
        tokenizer: Tokenizer directory.

    Raises:
        DataError: Something is missing, or the data is not parallel or lacks a `train` or `valid` split.
        ArtefactError: The data was made with another vocabulary or tokenizer.
    """
    found = _open(work, data_folder, vocabularies, tokenizer, "parallel")
    if found.tokenizer is None:
        raise DataError(
            f"{found.data.folder} was made from text that was tokenized elsewhere",
            "a model directory includes its tokenizer, so that the model translates raw text",
            hint="give the raw text to `rnnkit tokenize`; use --type spaces for tokenized text",
            path=found.data.folder,
        )
    return found


def open_text(work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None) -> TrainingInputs:
    """Open monolingual data with its vocabulary and, if it has one, its tokenizer; arguments as for `open_pairs`.

    Raises:
        DataError: Something is missing, or the data is parallel or lacks a `train` or `valid` split.
        ArtefactError: The data was made with another vocabulary or tokenizer.
    """
    return _open(work, data_folder, vocabularies, tokenizer, "text")


def _open(
    work: Path, data_folder: Path | None, vocabularies: list[Path], tokenizer: Path | None, task: str
) -> TrainingInputs:
    from rnnkit.data.aligned_data import AlignedData
    from rnnkit.text.tokenizer_store import read_tokenizer_identity

    workspace = Workspace(work)
    data = AlignedData.open(data_folder or workspace.data)
    _check_task(data, task)
    joint = "vocabulary" in data.meta.inputs
    names = ["vocabulary"] if joint else [f"vocabulary.{side}" for side in data.sides]
    paths = vocabularies or [workspace.vocabulary(None if joint else side) for side in data.sides[: len(names)]]
    if len(paths) != len(names):
        raise UsageError(
            f"--vocab names {len(paths)} files, but {data.folder} was made with {len(names)}", option="--vocab"
        )
    for name, path in zip(names, paths, strict=True):
        _check_matches(data, name, path, manifest.sha256(path))
    folder = None
    if "tokenizer" in data.meta.inputs:
        folder = tokenizer or workspace.tokenizer
        _check_matches(data, "tokenizer", folder, read_tokenizer_identity(folder))
    elif tokenizer is not None:
        raise UsageError(
            f"--tokenizer {tokenizer} cannot be used: {data.folder} was made from text that was tokenized elsewhere",
            path=tokenizer,
            option="--tokenizer",
        )
    digests = {"data": manifest.sha256(data.folder / manifest.NAME), **data.meta.inputs}
    return TrainingInputs(data, paths, folder, digests)


_WRONG_SIDES = {
    "parallel": "{folder} has one side, {sides}; a sequence-to-sequence model needs two",
    "text": "{folder} has two sides, {sides}; a language model needs one",
}
_SIDES_HINT = {
    "parallel": "`rnnkit align --source LANG --target LANG` makes parallel data",
    "text": "`rnnkit align --text LANG --output DIR` makes data with one side",
}


def _check_task(data: AlignedData, task: str) -> None:
    """Refuse data with the wrong number of sides, or without a split that training needs."""
    if data.task != task:
        message = _WRONG_SIDES[task].format(folder=data.folder, sides=" and ".join(data.sides))
        raise DataError(message, hint=_SIDES_HINT[task], path=data.folder)
    for split in ("train", "valid"):
        if split not in data.splits or not len(data.side(split, data.sides[0])):
            raise DataError(
                f"{data.folder} has no {split} sentences",
                hint=f"give `rnnkit align` a {split} split as well",
                path=data.folder,
            )


def _check_matches(data: AlignedData, name: str, path: Path, digest: str) -> None:
    if data.meta.inputs.get(name) != digest:
        raise ArtefactError(
            f"{path} does not match {data.folder}",
            f"the data was made with a {name} with sha256 {str(data.meta.inputs.get(name))[:12]}…, "
            f"{path} has {digest[:12]}…",
            hint="run `rnnkit align` again, or give the matching one",
            path=path,
        )


def warn_of_markers(vocabulary: Vocabulary, is_ngram: bool, listen: Listener) -> None:
    """Warn if `<s>`, `</s>` or `<unk>` occur as ordinary words of the training text, and of the effect on export.

    Args:
        vocabulary: Vocabulary of the training text.
        is_ngram: Whether an n-gram model is trained, which can be exported. For a neural model, only `<s>` and `</s>`
            matter: `<unk>` is common in preprocessed text and harmless there.
        listen: Receives at most one warning.
    """
    unknown = NAMES[UNK]
    found = [name for name in NAMES[UNK:] if name in vocabulary.ids and (is_ngram or name != unknown)]
    if not found:
        return
    shown = ", ".join(f"{name} ({vocabulary.counts[vocabulary.ids[name]]:,} times)" for name in found)
    text = f"the training text has {shown} as ordinary words, in addition to the markers that each line gets"
    limits = [name for name in found if name != unknown]
    if limits:
        text += f"; remove {' and '.join(limits)} from the text (`sed -E 's#</?s>##g' TEXT`) and train again"
    if is_ngram and limits:
        text += "; otherwise convert-ngrams cannot write the model, as an ARPA file has each marker once"
    if unknown in found:
        text += f"; convert-ngrams --merge-unknown makes the text's {unknown} the unknown word of an ARPA file"
    listen(WarningEvent(text))


LINKS_INPUT = "links"
"""Name under which the manifest of a model records the digest of the alignment links."""

GUIDED_WEIGHT = 0.2
"""Default weight of the guided-attention loss."""


@dataclass(frozen=True)
class GuidedAttentionInput:
    """Alignment links that supervise the attention (guided attention, Chen et al. 2016, arXiv:1607.01628).

    Attributes:
        path: File of alignment links; None without guided attention.
        weight: Weight of the guided-attention loss; with 0 the file is not read.
    """

    path: Path | None
    weight: float

    @property
    def file(self) -> Path | None:
        """The file that is read."""
        return self.path if self.weight else None

    def check(self, attention: str | None) -> None:
        """Check the options before any work is done.

        Raises:
            UsageError: The weight is set without links, or the model has no attention.
        """
        if self.path is None and self.weight != GUIDED_WEIGHT:
            raise UsageError(
                f"--guided-weight {self.weight:g} needs --guided-attention",
                "it is the weight of the alignment links given there",
                option="--guided-weight",
            )
        if self.path is not None and attention == "none":
            raise UsageError(
                f"--guided-attention {self.path} needs attention, and --attention is none",
                option="--guided-attention",
            )

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the links under their name in the manifest. Raises DataError if the file is missing."""
        if self.file is None:
            return {}
        if not self.file.is_file():
            raise DataError(
                f"there are no alignment links at {self.file}",
                hint=manifest.CREATION_HINTS["links"],
                path=self.file,
            )
        return {LINKS_INPUT: manifest.sha256(self.file)}

    def load(self, data: AlignedData) -> AttentionSupervision | None:
        """Read the alignment links of the training split.

        Raises:
            DataError: A line is malformed or links a word outside its sentence, the number of lines is not the number
                of sentence pairs, or the file has no link.
            ArtefactError: The links belong to other data, or the file has changed since it was written.
            FormatError: The manifest of the links is damaged.
        """
        from rnnkit.alignment.alignment_links import check_links_match_data, read_links
        from rnnkit.alignment.bitext import make_side
        from rnnkit.training.seq2seq_task import AttentionSupervision

        if self.file is None:
            return None
        check_links_match_data(self.file, data.folder)
        sides = (make_side(data.side(TRAIN, side), data.vocabulary_size(side)) for side in data.sides)
        source_N, target_N = (side.length_N for side in sides)
        links = read_links(self.file, source_N, target_N)
        if not len(links.source_L):
            raise DataError(
                f"{self.file} has no alignment links",
                "all of its lines are empty",
                hint=manifest.CREATION_HINTS["links"],
                path=self.file,
            )
        return AttentionSupervision(links, self.weight)
