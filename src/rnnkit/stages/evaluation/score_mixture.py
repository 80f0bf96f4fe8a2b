"""The models and the cache that `score` mixes, and the weights that fit them to a text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnkit.events import Listener, Progress
from rnnkit.stages.evaluation.score_options import (
    CACHE_SIZE,
    DYNAMIC_DECAY,
    DYNAMIC_RATE,
    DYNAMIC_SEGMENT,
    ScoreOptions,
    Shares,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.data.aligned_data import SentenceDataset
    from rnnkit.evaluation.component import Component
    from rnnkit.evaluation.perplexity import Reader
    from rnnkit.models.language_model import LanguageModel
    from rnnkit.stages.evaluation.score_inputs import Lines, Matched, Scorer

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """How components are mixed.

    Attributes:
        weights_K: Of the main model, of each other, of the cache where there is one.
        flatness: The cache's; None where there is none.
        perplexity: Of the text that it was fitted on; not a number where all was given.
    """

    weights_K: FloatArray
    flatness: float | None
    perplexity: float = math.nan


def components(
    options: ScoreOptions, main: Scorer, others: Sequence[Matched], flatnesses: Sequence[float]
) -> list[Component]:
    """The models as they are before they have read anything, the main one first, with its cache.

    Args:
        options: What was asked for.
        main: The main model.
        others: Those it is mixed with.
        flatnesses: Values of the cache's flatness to look at; none without a cache.
    """
    first = _network(options, main.network, flatnesses) if main.network is not None else _counts(options, main)
    return [first, *(_plain(other.scorer) for other in others)]


def read(group: Lines, others: Sequence[Matched]) -> list[SentenceDataset]:
    """The lines as each model reads them, the main one first."""
    return [group.text, *(other.read(group) for other in others)]


def predict(models: Sequence[Component], texts: Sequence[SentenceDataset]) -> FloatArray:
    """Natural logarithm of the probability of each token (K, N): the models in order, then the cache's rows.

    Args:
        models: As `components` made them.
        texts: The next lines as each of them reads them.
    """
    import numpy as np

    first, *rest = [model.rows(text) for model, text in zip(models, texts, strict=True)]
    return np.concatenate([first[:1], *rest, first[1:]])


def fit(
    models: Sequence[Component],
    groups: Iterable[Lines],
    others: Sequence[Matched],
    shares: Shares,
    flatnesses: Sequence[float],
    listen: Listener,
) -> Fitted:
    """The weights and the flatness under which a text is most probable.

    Args:
        models: As `components` made them, with all flatnesses that are to be tried.
        groups: The text.
        others: The models beside the main one.
        shares: Weights that are known.
        flatnesses: What the cache's rows stand for.
        listen: Hears how far it is.
    """
    import numpy as np

    from rnnkit.evaluation import interpolation
    from rnnkit.evaluation.perplexity import perplexity

    parts, lines = [], 0
    for group in groups:
        parts.append(predict(models, read(group, others)))
        lines += len(group.text)
        listen(Progress("tune", lines))
    listen(Progress("tune", lines, finished=True))
    rows = np.concatenate(parts, axis=1)
    found = []
    for place, flatness in enumerate(flatnesses or [None]):
        chosen = rows if flatness is None else rows[[*range(len(models)), len(models) + place]]
        weights_K = interpolation.fit(chosen, shares.given)
        reached = perplexity(-float(interpolation.mix(chosen, weights_K).mean()))
        found.append(Fitted(weights_K, flatness, reached))
    return min(found, key=lambda each: each.perplexity)


def names(shares: Shares, options: ScoreOptions) -> list[str]:
    """How the components are called, in order."""
    return [str(path) for path in (options.folder, *shares.others)] + (["cache"] if options.cache else [])


def _plain(scorer: Scorer) -> Component:
    """A model with nothing beside it."""
    from rnnkit.evaluation.component import Counts, Network
    from rnnkit.evaluation.perplexity import make_reader

    if scorer.network is not None:
        return Network(make_reader(scorer.network))
    return Counts(scorer.ngrams)


def _counts(options: ScoreOptions, main: Scorer) -> Component:
    from rnnkit.evaluation.component import Counts
    from rnnkit.evaluation.unigram_cache import UnigramCache

    return Counts(main.ngrams, UnigramCache(options.cache_size or CACHE_SIZE) if options.cache else None)


def _network(options: ScoreOptions, network: LanguageModel, flatnesses: Sequence[float]) -> Component:
    from rnnkit.evaluation.cache import NeuralCache
    from rnnkit.evaluation.component import Network
    from rnnkit.evaluation.perplexity import make_reader

    reader = _dynamic_reader(options, network) if options.dynamic else make_reader(network)
    return Network(reader, NeuralCache(options.cache_size or CACHE_SIZE, flatnesses) if options.cache else None)


def _dynamic_reader(options: ScoreOptions, network: LanguageModel) -> Reader:
    from rnnkit.evaluation.dynamic import DynamicReader, Settings

    method: Any = options.dynamic_method or "rms"  # held to the choices by `config.resolve`
    rate, decay = options.dynamic_rate, options.dynamic_decay
    settings = Settings(
        method=method,
        rate=DYNAMIC_RATE[method] if rate is None else rate,
        decay=DYNAMIC_DECAY if decay is None else decay,
        segment=options.dynamic_segment or DYNAMIC_SEGMENT,
    )
    return DynamicReader(network, settings)
