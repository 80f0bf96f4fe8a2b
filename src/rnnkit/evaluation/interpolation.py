"""Linear interpolation of language models and a cache, with maximum-likelihood weights (Jelinek and Mercer 1980).

    p(w) = sum over k of v_k p_k(w)          v_k >= 0, sum v_k = 1

Expectation maximization (EM; Dempster et al. 1977) fits the weights on held-out text. An iteration sets each weight to
the mean posterior probability of its component, and never lowers the likelihood:

    v_k <- mean over t of  v_k p_k(w_t) / sum over j of v_j p_j(w_t)

Given weights stay fixed; the others share the remaining mass in proportion to their means. The components are a main
model, other models whose vocabularies are matched with its own by spelling, and a cache of the main model.

Shapes: K components, the main model first and the cache, if any, last; N tokens; V entries of a vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset, reversed_positions
from rnnkit.errors import ArtefactError
from rnnkit.events import Listener, Progress, WarningEvent
from rnnkit.text import special_tokens

if TYPE_CHECKING:
    from rnnkit.evaluation.lm_adaptation import DynamicSettings, NeuralCache, UnigramCache
    from rnnkit.evaluation.lm_scorer import ScoredLines, Scorer
    from rnnkit.evaluation.perplexity import Evaluator
    from rnnkit.models.language_model import LanguageModelNetwork
    from rnnkit.ngrams.ngram_model import BackoffModel
    from rnnkit.text.vocabulary_mapping import VocabularyMapping

FloatArray = NDArray[np.float64]

MAX_EM_ITERATIONS = 1000
"""Maximum number of EM iterations."""

MIN_LIKELIHOOD_GAIN = 1e-9
"""EM stops when an iteration gains less than this, in nats per token."""


def interpolate(log_p_KN: FloatArray, weights_K: FloatArray) -> FloatArray:
    """Compute ln p of each token under the mixture, (N,).

    Args:
        log_p_KN: Log-probabilities under the components; -inf for a probability of zero.
        weights_K: Weights of the components, which sum to 1.
    """
    if len(weights_K) == 1:
        return np.array(log_p_KN[0])
    top_N, share_KN = _scale(log_p_KN)
    with np.errstate(divide="ignore"):
        mixed_N: FloatArray = top_N + np.log(weights_K @ share_KN)
    return mixed_N


def fit_weights(log_p_KN: FloatArray, given: Sequence[float | None]) -> FloatArray:
    """Fit the weights (K,) that maximize the likelihood of a text.

    Args:
        log_p_KN: Log-probabilities of the tokens under the components.
        given: Fixed weights, None for those to fit. The fixed weights sum to at most 1, and to 1 if all are fixed.
    """
    free_K = np.array([weight is None for weight in given])
    weights_K = np.array([0.0 if weight is None else weight for weight in given])
    rest = 1.0 - float(weights_K.sum())
    if not free_K.any():
        return weights_K
    weights_K[free_K] = rest / free_K.sum()
    _, share_KN = _scale(log_p_KN)
    share_KN = share_KN[:, weights_K @ share_KN > 0]
    best_likelihood = -np.inf
    for _ in range(MAX_EM_ITERATIONS):
        mixed_N = weights_K @ share_KN
        likelihood = float(np.log(mixed_N).mean()) if len(mixed_N) else 0.0
        if likelihood - best_likelihood < MIN_LIKELIHOOD_GAIN:
            break
        best_likelihood = likelihood
        posterior_K = weights_K * (share_KN @ (1 / mixed_N))
        if posterior_K[free_K].sum() > 0:
            weights_K[free_K] = rest * posterior_K[free_K] / posterior_K[free_K].sum()
    return weights_K


def _scale(log_p_KN: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the maximum log-probability of each token, (N,), and all probabilities relative to it, (K, N)."""
    top_N = log_p_KN.max(axis=0)
    safe_N = np.where(np.isneginf(top_N), 0.0, top_N)
    return safe_N, np.exp(log_p_KN - safe_N)


class MixtureComponent(Protocol):
    """A model that scores a text in consecutive blocks of lines and keeps its state between them."""

    def log_probs(self, text: SentenceDataset) -> FloatArray:
        """Compute ln p of each token of the next lines: a row for the model, then a row per setting of its cache."""
        ...


