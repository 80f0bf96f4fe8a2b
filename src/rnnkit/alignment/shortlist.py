"""Vocabulary shortlists: for each source word, the target words that the output layer considers.

A shortlist directory holds

    offsets.npy   int64, source vocabulary size + 1: word i has targets[offsets[i]:offsets[i + 1]]
    targets.npy   int32, the target words of each source word, in ascending order
    always.npy    int32, the target words of every sentence, in ascending order: UNK, EOS and the most frequent ones

and `meta.json` (kind `shortlist`), whose inputs name the vocabularies that the ids belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.translation_table import TranslationTable
from rnnkit.errors import ArtefactError, FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import atomic_directory
from rnnkit.io.npy import IntArray, open_array
from rnnkit.json_types import JsonMapping
from rnnkit.text.special_tokens import EOS, NAMES, UNK

KIND: Final = "shortlist"
VERSION: Final = 1

_HINT: Final = "make it again: `rnnkit align-words --shortlist DIR --overwrite`"
_OFFSETS, _TARGETS, _ALWAYS = "offsets.npy", "targets.npy", "always.npy"


@dataclass(frozen=True)
class Shortlist:
    """A vocabulary shortlist; its arrays are memory-mapped.

    Attributes:
        folder: Its directory.
        meta: Its manifest.
        target_size: Target vocabulary size.
        offset_S1: Offset of each source word's target words, and the total.
        target_C: Target words of each source word.
        always_F: Target words of every sentence.
    """

    folder: Path
    meta: manifest.Manifest
    target_size: int
    offset_S1: IntArray
    target_C: IntArray
    always_F: IntArray

    @classmethod
    def open(cls, folder: Path) -> Shortlist:
        """Open a shortlist and check that its arrays are consistent.

        Raises:
            DataError: The directory does not exist.
            ArtefactError: It is not a shortlist.
            FormatError: A file is missing, damaged or of a newer version.
        """
        meta = manifest.read(folder, KIND, VERSION)
        with manifest.explain_damage(folder / manifest.NAME):
            source_size, target_size = (int(size) for size in meta.facts["vocabulary_size"])
        offset_S1 = open_array(folder / _OFFSETS, (np.int64,))
        target_C, always_F = (open_array(folder / name, (np.int32,)) for name in (_TARGETS, _ALWAYS))
        # Ascending is compared, not subtracted: differences of damaged offsets can wrap around to positive ones.
        if len(offset_S1) != source_size + 1 or offset_S1[0] != 0 or np.any(offset_S1[1:] < offset_S1[:-1]):
            raise _damaged(folder / _OFFSETS, f"it does not hold ascending offsets of {source_size} source words")
        if offset_S1[-1] != len(target_C):
            raise _damaged(folder / _TARGETS, f"{_OFFSETS} has {offset_S1[-1]} target words, it has {len(target_C)}")
        for name, ids in ((_TARGETS, target_C), (_ALWAYS, always_F)):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < target_size:
                detail = f"ids range from {ids.min()} to {ids.max()}, the vocabulary has {target_size} entries"
                raise _damaged(folder / name, detail)
        return cls(folder, meta, target_size, offset_S1, target_C, always_F)

    def check_vocabularies(self, source_sha256: str, target_sha256: str) -> None:
        """Check that the shortlist was made with these vocabularies.

        Args:
            source_sha256: SHA-256 of the source side's `vocab.tsv`.
            target_sha256: SHA-256 of the target side's; the same if both sides share a vocabulary.

        Raises:
            ArtefactError: It was made with other vocabularies.
        """
        for side, digest in zip(("source", "target"), (source_sha256, target_sha256), strict=True):
            made_with = self.meta.inputs.get(f"vocabulary.{side}")
            if made_with != digest:
                raise ArtefactError(
                    f"shortlist {self.folder} belongs to another vocabulary",
                    f"its {side} vocabulary has sha256 {str(made_with)[:12]}…, the given one {digest[:12]}…",
                    hint="make a shortlist from the data that the model was trained on: "
                    "`rnnkit align-words --shortlist DIR`",
                    path=self.folder,
                )

    def candidates(self, source_ids: IntArray) -> NDArray[np.int64]:
        """Return the candidate target words of some source words.

        Args:
            source_ids: Ids of a sentence or a batch, of any shape; may repeat and include special symbols.

        Returns:
            Distinct ids in ascending order, with UNK and EOS, without PAD and BOS.
        """
        return np.flatnonzero(self._candidate_mask(source_ids))

    def batch_candidates(self, source_BS: IntArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the candidate target words of a batch, and which of them belong to each sentence.

        Args:
            source_BS: Source ids, padded or not.

        Returns:
            Distinct ids in ascending order, (C,), and a mask of each sentence's own candidates, (B, C), which does not
            depend on the other sentences.
        """
        mask_BV = np.stack([self._candidate_mask(source_S) for source_S in source_BS])
        ids_C = np.flatnonzero(mask_BV.any(0))
        return ids_C, mask_BV[:, ids_C]

    def _candidate_mask(self, source_ids: IntArray) -> NDArray[np.bool_]:
        """Return a mask (V,) of the candidate target words of some source words."""
        words = np.unique(source_ids)
        begin_W = self.offset_S1[words]
        length_W = self.offset_S1[words + 1] - begin_W
        before_W = np.cumsum(length_W) - length_W
        index_C = np.arange(length_W.sum()) + np.repeat(begin_W - before_W, length_W)
        mask_V = np.zeros(self.target_size, dtype=np.bool_)
        mask_V[self.always_F] = True
        mask_V[self.target_C[index_C]] = True
        return mask_V


