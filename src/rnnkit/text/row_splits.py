"""Which split a row belongs to: by the name of its file, or by a seeded hash of its bytes.

`en_ewt-ud-train.conllu` is of the split `train`, `eng.testa` of `valid`, `test_2016.tsv` of `test_2016`, a test split.

The hash split maps the BLAKE2b hash of a row, or of the column that groups rows, uniformly to [0, 1), which the splits
divide by their fractions. Equal rows, or rows of one group, are in the same split, and no memory is needed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError, UsageError
from rnnkit.io.manifest import is_safe_name
from rnnkit.text.token_files import TEST, TRAIN, VALID, CorpusName, parse_name

HASH_BYTES: Final = 8
_HASH_RANGE: Final = 1 << 8 * HASH_BYTES

_WORDS: Final = {
    "train": TRAIN,
    "training": TRAIN,
    "trn": TRAIN,
    "valid": VALID,
    "validation": VALID,
    "val": VALID,
    "dev": VALID,
    "devel": VALID,
    "testa": VALID,
    "test": TEST,
    "testb": TEST,
    "tst": TEST,
}
# Letters and digits may not precede the word, letters may not follow.
_WORD: Final = re.compile(rf"(?<![^\W_])({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?![^\W\d_])", re.IGNORECASE)
_COMPRESSION: Final = re.compile(r"\.(gz|bz2|xz)$")
_TOLERANCE: Final = 1e-6


def has_split_name(path: Path) -> bool:
    """Return whether a file name contains the name of a split."""
    return _WORD.search(_COMPRESSION.sub("", path.name)) is not None


def split_of_file(path: Path) -> str | None:
    """Return the name of the split that a file name contains: `train`, `valid`, or `test` with what follows it.

    Raises:
        DataError: The name contains those of different splits.
    """
    name = _COMPRESSION.sub("", path.name)
    found = list(_WORD.finditer(name))
    if len({_WORDS[each[1].lower()] for each in found}) > 1:
        raise DataError(
            f"{path} has the names of several splits: {', '.join(each[1] for each in found)}",
            hint="rename it, or divide its rows with --split train=0.9,valid=0.05,test=0.05",
            path=path,
        )
    if not found:
        return None
    split = _WORDS[found[0][1].lower()]
    rest = name[found[0].end() :]
    return f"{split}{rest.rpartition('.')[0] if '.' in rest else rest}" if split == TEST else split


def split_rank(name: str) -> tuple[int, str]:
    """Return the key by which splits are sorted: train, valid, test and further test sets."""
    return (TRAIN, VALID, TEST).index(parse_name(Path(f"{name}.x")).split), name


def parse_fractions(texts: Sequence[str]) -> dict[str, float]:
    """Parse the fractions of a hash split, such as `train=0.9`.

    Raises:
        UsageError: One is malformed, or they do not sum to 1.
    """
    fractions: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        fraction = _parse_fraction(number)
        if fraction is None:
            raise UsageError(
                f"--split expects SPLIT=FRACTION, not {text!r}",
                hint="such as train=0.9,valid=0.05,test=0.05",
                option="--split",
            )
        if not _is_split_name(name):
            raise UsageError(
                f"--split: {name!r} is not the name of a split",
                "names begin with train, valid or test",
                option="--split",
            )
        if name in fractions:
            raise UsageError(f"--split has {name!r} twice", option="--split")
        fractions[name] = fraction
    if fractions and abs(sum(fractions.values()) - 1) > _TOLERANCE:
        raise UsageError(
            f"the fractions of --split sum to {sum(fractions.values()):g}, not to 1",
            "each row belongs to one split",
            option="--split",
        )
    return fractions


def _parse_fraction(text: str) -> float | None:
    try:
        fraction = float(text)
    except ValueError:
        return None
    return fraction if 0 < fraction <= 1 else None


def _is_split_name(name: str) -> bool:
    found = parse_name(Path(f"{name}.x")) if is_safe_name(name) else None
    return found == CorpusName(name, "x", found.split) and found.split in (TRAIN, VALID, TEST) if found else False


class HashSplit:
    """Assigns rows to splits by a seeded hash.

    Args:
        fractions: Fraction of each split; they sum to 1.
        seed: Another seed gives another assignment.
    """

    def __init__(self, fractions: Mapping[str, float], seed: int) -> None:
        self._names = list(fractions)
        self._ends = [int(end * _HASH_RANGE) for end in accumulate(fractions.values())][:-1]
        self._key = str(seed).encode()

    def __call__(self, content: bytes) -> str:
        """Return the split of the row or group with this content."""
        digest = blake2b(content, digest_size=HASH_BYTES, key=self._key).digest()
        return self._names[bisect_right(self._ends, int.from_bytes(digest, "big"))]
