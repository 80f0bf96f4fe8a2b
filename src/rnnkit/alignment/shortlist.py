"""For each source word the target words that may be needed to translate it: an output layer need look at no others.

A folder holds

    offsets.npy   int64, one more than the source vocabulary has rows: word i has targets[offsets[i]:offsets[i + 1]]
    targets.npy   int32, the target words of each source word, rising
    always.npy    int32, those that are always there, rising: UNK, EOS and the most frequent ones

and `meta.json` (kind `shortlist`), whose inputs name the vocabularies: ids of others mean other words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.lexicon import Lexicon
from rnnkit.errors import ArtefactError, FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import atomic_directory
from rnnkit.io.npy import IntArray, open_array
from rnnkit.text.special_tokens import EOS, NAMES, UNK

KIND: Final = "shortlist"
VERSION: Final = 1

_AGAIN: Final = "make it again: `rnnkit align-words --shortlist DIR --overwrite`"
_OFFSETS, _TARGETS, _ALWAYS = "offsets.npy", "targets.npy", "always.npy"


@dataclass(frozen=True)
class Shortlist:
    """A folder of target words by source word; the arrays are mapped from the disk.

    Attributes:
        folder: Where it is.
        meta: Its manifest.
        target_size: Rows of the target vocabulary.
        offset_S1: Where each source word's target words begin, and the end of the last.
        target_C: The target words.
        always_F: Target words that are always there.
    """

    folder: Path
    meta: manifest.Manifest
    target_size: int
    offset_S1: IntArray
    target_C: IntArray
    always_F: IntArray

    @classmethod
    def open(cls, folder: Path) -> Shortlist:
        """Open a folder and check that its arrays fit together.

        Raises:
            DataError: There is none.
            ArtefactError: The folder is something else.
            FormatError: A file is missing, damaged or of a newer version; the message names it.
        """
        meta = manifest.read(folder, KIND, VERSION)
        with manifest.explain_damage(folder / manifest.NAME):
            source_size, target_size = (int(size) for size in meta.facts["vocabulary_size"])
        offset_S1 = open_array(folder / _OFFSETS, (np.int64,))
        target_C, always_F = (open_array(folder / name, (np.int32,)) for name in (_TARGETS, _ALWAYS))
        if len(offset_S1) != source_size + 1 or offset_S1[0] != 0 or np.any(offset_S1[1:] < offset_S1[:-1]):
            raise FormatError(f"{folder / _OFFSETS} is damaged", f"it has no {source_size} rows", hint=_AGAIN)
        if offset_S1[-1] != len(target_C):
            what = f"the rows have {offset_S1[-1]} words, there are {len(target_C)}"
            raise FormatError(f"{folder / _TARGETS} does not fit {_OFFSETS}", what, hint=_AGAIN)
        for name, ids in ((_TARGETS, target_C), (_ALWAYS, always_F)):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < target_size:
                what = f"ids run from {ids.min()} to {ids.max()}, the vocabulary has {target_size} rows"
                raise FormatError(f"{folder / name} is damaged", what, hint=_AGAIN)
        return cls(folder, meta, target_size, offset_S1, target_C, always_F)

    def check_vocabularies(self, source_sha256: str, target_sha256: str) -> None:
        """Hold the shortlist against the vocabularies that its ids are to be of.

        Args:
            source_sha256: Of the source side's `vocab.tsv`.
            target_sha256: Of the target side's; the same where there is one for both.

        Raises:
            ArtefactError: It was made with others.
        """
        for side, digest in zip(("source", "target"), (source_sha256, target_sha256), strict=True):
            made_with = self.meta.inputs.get(f"vocabulary.{side}")
            if made_with != digest:
                raise ArtefactError(
                    f"the shortlist {self.folder} belongs to another vocabulary",
                    f"its {side} vocabulary has sha256 {str(made_with)[:12]}…, this one {digest[:12]}…",
                    hint="make one from the data that the model was trained on: `rnnkit align-words --shortlist DIR`",
                )

    def candidates(self, source_ids: IntArray) -> NDArray[np.int64]:
        """The target words that some source words may need.

        Args:
            source_ids: Ids of a sentence or of a batch, of any shape, repeated or not; special symbols do no harm.

        Returns:
            Different ids, rising; UNK and EOS are among them, PAD and BOS are not.
        """
        return np.flatnonzero(self._wanted(source_ids))

    def choose(self, source_BS: IntArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The target words that any sentence of a batch may need, and which of them each may need.

        Args:
            source_BS: Ids of a sentence in each row, padded or not.

        Returns:
            Different ids (C,), rising, and for each sentence its own among them (B, C), whatever the others are.
        """
        wanted_BV = np.stack([self._wanted(source_S) for source_S in source_BS])
        ids_C = np.flatnonzero(wanted_BV.any(0))
        return ids_C, wanted_BV[:, ids_C]

    def _wanted(self, source_ids: IntArray) -> NDArray[np.bool_]:
        """True for each target word that some source words may need."""
        words = np.unique(source_ids)
        begin_W = self.offset_S1[words]
        length_W = self.offset_S1[words + 1] - begin_W
        before_W = np.cumsum(length_W) - length_W
        place_C = np.arange(length_W.sum()) + np.repeat(begin_W - before_W, length_W)
        wanted_V = np.zeros(self.target_size, dtype=np.bool_)
        wanted_V[self.always_F] = True
        wanted_V[self.target_C[place_C]] = True
        return wanted_V