class NeuralComponent:
    """A neural model with an optional neural cache.

    Args:
        evaluator: Scores text with the model.
        cache: The cache.
        backward: Whether it is a backward language model, which reads lines right to left.
    """

    def __init__(self, evaluator: Evaluator, cache: NeuralCache | None = None, backward: bool = False) -> None:
        self._evaluator = evaluator
        self._cache = cache
        self._backward = backward

    def log_probs(self, text: SentenceDataset) -> FloatArray:
        """Compute ln p of the tokens in the order of the text: a row for the model, then one per flatness."""
        blocks = []
        for block in self._evaluator.evaluate(text.reversed() if self._backward else text):
            model_1N = block.log_p_N[np.newaxis]
            blocks.append(model_1N if self._cache is None else np.concatenate([model_1N, self._cache.score(block)]))
        log_p_KN = np.concatenate(blocks, axis=1)
        return log_p_KN[:, reversed_positions(text.offsets)] if self._backward else log_p_KN


class NgramComponent:
    """An n-gram model with an optional unigram cache. The context is reset at each line, the cache is not.

    Args:
        model: The n-gram model.
        cache: The cache.
    """

    def __init__(self, model: BackoffModel, cache: UnigramCache | None = None) -> None:
        self._model = model
        self._cache = cache

    def log_probs(self, text: SentenceDataset) -> FloatArray:
        """Compute ln p: a row for the model, then one for the cache."""
        log_p_N = self._model.score(text.ids, text.offsets)
        rows = [log_p_N] if self._cache is None else [log_p_N, self._cache.score(text.ids, log_p_N)]
        return np.stack(rows)


@dataclass(frozen=True)
class MatchedScorer:
    """A model interpolated with the main one, and how it encodes the main model's tokens.

    Attributes:
        scorer: The model.
        matching: Maps ids of the main model's vocabulary to its own; None if the vocabularies are equal.
    """

    scorer: Scorer
    matching: VocabularyMapping | None = None

    def encode(self, lines: ScoredLines) -> SentenceDataset:
        """Return the model's ids of lines in the main model's tokens: those of its tokens with the same spelling.

        A token missing from the main model's vocabulary may exist in this one. A token missing here becomes `<unk>`.
        """
        if self.matching is None:
            return lines.text
        ids = self.matching.other_id_V[np.asarray(lines.text.ids, dtype=np.int64)]
        if lines.raw is not None:
            own_ids = self.scorer.vocabulary.ids
            for position in np.flatnonzero(np.asarray(lines.text.ids) == special_tokens.UNK).tolist():
                row = int(np.searchsorted(lines.text.offsets, position, side="right")) - 1
                token = lines.tokens[row][position - int(lines.text.offsets[row])]
                ids[position] = own_ids.get(token, special_tokens.UNK)
        return SentenceDataset(ids, lines.text.offsets)


def match_models(main: Scorer, other: Scorer, listen: Listener) -> MatchedScorer:
    """Match the vocabularies of two models by spelling.

    Args:
        main: The model whose tokens the text is split into.
        other: The model to interpolate with.
        listen: Receives a warning about tokens that only one of them has.

    Raises:
        ArtefactError: The models read in different directions or tokenize differently, or most tokens do not match;
            both are named.
    """
    from rnnkit.text import vocabulary_mapping

    names = str(main.folder), str(other.folder)
    if main.is_backward != other.is_backward:
        forward, backward = (other, main) if main.is_backward else (main, other)
        raise ArtefactError(
            f"{main.folder} and {other.folder} read in different directions",
            f"{backward.folder} reads lines right to left (`rnnkit train-lm --direction backward`), {forward.folder} "
            "left to right, so a mixture of their probabilities is not a probability of the line",
            hint="interpolate models of one direction",
            path=other.folder,
        )
    if main.tokenizes and other.tokenizes and main.tokenizer_identity != other.tokenizer_identity:
        raise ArtefactError(
            f"{main.folder} and {other.folder} do not predict the same tokens",
            f"they tokenize differently: {_describe_tokenizer(main)}, {_describe_tokenizer(other)}",
            hint="interpolate models trained on data made with one tokenizer",
            path=other.folder,
        )
    if main.vocabulary.tokens == other.vocabulary.tokens:
        return MatchedScorer(other)
    found = vocabulary_mapping.map_vocabulary(
        main.vocabulary, other.vocabulary, _frequencies(main), _frequencies(other)
    )
    vocabulary_mapping.check_overlap(found, *names)
    if warning := vocabulary_mapping.describe_mismatches(found, *names):
        listen(WarningEvent(warning))
    return MatchedScorer(other, found)


def _frequencies(scorer: Scorer) -> FloatArray:
    from rnnkit.text.vocabulary_mapping import token_frequencies

    return token_frequencies(scorer.vocabulary, None if scorer.ngram_model is None else scorer.ngram_model.unigrams())


def _describe_tokenizer(scorer: Scorer) -> str:
    how = "at white space" if scorer.tokenizer is None else f"with the tokenizer {scorer.tokenizer}"
    return f"{scorer.folder} {how}"


