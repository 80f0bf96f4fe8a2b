"""`rnnkit.Tagger` and `rnnkit.TextClassifier`: methods on strings and lists."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from rnnkit.api import check_lines
from rnnkit.decoding.label_texts import LabelledText, Labeller, LabelTextOptions, label_lines
from rnnkit.errors import ArtefactError, UsageError
from rnnkit.models.labelling.labelling_store import load_labeller
from rnnkit.nn.device import choose_device


class _LabellingModel:
    """What taggers and text classifiers have in common."""

    _is_tagger: bool

    def __init__(self, labeller: Labeller) -> None:
        self._labeller = labeller

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, checkpoint: str = "best", device: str = "auto") -> Self:
        """Load a model directory.

        Args:
            path: The directory.
            checkpoint: Weights: best, last or average.
            device: auto, cpu or cuda.

        Raises:
            DataError: The model or the checkpoint is missing.
            ArtefactError: It is a model of another kind.
            FormatError: A file is damaged.
        """
        model = load_labeller(Path(path), checkpoint, choose_device(device))
        if model.is_tagger != cls._is_tagger:
            kind = "a tagger" if model.is_tagger else "a text classifier"
            raise ArtefactError(f"{path} is {kind}", hint="`rnnkit.load` finds the kind of a model", path=model.folder)
        return cls(Labeller([model]))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the outputs; most models have one."""
        return tuple(column.name for column in self._labeller.columns)

    def labels(self, column: str | None = None) -> tuple[str, ...]:
        """Return the labels of an output, the most frequent in training first.

        Args:
            column: Name of the output; the first by default.

        Raises:
            UsageError: There is no such output.
        """
        return self._labeller.columns[self._index(column)].labels

    def _index(self, column: str | None) -> int:
        if column is None:
            return 0
        if column not in self.columns:
            raise UsageError(f"there is no column {column}", f"columns: {', '.join(self.columns)}", option="column")
        return self.columns.index(column)

    def _label(self, lines: Iterable[str], options: LabelTextOptions) -> list[LabelledText]:
        return list(label_lines(self._labeller, lines, options))

    def __repr__(self) -> str:
        """Folder, architecture and number of labels."""
        model = self._labeller.models[0]
        counts = ", ".join(f"{len(column.labels):,} labels of {column.name}" for column in self._labeller.columns)
        return f"{type(self).__name__}({model.folder}: {model.network.config.arch}, {counts})"


class Tagger(_LabellingModel):
    """A tagger: a label for each word of a line."""

    _is_tagger = True

    def tag(self, lines: Iterable[str], *, column: str | None = None) -> list[list[str]]:
        """Tag the words of lines.

        Args:
            lines: Lines of words that are separated by blanks.
            column: Name of the output, of a model with several; the first by default.

        Returns:
            The tag of each word of each line.

        Raises:
            TypeError: `lines` is a string.
            UsageError: There is no such output.

        Example:
            >>> model = rnnkit.load("work/tagger")
            >>> model.tag(["the king sat"])
            [['...', '...', '...']]
        """
        check_lines(lines, "tag([line])")
        output = self._index(column)
        return [list(text.outputs[output].alternatives[0].labels) for text in self._label(lines, LabelTextOptions())]

    def tag_words(self, line: str, *, column: str | None = None) -> list[tuple[str, str, float]]:
        """Cut raw text into words and punctuation marks, and tag them.

        Returns:
            Word, tag and probability of the tag.

        Example:
            >>> model = rnnkit.load("work/tagger")
            >>> model.tag_words("The king sat.")
            [('The', '...', 0...), ('king', '...', 0...), ('sat', '...', 0...), ('.', '...', 0...)]
        """
        output = self._index(column)
        (text,) = self._label([line], LabelTextOptions(raw=True))
        found = text.outputs[output]
        return list(zip(text.words, found.alternatives[0].labels, found.probability, strict=True))


class TextClassifier(_LabellingModel):
    """A text classifier: a label, or several, for each line."""

    _is_tagger = False

    def classify(self, lines: Iterable[str], *, column: str | None = None) -> list[str]:
        """Classify lines.

        Args:
            lines: Raw text.
            column: Name of the output, of a model with several; the first by default.

        Returns:
            The label of each line; several labels are separated by blanks.

        Raises:
            TypeError: `lines` is a string.
            UsageError: There is no such output.

        Example:
            >>> model = rnnkit.load("work/classifier")
            >>> model.classify(["the king sat"])
            ['...']
        """
        check_lines(lines, "classify([line])")
        output = self._index(column)
        found = [text.outputs[output] for text in self._label(lines, LabelTextOptions())]
        return [" ".join(each.alternatives[0].labels) for each in found]

    def probabilities(self, lines: Iterable[str], *, column: str | None = None) -> list[dict[str, float]]:
        """Compute the probability of each label of lines; arguments and errors as for `classify`.

        Returns:
            The labels of each line with their probabilities, the most probable first.

        Example:
            >>> model = rnnkit.load("work/classifier")
            >>> model.probabilities(["the king sat"])
            [{...}]
        """
        check_lines(lines, "probabilities([line])")
        output = self._index(column)
        return [text.outputs[output].distribution[0] for text in self._label(lines, LabelTextOptions())]
