"""rnnkit: from raw text files to trained, scored sequence models.

    >>> import rnnkit
    >>> model = rnnkit.load("work/model")
    >>> model.translate(["ein Hund läuft"], beam=5)
    ['...']

The commands of the shell are functions of options here: `rnnkit.train_seq2seq(rnnkit.TrainSeq2SeqOptions(...))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rnnkit.api.labelling import Tagger, TextClassifier
    from rnnkit.api.language_modeling import LanguageModel, MaskedLanguageModel, NgramModel
    from rnnkit.api.model_loading import load
    from rnnkit.api.training import bleu, train_classifier, train_embeddings, train_lm, train_seq2seq, train_tagger
    from rnnkit.api.translation import Hypothesis, Translator
    from rnnkit.embeddings.vectors import WordVectors
    from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
    from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
    from rnnkit.stages.training.train_lm_options import TrainLMOptions
    from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions

__version__ = "0.1.0"

__all__ = [
    "Hypothesis",
    "LanguageModel",
    "MaskedLanguageModel",
    "NgramModel",
    "Tagger",
    "TextClassifier",
    "TrainClassifierOptions",
    "TrainEmbeddingsOptions",
    "TrainLMOptions",
    "TrainSeq2SeqOptions",
    "TrainTaggerOptions",
    "Translator",
    "WordVectors",
    "bleu",
    "load",
    "train_classifier",
    "train_embeddings",
    "train_lm",
    "train_seq2seq",
    "train_tagger",
]

_MODULES: Final = {
    "Hypothesis": "api.translation",
    "LanguageModel": "api.language_modeling",
    "MaskedLanguageModel": "api.language_modeling",
    "NgramModel": "api.language_modeling",
    "Tagger": "api.labelling",
    "TextClassifier": "api.labelling",
    "TrainClassifierOptions": "stages.training.labelling_options",
    "TrainEmbeddingsOptions": "stages.training.train_embeddings",
    "TrainLMOptions": "stages.training.train_lm",
    "TrainSeq2SeqOptions": "stages.training.train_seq2seq",
    "TrainTaggerOptions": "stages.training.labelling_options",
    "Translator": "api.translation",
    "WordVectors": "embeddings.vectors",
    "bleu": "api.training",
    "load": "api.model_loading",
    "train_classifier": "api.training",
    "train_embeddings": "api.training",
    "train_lm": "api.training",
    "train_seq2seq": "api.training",
    "train_tagger": "api.training",
}


def __getattr__(name: str) -> Any:
    """Import a name of the API at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """The names of the API."""
    return [*globals(), *__all__]
