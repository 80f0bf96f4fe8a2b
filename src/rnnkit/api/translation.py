"""`rnnkit.Translator`: sequence-to-sequence models with methods on strings and lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import TypedDict, Unpack, overload

import torch

from rnnkit.api import check_lines
from rnnkit.api.search_options import check_search
from rnnkit.decoding.constraints import UNCONSTRAINED
from rnnkit.decoding.rescoring import score_pairs
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import SearchOptions, max_training_lengths
from rnnkit.decoding.translate import TranslationOptions, translate_lines
from rnnkit.decoding.translator import TranslationEnsemble, TranslatorFiles, encode_tokens, load_translator
from rnnkit.errors import DataError
from rnnkit.models import store
from rnnkit.nn.device import choose_device

BATCH_TOKENS = 4096
"""Tokens per batch, the default of `rnnkit decode`."""

BLOCK_PAIRS = 2000
"""Sentence pairs that are sorted by length into batches together."""


class Search(TypedDict, total=False):
    """Options of a search; all lengths are in tokens.

    Attributes:
        beam: Beam size, 5 by default; 1 is greedy search.
        length_penalty: Hypotheses are scored by log p / length^penalty; 1 by default.
        max_length: Most tokens of an output; by default derived from the source.
        min_length: Least tokens of an output.
        no_repeat_ngram: Block repeated n-grams of this size.
        temperature: Temperature of sampling; below 1 sharpens the distribution.
        top_k: Sample from the k most probable tokens.
        top_p: Sample from the most probable tokens whose probabilities reach p.
        seed: Seed of sampling.
    """

    beam: int
    length_penalty: float
    max_length: int
    min_length: int
    no_repeat_ngram: int
    temperature: float
    top_k: int
    top_p: float
    seed: int


@dataclass(frozen=True)
class Hypothesis:
    """One output of a model.

    Attributes:
        text: The output.
        score: Its score: the log-probability with length penalty.
        log_probability: Its log-probability in nats.
        tokens: Its tokens.
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...]