def _damaged(path: Path, detail: str) -> FormatError:
    return FormatError(f"{path} is damaged", detail, hint=_HINT, path=path)


def top_translations(table: TranslationTable, k: int, copy: bool) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Select the k most probable translations of each source word.

    Args:
        table: All translations, sorted by probability.
        k: Maximum number of target words of a source word.
        copy: Both sides share a vocabulary: each word is a candidate of itself, such as a name.

    Returns:
        Offset of each source word's target words, and the total; target words, in ascending order per source word.
    """
    size = len(table.offset_S1) - 1
    row_E = np.repeat(np.arange(size), np.diff(table.offset_S1))
    rank_E = np.arange(len(row_E)) - table.offset_S1[row_E]
    row_E, target_E = row_E[rank_E < k], table.target_E[rank_E < k]
    if copy:
        words = np.arange(len(NAMES), size)
        row_E, target_E = np.concatenate((row_E, words)), np.concatenate((target_E, words))
    key_C = np.unique((row_E << 32) | target_E)
    offset_S1 = np.concatenate(([0], np.cumsum(np.bincount(key_C >> 32, minlength=size))))
    return offset_S1, (key_C & 0xFFFFFFFF).astype(np.int32)


def most_frequent_words(count_V: NDArray[np.int64], k: int) -> NDArray[np.int32]:
    """Select UNK, EOS and the k most frequent ordinary words, in ascending order.

    Args:
        count_V: Frequency of each target word.
        k: Maximum number of ordinary words; words that never occur are not selected.
    """
    count_V = count_V.copy()
    count_V[: len(NAMES)] = 0
    words = np.argsort(-count_V, kind="stable")[:k]
    return np.union1d(words[count_V[words] > 0], (UNK, EOS)).astype(np.int32)


def write_shortlist(
    folder: Path,
    rows: tuple[NDArray[np.int64], NDArray[np.int32]],
    always_F: NDArray[np.int32],
    target_size: int,
    *,
    options: JsonMapping,
    inputs: Mapping[str, str],
) -> None:
    """Write a shortlist directory atomically.

    Args:
        folder: The directory; an existing one is replaced.
        rows: Result of `top_translations`.
        always_F: Result of `most_frequent_words`.
        target_size: Target vocabulary size.
        options: Resolved options of the command.
        inputs: SHA-256 of `vocabulary.source`, `vocabulary.target` and the other inputs.

    Raises:
        ArtefactError: The directory cannot be written.
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
