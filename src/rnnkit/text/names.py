"""What the name of a corpus file says: `train.de.gz` is the German side of the training part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TRAIN: Final = "train"
VALID: Final = "valid"
TEST: Final = "test"
SUFFIX: Final = ".tok"
"""Last part of the name of a token file."""

UNNAMED: Final = "text"
"""Language of a file whose name has no ending."""

_SPLITS: Final = {
    "train": TRAIN,
    "valid": VALID,
    "validation": VALID,
    "val": VALID,
    "dev": VALID,
    "test": TEST,
}
# `test_2016` is a test part, `tests` and `training` are names of their own.
_SPLIT: Final = re.compile(rf"({'|'.join(sorted(_SPLITS, key=len, reverse=True))})(?![^\W\d_])")


@dataclass(frozen=True)
class CorpusName:
    """The parts of a name `STEM.LANGUAGE`, without `.gz` and `.tok`.

    Attributes:
        stem: Such as `train` or `test_2016_flickr`.
        language: Such as `de`; whatever the ending is.
        split: `train`, `valid` or `test` where the stem begins with a word for it, the stem itself otherwise.
    """

    stem: str
    language: str
    split: str

    @property
    def token_file(self) -> str:
        """Name of the file for its tokens."""
        return f"{self.stem}.{self.language}{SUFFIX}"


def parse_name(path: Path) -> CorpusName:
    """Take a file's name apart."""
    name = path.name.removesuffix(".gz").removesuffix(SUFFIX)
    stem, dot, language = name.rpartition(".")
    if not dot or not stem:
        stem, language = name, UNNAMED
    found = _SPLIT.match(stem)
    return CorpusName(stem, language or UNNAMED, _SPLITS[found[1]] if found else stem)