def make_rows(lexicon: Lexicon, best: int, copy: bool) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The most probable translations of each source word.

    Args:
        lexicon: All translations.
        best: Most target words of a source word.
        copy: Both sides have one vocabulary: a word may translate to itself, whether that was seen or not.

    Returns:
        Where each row begins, and the end of the last; target words, rising within a row.
    """
    size = len(lexicon.offset_S1) - 1
    row_E = np.repeat(np.arange(size), np.diff(lexicon.offset_S1))
    rank_E = np.arange(len(row_E)) - lexicon.offset_S1[row_E]
    row_E, target_E = row_E[rank_E < best], lexicon.target_E[rank_E < best]
    if copy:
        words = np.arange(len(NAMES), size)
        row_E, target_E = np.concatenate((row_E, words)), np.concatenate((target_E, words))
    key_C = np.unique((row_E << 32) | target_E)
    offset_S1 = np.concatenate(([0], np.cumsum(np.bincount(key_C >> 32, minlength=size))))
    return offset_S1, (key_C & 0xFFFFFFFF).astype(np.int32)


def most_frequent(count_V: NDArray[np.int64], frequent: int) -> NDArray[np.int32]:
    """UNK, EOS and the most frequent ordinary words of the target side, rising.

    Args:
        count_V: How often each occurs.
        frequent: Most ordinary words; those that never occur are none.
    """
    count_V = count_V.copy()
    count_V[: len(NAMES)] = 0
    words = np.argsort(-count_V, kind="stable")[:frequent]
    return np.union1d(words[count_V[words] > 0], (UNK, EOS)).astype(np.int32)


def write_shortlist(
    folder: Path,
    rows: tuple[NDArray[np.int64], NDArray[np.int32]],
    always_F: NDArray[np.int32],
    target_size: int,
    *,
    options: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> None:
    """Write the folder, whole or not at all.

    Args:
        folder: Where; what is there is replaced.
        rows: What `make_rows` made.
        always_F: What `most_frequent` found.
        target_size: Rows of the target vocabulary.
        options: The resolved options of the command.
        inputs: sha256 of `vocabulary.source` and `vocabulary.target`, and of what else it was made from.

    Raises:
        ArtefactError: It cannot be written.
    """
    offset_S1, target_C = rows
    with atomic_directory(folder, KIND) as partial:
        arrays = {_OFFSETS: offset_S1.astype("<i8"), _TARGETS: target_C.astype("<i4"), _ALWAYS: always_F.astype("<i4")}
        for name, array in arrays.items():
            np.save(partial / name, array, allow_pickle=False)
        facts = {
            "vocabulary_size": [len(offset_S1) - 1, target_size],
            "entries": len(target_C),
            "always": len(always_F),
        }
        files = manifest.describe_files(partial, list(arrays))
        manifest.write(partial / manifest.NAME, manifest.Manifest(KIND, VERSION, options, inputs, files, facts))