@dataclass(frozen=True)
class Mixture:
    """The models to interpolate.

    Attributes:
        main: The main model.
        others: The models interpolated with it.
        cache_size: Tokens in the cache of the main model; None without a cache.
        dynamic: Dynamic evaluation of the main model; None if its weights stay fixed.
    """

    main: Scorer
    others: tuple[MatchedScorer, ...] = ()
    cache_size: int | None = None
    dynamic: DynamicSettings | None = None

    @property
    def names(self) -> list[str]:
        """Names of the K components."""
        folders = [self.main.folder, *(other.scorer.folder for other in self.others)]
        return [str(folder) for folder in folders] + ([] if self.cache_size is None else ["cache"])

    def start(self, flatnesses: Sequence[float]) -> list[MixtureComponent]:
        """Return the models in their initial state, the main one first, with its cache.

        Args:
            flatnesses: Flatness parameters (theta) of the cache, a row of scores for each; empty without a cache.
        """
        if self.main.network is not None:
            first = self._start_network(self.main.network, flatnesses)
        else:
            first = self._start_ngrams()
        return [first, *(_start_plain(other.scorer) for other in self.others)]

    def encode(self, lines: ScoredLines) -> list[SentenceDataset]:
        """Encode lines for each model, the main one first."""
        return [lines.text, *(other.encode(lines) for other in self.others)]

    def _start_ngrams(self) -> MixtureComponent:
        from rnnkit.evaluation.lm_adaptation import UnigramCache

        return NgramComponent(self.main.ngrams, None if self.cache_size is None else UnigramCache(self.cache_size))

    def _start_network(self, network: LanguageModelNetwork, flatnesses: Sequence[float]) -> MixtureComponent:
        from rnnkit.evaluation.lm_adaptation import DynamicEvaluator, NeuralCache
        from rnnkit.evaluation.perplexity import make_evaluator

        reader = make_evaluator(network) if self.dynamic is None else DynamicEvaluator(network, self.dynamic)
        cache = None if self.cache_size is None else NeuralCache(self.cache_size, flatnesses)
        return NeuralComponent(reader, cache, self.main.is_backward)


def _start_plain(scorer: Scorer) -> MixtureComponent:
    """Return a model without a cache."""
    from rnnkit.evaluation.perplexity import make_evaluator

    if scorer.network is not None:
        return NeuralComponent(make_evaluator(scorer.network), backward=scorer.is_backward)
    return NgramComponent(scorer.ngrams)


def component_log_probs(components: Sequence[MixtureComponent], texts: Sequence[SentenceDataset]) -> FloatArray:
    """Compute ln p of each token under each component, (K, N): the models in order, then the cache.

    Args:
        components: The models, as `Mixture.start` returned them.
        texts: The next lines, encoded for each of them.
    """
    first, *rest = [component.log_probs(text) for component, text in zip(components, texts, strict=True)]
    return np.concatenate([first[:1], *rest, first[1:]])


@dataclass(frozen=True)
class FittedMixture:
    """Interpolation weights.

    Attributes:
        weights_K: Weight of each component.
        flatness: Flatness of the cache; None without a cache.
        perplexity: Perplexity of the text they were fitted on; NaN if all weights were given.
    """

    weights_K: FloatArray
    flatness: float | None
    perplexity: float = math.nan


def fit_mixture(
    mixture: Mixture,
    blocks: Iterable[ScoredLines],
    given: Sequence[float | None],
    flatnesses: Sequence[float],
    listen: Listener,
) -> FittedMixture:
    """Find the weights, and the flatness of the cache, that maximize the likelihood of a text.

    Args:
        mixture: The models.
        blocks: The text.
        given: Weight of each component, None if it is to be fitted.
        flatnesses: Flatness parameters to try.
        listen: Receives the progress.
    """
    from rnnkit.evaluation.perplexity import perplexity

    components = mixture.start(flatnesses)
    log_probs, lines = [], 0
    for block in blocks:
        log_probs.append(component_log_probs(components, mixture.encode(block)))
        lines += len(block.text)
        listen(Progress("tune", lines))
    listen(Progress("tune", lines, finished=True))
    all_log_p_KN = np.concatenate(log_probs, axis=1)
    found = []
    for index, flatness in enumerate(flatnesses or [None]):
        models = len(components)
        log_p_KN = all_log_p_KN if flatness is None else all_log_p_KN[[*range(models), models + index]]
        weights_K = fit_weights(log_p_KN, given)
        reached = perplexity(-float(interpolate(log_p_KN, weights_K).mean()))
        found.append(FittedMixture(weights_K, flatness, reached))
    return min(found, key=lambda each: each.perplexity)
