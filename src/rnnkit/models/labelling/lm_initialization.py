"""Start of a tagger or text classifier from a language model (ULMFiT, Howard and Ruder 2018, arXiv:1801.06146).

The causal encoder gets the embeddings and layers of the language model. An entry of the vocabulary that this model
lacks gets the mean of its embeddings. Everything behind the encoder is new.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from rnnkit.errors import ArtefactError, FormatError
from rnnkit.models import store
from rnnkit.models.labelling.causal_encoder import CausalEncoder
from rnnkit.models.labelling.labelling_encoder import LabellingConfig, LabellingEncoder
from rnnkit.models.language_model import LanguageModelNetwork, LMConfig
from rnnkit.nn.kinds import LanguageArch
from rnnkit.text import special_tokens
from rnnkit.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class CausalShape:
    """Shape of the layers of a language model; attributes as in `LabellingConfig`."""

    arch: LanguageArch
    embedding: int
    hidden: int
    layers: int
    last_hidden: int
    residual: bool
    heads: int
    memory: int

    def extend(self, config: LabellingConfig) -> LabellingConfig:
        """Return a configuration whose encoder has these layers."""
        return dataclasses.replace(
            config, causal=True, bidirectional=False, layer_norm=False, inner=0, **dataclasses.asdict(self)
        )


def read_causal_shape(folder: Path) -> CausalShape | None:
    """Read the shape of a neural language model, or of a labelling model that started from one; None of other models.

    Raises:
        DataError: The model does not exist.
        ArtefactError: It is an n-gram model, or reads from right to left.
        FormatError: `config.json` is damaged.
    """
    document = store.read_config(folder)
    task, network = document["task"], document["network"]
    path = folder / store.CONFIG_FILE
    try:
        if task == store.LANGUAGE_MODEL:
            if network["arch"] == "ngram":
                raise _no_layers(folder)
            if network.get("direction", "forward") != "forward":
                raise _reads_backward(folder)
            return _shape_of_language_model(LMConfig(**network))
        if task in (store.TAGGING, store.CLASSIFICATION) and network.get("causal"):
            return CausalShape(**{field.name: network[field.name] for field in dataclasses.fields(CausalShape)})
    except (TypeError, LookupError) as error:
        raise FormatError(f"{path} does not describe a valid network", str(error), path=path) from error
    return None


def _no_layers(folder: Path) -> ArtefactError:
    return ArtefactError(
        f"{folder} is an n-gram model",
        "an encoder starts from the layers of a neural language model",
        hint="train one with `rnnkit train-lm --arch lstm`",
        path=folder,
        option="--init-from",
    )


def _reads_backward(folder: Path) -> ArtefactError:
    return ArtefactError(
        f"{folder} is a backward language model",
        "an encoder that starts from a language model reads from left to right",
        hint="train one with `rnnkit train-lm`, without --direction",
        path=folder,
        option="--init-from",
    )


def _shape_of_language_model(config: LMConfig) -> CausalShape:
    is_transformer = config.arch == "transformer"
    return CausalShape(
        arch=config.arch,
        embedding=config.embedding,
        hidden=config.hidden,
        layers=config.layers,
        last_hidden=config.embedding if config.tied else config.hidden,
        residual=config.residual and not is_transformer,
        heads=config.heads if is_transformer else 1,
        memory=config.memory if is_transformer else 0,
    )


@torch.no_grad()
def copy_language_model(
    encoder: LabellingEncoder, source: LanguageModelNetwork, source_vocabulary: Vocabulary, vocabulary: Vocabulary
) -> int:
    """Copy embeddings, matched by their tokens, and layers of a language model into an encoder.

    Args:
        encoder: A `causal` encoder with the shape of the language model.
        source: The language model.
        source_vocabulary: Its vocabulary.
        vocabulary: Vocabulary of the encoder.

    Returns:
        Number of entries that the language model lacks; they get the mean of its embeddings.
    """
    assert isinstance(encoder.layers, CausalEncoder)
    encoder.layers.load_state_dict(source.layers.state_dict(prefix="layers."))
    weight_VE = source.embedding.weight
    first = len(special_tokens.NAMES)
    row_V = torch.tensor(
        [row if row < first else source_vocabulary.ids.get(token, -1) for row, token in enumerate(vocabulary.tokens)]
    )
    new_V = row_V < 0
    table_VE = weight_VE[row_V.clamp(min=0)]
    table_VE[new_V] = (weight_VE[first:] if len(weight_VE) > first else weight_VE).mean(dim=0)
    table_VE[special_tokens.PAD] = 0
    encoder.embedding.weight.copy_(table_VE)
    return int(new_V.sum())
