"""`rnnkit.LanguageModel`, `NgramModel` and `MaskedLanguageModel`: methods on strings and lists."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from rnnkit.api import check_lines
from rnnkit.api.search_options import check_search
from rnnkit.api.translation import BATCH_TOKENS, sampling_options
from rnnkit.decoding.generate import GenerationOptions, TextGenerator, fill_lines, generate_lines
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.errors import DataError
from rnnkit.evaluation import interpolation, lm_scorer
from rnnkit.evaluation.lm_scorer import Scorer
from rnnkit.models import lm_store
from rnnkit.models.lm_store import LoadedMaskedLM
from rnnkit.models.steppers import NeuralPrompts, NgramPrompts
from rnnkit.nn.device import choose_device
from rnnkit.text.masked_lines import tokenize_masked


class LanguageModel:
    """A language model: the probability of each token given those before it.

    Args:
        scorer: The loaded model.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, checkpoint: str = "best", device: str = "auto") -> Self:
        """Load a model directory.

        Args:
            path: The directory.
            checkpoint: Weights: best, last or average.
            device: auto, cpu or cuda.

        Raises:
            DataError: The model or the checkpoint is missing.
            ArtefactError: It is not a language model.
            FormatError: A file is damaged.
        """
        return cls(lm_scorer.open_scorer(Path(path), checkpoint, choose_device(device)))

    def __repr__(self) -> str:
        """Folder, kind and size of the vocabulary."""
        network = self._scorer.network
        kind = f"{self._scorer.ngrams.order}-grams" if network is None else network.config.arch
        tokens = len(self._scorer.vocabulary)
        return f"{type(self).__name__}({self._scorer.folder}: {kind}, {self._scorer.language}, {tokens:,} tokens)"

    def score(self, lines: Iterable[str]) -> list[float]:
        """Compute the log-probability of lines.

        A model of streams reads the lines as one text, a model of lines each by itself.

        Returns:
            Log-probability of each line with EOS, in nats.

        Raises:
            TypeError: `lines` is a string.

        Example:
            >>> model = rnnkit.load("work/lm")
            >>> model.score(["the king sat"])
            [-...]
        """
        check_lines(lines, "score([line])")
        return [log_p for log_p, _ in self._log_probs(lines)]

    def perplexity(self, lines: Iterable[str]) -> float:
        """Compute the perplexity per token of a text; EOS of each line counts as a token.

        Raises:
            DataError: There are no lines.
            TypeError: `lines` is a string.

        Example:
            >>> model = rnnkit.load("work/lm")
            >>> model.perplexity(["the king sat", "the queen ran"]) > 1
            True
        """
        check_lines(lines, "perplexity([line])")
        found = list(self._log_probs(lines))
        if not found:
            raise DataError("there are no lines to compute the perplexity of")
        return math.exp(-sum(log_p for log_p, _ in found) / sum(tokens for _, tokens in found))

    def _log_probs(self, lines: Iterable[str]) -> Iterator[tuple[float, int]]:
        """Log-probability and tokens of each line, EOS included."""
        components = interpolation.Mixture(self._scorer).start(())
        for block in lm_scorer.encode_lines(lines, self._scorer):
            (log_p_N,) = interpolation.component_log_probs(components, [block.text])
            for start, end in zip(block.text.offsets[:-1], block.text.offsets[1:], strict=True):
                yield float(log_p_N[start:end].sum()), int(end - start)

    def generate(
        self,
        prompts: Iterable[str] = ("",),
        *,
        beam: int = 1,
        max_length: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 1,
    ) -> list[str]:
        """Continue prompts with the most probable tokens, or with samples.

        Args:
            prompts: Text to continue; an empty prompt starts a line.
            beam: Beam size; 1 is greedy search.
            max_length: Most tokens of a continuation, EOS included; 0 for 50.
            temperature: Temperature of sampling; below 1 sharpens the distribution.
            top_k: Sample from the k most probable tokens.
            top_p: Sample from the most probable tokens whose probabilities reach p.
            seed: Seed of sampling.

        Returns:
            Each prompt with its continuation.

        Raises:
            TypeError: `prompts` is a string.
            UsageError: An option is out of bounds, or the model is a backward one.

        Example:
            >>> model = rnnkit.load("work/lm")
            >>> model.generate(["the king"], max_length=5, temperature=0.8)
            ['the king...']
        """
        check_lines(prompts, "generate([prompt])")
        given = {
            "beam": beam,
            "max_length": max_length,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "seed": seed,
        }
        check_search("generate", given, given)
        sampling = sampling_options(temperature, top_k, top_p)
        options = GenerationOptions(SearchOptions(beam=beam, max_length=max_length), sampling, seed)
        return [line.texts[0] for line in generate_lines(self._generator(), prompts, options, BATCH_TOKENS)]

    def _generator(self) -> TextGenerator:
        scorer = self._scorer
        if scorer.network is None:
            ngrams = scorer.ngrams
            return TextGenerator(lambda prompts: NgramPrompts(ngrams, prompts), scorer.vocabulary, scorer.tokenizer)
        network = scorer.network
        lm_store.check_generates(scorer.folder, network.config)
        return TextGenerator(lambda prompts: NeuralPrompts(network, prompts), scorer.vocabulary, scorer.tokenizer)


class NgramModel(LanguageModel):
    """An n-gram language model with back-off."""

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return self._scorer.ngrams.order


class MaskedLanguageModel:
    """A masked language model: the probability of each token given both sides of its line.

    Args:
        model: The loaded model.
    """

    def __init__(self, model: LoadedMaskedLM) -> None:
        self._model = model

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, checkpoint: str = "best", device: str = "auto"
    ) -> MaskedLanguageModel:
        """Load a model directory; arguments and errors as for `LanguageModel.load`."""
        return cls(lm_store.load_masked_lm(Path(path), checkpoint, choose_device(device)))

    def __repr__(self) -> str:
        """Folder, language and size of the vocabulary."""
        return (
            f"MaskedLanguageModel({self._model.folder}: {self._model.language}, {len(self._model.vocabulary):,} tokens)"
        )

    def fill(self, lines: Iterable[str], *, gap: str = "___") -> list[str]:
        """Fill the gaps of lines, the most confident prediction first.

        Args:
            lines: Lines with at least one gap each.
            gap: Text of a gap, a word of its own.

        Raises:
            DataError: A line has no gap.
            TypeError: `lines` is a string.

        Example:
            >>> model = rnnkit.load("work/cloze")
            >>> model.fill(["the ___ sat"])
            ['the ... sat']
        """
        check_lines(lines, "fill([line])")
        masked = []
        for number, line in enumerate(lines, start=1):
            tokens = tokenize_masked(line, gap, self._model.tokenizer)
            if None not in tokens:
                raise DataError(
                    f"line {number:,} has no gap", hint=f"write {gap} in place of the missing word", line=number
                )
            masked.append(tokens)
        filled = fill_lines(self._model, masked, 1, allow_unknown=False, batch_tokens=BATCH_TOKENS)
        return [line.texts[0] for line in filled]