class Translator:
    """A sequence-to-sequence model, or an ensemble.

    Args:
        ensemble: The models.
    """

    def __init__(self, ensemble: TranslationEnsemble) -> None:
        self._ensemble = ensemble
        self._longest = max_training_lengths(
            [store.training_max_lengths(model.folder, model.languages) for model in ensemble.models]
        )

    @classmethod
    def load(
        cls, *paths: str | os.PathLike[str], checkpoint: str = "best", device: str = "auto", int8: bool = False
    ) -> Translator:
        """Load a model directory; several make an ensemble.

        Args:
            *paths: Model directories with the same tokenizer and vocabularies.
            checkpoint: Weights: best, last or average.
            device: auto, cpu or cuda.
            int8: Use int8 dynamic quantization (CPU).

        Raises:
            DataError: A model or its checkpoint is missing.
            ArtefactError: A model is of another kind, or models do not belong together.
            FormatError: A file is damaged.
        """
        files = TranslatorFiles([Path(path) for path in paths], checkpoint)
        return cls(load_translator(files, choose_device(device), int8))

    def __repr__(self) -> str:
        """Folders, architecture and languages."""
        main = self._ensemble.main
        folders = ", ".join(str(model.folder) for model in self._ensemble.models)
        return f"Translator({folders}: {main.network.config.arch}, {main.languages[0]} to {main.languages[1]})"

    @overload
    def translate(self, lines: Iterable[str], *, nbest: None = None, **search: Unpack[Search]) -> list[str]: ...
    @overload
    def translate(self, lines: Iterable[str], *, nbest: int, **search: Unpack[Search]) -> list[list[Hypothesis]]: ...

    def translate(
        self, lines: Iterable[str], *, nbest: int | None = None, **search: Unpack[Search]
    ) -> list[str] | list[list[Hypothesis]]:
        """Translate lines.

        Args:
            lines: Raw source text.
            nbest: Return this many hypotheses of each line, best first, instead of the best text.
            **search: Options of the search, see `Search`.

        Raises:
            TypeError: `lines` is a string, or there is no such option.
            UsageError: An option is out of bounds.

        Example:
            >>> model = rnnkit.load("work/model")
            >>> model.translate(["ein Hund läuft"], beam=5)
            ['...']
            >>> [[first, second]] = model.translate(["ein Hund läuft"], beam=5, nbest=2)
            >>> first.score >= second.score
            True
        """
        check_lines(lines, "translate([line])")
        check_search("translate", Search.__annotations__ | {"nbest": int}, {**search, "nbest": nbest})
        if nbest is None:
            return list(self.stream(lines, **search))
        return list(self._hypotheses(lines, nbest, search))

    def stream(self, lines: Iterable[str], **search: Unpack[Search]) -> Iterator[str]:
        """Translate any number of lines in order, reading a block ahead; arguments and errors as for `translate`.

        Example:
            >>> model = rnnkit.Translator.load("work/model")
            >>> for text in model.stream(open("test.de", encoding="utf-8")):
            ...     print(text)
            ...
        """
        check_lines(lines, "stream([line])")
        check_search("stream", Search.__annotations__, {**search})
        return (hypotheses[0].text for hypotheses in self._hypotheses(lines, 1, search))

    def _hypotheses(self, lines: Iterable[str], nbest: int, search: Search) -> Iterator[list[Hypothesis]]:
        settings = SearchOptions(
            beam=max(search.get("beam", 5), nbest),
            alpha=search.get("length_penalty", 1.0),
            max_length=search.get("max_length", 0),
            nbest=nbest,
            min_length=search.get("min_length", 0),
            no_repeat_ngram=search.get("no_repeat_ngram", 0),
            max_source_length=self._longest.max_source_length,
            max_output_length=self._longest.max_output_length,
        )
        sampling = sampling_options(search.get("temperature"), search.get("top_k"), search.get("top_p"))
        workers = torch.get_num_threads() if self._ensemble.device.type == "cpu" else 1
        options = TranslationOptions(
            settings, BATCH_TOKENS, sampling=sampling, seed=search.get("seed", 1), workers=workers
        )
        for line in translate_lines(self._ensemble, ((line, UNCONSTRAINED) for line in lines), options):
            if not line.hypotheses:  # an empty line
                yield [Hypothesis("", 0.0, 0.0, ())]
                continue
            yield [
                Hypothesis(text, found.score, found.log_p, tokens)
                for text, found, tokens in zip(line.outputs, line.hypotheses, line.tokens, strict=True)
            ]

    def score(self, sources: Iterable[str], targets: Iterable[str]) -> list[float]:
        """Compute the log-probability of translations, given their sources.

        Args:
            sources: Raw source lines.
            targets: A translation of each.

        Returns:
            Log-probability of each translation with EOS, in nats.

        Raises:
            DataError: There are more lines of one side, or a pair does not fit into memory.
            TypeError: An argument is a string.

        Example:
            >>> model = rnnkit.load("work/model")
            >>> model.score(["ein Hund"], ["a dog"])
            [-...]
        """
        check_lines(sources, "score([source], [target])")
        check_lines(targets, "score([source], [target])")
        pairs = _pairs(sources, targets)
        scores: list[float] = []
        while block := list(islice(pairs, BLOCK_PAIRS)):
            scores += self._score_block(block, len(scores) + 1)
        return scores

    def _score_block(self, block: Sequence[tuple[str, str]], first_line: int) -> list[float]:
        model, longest = self._ensemble.main, self._longest
        sources = [
            self._ensemble.encode(model.tokenizer.tokenize(source)[: longest.max_source_length - 1])
            for source, _ in block
        ]
        targets = [
            encode_tokens(
                model.target_vocabulary, model.tokenizer.tokenize(target)[: longest.max_output_length - 1], oov
            )
            for (_, target), (_, oov) in zip(block, sources, strict=True)
        ]
        found = score_pairs(self._ensemble, [ids for ids, _ in sources], targets, first_line=first_line)
        return [float(log_p_T.sum()) for log_p_T in found]


def sampling_options(temperature: float | None, top_k: int | None, top_p: float | None) -> SamplingOptions | None:
    """Return options of sampling; None for search, if none of them is given."""
    if temperature is None and top_k is None and top_p is None:
        return None
    return SamplingOptions(temperature or 1.0, top_k or 0, top_p or 1.0)


def _pairs(sources: Iterable[str], targets: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, (source, target) in enumerate(zip_longest(sources, targets), start=1):
        if source is None or target is None:
            more, fewer = ("targets", "sources") if source is None else ("sources", "targets")
            raise DataError(f"there are more {more} than {fewer}: {number - 1:,} {fewer}", line=number)
        yield source, target
