"""Mixtures of language models and a cache: linear interpolation, with weights given or fitted on held-out text.

Shapes: K components, the main model first and the cache, if any, last; N tokens; V entries of a vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError
from rnnkit.events import Listener, Progress, WarningEvent
from rnnkit.text import special_tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.data.aligned_data import SentenceDataset
    from rnnkit.evaluation.dynamic_evaluation import DynamicSettings
    from rnnkit.evaluation.interpolation import MixtureComponent
    from rnnkit.evaluation.lm_scorer import ScoredLines, Scorer
    from rnnkit.models.language_model import LanguageModelNetwork
    from rnnkit.text.vocabulary_mapping import VocabularyMapping

    FloatArray = NDArray[np.float64]


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
        import numpy as np

        from rnnkit.data.aligned_data import SentenceDataset

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
        ArtefactError: The models tokenize differently, or most tokens do not match; both are named.
    """
    from rnnkit.text import vocabulary_mapping

    names = str(main.folder), str(other.folder)
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
        from rnnkit.evaluation.cache_models import UnigramCache
        from rnnkit.evaluation.interpolation import NgramComponent

        return NgramComponent(self.main.ngrams, None if self.cache_size is None else UnigramCache(self.cache_size))

    def _start_network(self, network: LanguageModelNetwork, flatnesses: Sequence[float]) -> MixtureComponent:
        from rnnkit.evaluation.cache_models import NeuralCache
        from rnnkit.evaluation.dynamic_evaluation import DynamicEvaluator
        from rnnkit.evaluation.interpolation import NeuralComponent
        from rnnkit.evaluation.perplexity import make_evaluator

        reader = make_evaluator(network) if self.dynamic is None else DynamicEvaluator(network, self.dynamic)
        return NeuralComponent(reader, None if self.cache_size is None else NeuralCache(self.cache_size, flatnesses))


def _start_plain(scorer: Scorer) -> MixtureComponent:
    """Return a model without a cache."""
    from rnnkit.evaluation.interpolation import NeuralComponent, NgramComponent
    from rnnkit.evaluation.perplexity import make_evaluator

    if scorer.network is not None:
        return NeuralComponent(make_evaluator(scorer.network))
    return NgramComponent(scorer.ngrams)


def component_log_probs(components: Sequence[MixtureComponent], texts: Sequence[SentenceDataset]) -> FloatArray:
    """Compute ln p of each token under each component, (K, N): the models in order, then the cache.

    Args:
        components: The models, as `Mixture.start` returned them.
        texts: The next lines, encoded for each of them.
    """
    import numpy as np

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
    import numpy as np

    from rnnkit.evaluation import interpolation
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
        weights_K = interpolation.fit_weights(log_p_KN, given)
        reached = perplexity(-float(interpolation.interpolate(log_p_KN, weights_K).mean()))
        found.append(FittedMixture(weights_K, flatness, reached))
    return min(found, key=lambda each: each.perplexity)
