"""Model directories of taggers and text classifiers.

config.json  labels.json  vocab.tsv  [tokenizer/]  best.safetensors  [average.safetensors]
[word-vectors/]  [language-models/]  meta.json

`labels.json` has the labels of each output in the order of the network's classes, the scheme of their spans, and the
alphabet of the character encoder.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch

from rnnkit.data.labelled_data import LabelSet
from rnnkit.data.word_table import Alphabet
from rnnkit.errors import DataError, FormatError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import read_json
from rnnkit.json_types import JsonMapping
from rnnkit.models import model_weights, store
from rnnkit.models.labelling import embedded_language_models, linear_store, static_vectors
from rnnkit.models.labelling.labelling_encoder import LabellingConfig
from rnnkit.models.labelling.language_model_states import LanguageModelStates
from rnnkit.models.labelling.linear_store import LinearClassifier
from rnnkit.models.labelling.static_vectors import StaticVectors
from rnnkit.models.labelling.tagger import TaggerNetwork
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.models.lm_store import VOCABULARY_FILE, find_tokenizer
from rnnkit.nn.crf import ChainMask, LinearChainCRF
from rnnkit.text.span_schemes import may_follow, parse_scheme
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.vocabulary import Vocabulary

LABELS_FILE = "labels.json"


@dataclass(frozen=True)
class LabelInventory:
    """What a model predicts, and the characters that it distinguishes.

    Attributes:
        columns: The labels of each output.
        alphabet: Characters of the training words.
    """

    columns: tuple[LabelSet, ...]
    alphabet: Alphabet


@dataclass(frozen=True)
class LoadedLabeller:
    """A tagger or text classifier, loaded from its directory.

    Attributes:
        folder: The model directory.
        network: In evaluation mode, on its device; or a linear classifier.
        tokenizer: Tokenizer of raw text; None if the model reads tokens.
        vocabulary: The vocabulary.
        inventory: Labels and alphabet.
        text: Name of the training text.
        facts: Metadata of the weights, such as step and validation scores.
        static_vectors: The vectors that represent words beside the embeddings; None if the network has none.
        language_models: The language models whose states represent words; None if the network has none.
        marks: Tokenizer whose marks the tokens of a classifier have; None for words without marks.
    """

    folder: Path
    network: TaggerNetwork | ClassifierNetwork | LinearClassifier
    tokenizer: Tokenizer | None
    vocabulary: Vocabulary
    inventory: LabelInventory
    text: str
    facts: JsonMapping
    static_vectors: StaticVectors | None = None
    language_models: LanguageModelStates | None = None
    marks: Tokenizer | None = None

    @property
    def is_tagger(self) -> bool:
        """Whether it labels words."""
        return isinstance(self.network, TaggerNetwork)


def character_features(config: LabellingConfig, alphabet: Alphabet) -> Callable[[str], Sequence[int]] | None:
    """Return the function that maps a word to the ids of its characters or n-grams; None if the network has none."""
    if config.characters == "none":
        return None
    if config.characters == "ngrams":
        return lambda word: hash_ngrams(word, config.alphabet)
    return alphabet.encode


MIN_NGRAM, MAX_NGRAM = 2, 5
"""Lengths of character n-grams, in characters, with `<` and `>` around the word."""

MAX_NGRAM_CHARACTERS, MAX_SHAPE_CHARACTERS = 512, 64
"""Characters of a longer word that are read."""

SHAPE_WEIGHT = 2
"""How often the shape of a word counts in the mean of its n-grams, of which a word of six letters has 22."""


def hash_ngrams(word: str, buckets: int) -> list[int]:
    """Return the ids of a word's character n-grams and shapes: their CRC-32 modulo the number of buckets.

    The shapes, as in taggers of Ratnaparkhi (1996, W96-0213), are those of `word_shapes` and the word in lower case.
    They are common to words without a common n-gram, such as all that begin with a capital letter.
    """
    marked = f"<{word[:MAX_NGRAM_CHARACTERS]}>"
    ngrams = [
        marked[start : start + size]
        for size in range(MIN_NGRAM, MAX_NGRAM + 1)
        for start in range(max(1, len(marked) - size + 1))
    ]
    shape, short = word_shapes(word[:MAX_SHAPE_CHARACTERS])
    shapes = [f"\0s{shape}", f"\0c{short}", f"\0l{word[:MAX_SHAPE_CHARACTERS].lower()}"]
    return [zlib.crc32(feature.encode()) % buckets for feature in ngrams + shapes * SHAPE_WEIGHT]


def word_shapes(word: str) -> tuple[str, str]:
    """Return the word shape, `Xxx-dd` of `Abc-12`, and the same without repeats, `Xx-d`."""
    shape = "".join(map(_character_class, word))
    return shape, "".join(kind for kind, _ in groupby(shape))


def _character_class(character: str) -> str:
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return "d" if character.isdigit() else character


def make_crfs(columns: Sequence[LabelSet]) -> list[LinearChainCRF]:
    """Return a CRF for each column; transitions that its scheme of spans does not allow are forbidden."""
    crfs = []
    for column in columns:
        labels = column.labels
        if column.scheme is None:
            crfs.append(LinearChainCRF(len(labels)))
            continue
        scheme = parse_scheme(column.scheme)
        start_C = torch.tensor([may_follow(None, label, scheme) for label in labels])
        end_C = torch.tensor([may_follow(label, None, scheme) for label in labels])
        pairs = [[may_follow(before, after, scheme) for after in labels] for before in labels]
        crfs.append(LinearChainCRF(len(labels), ChainMask(start_C, end_C, torch.tensor(pairs))))
    return crfs


def create_labeller(
    folder: Path,
    task: str,
    config: LabellingConfig,
    inventory: LabelInventory,
    text: str,
    tokenizer: Path | None,
    vocabulary: Path,
    vectors: StaticVectors | None = None,
    language_models: LanguageModelStates | None = None,
) -> None:
    """Create the model directory of a tagger or text classifier, with its static vectors and language models.

    Its own weights are not written yet.

    Raises:
        ArtefactError: The directory cannot be written.
    """
    store.create_model_dir(folder, tokenizer, {VOCABULARY_FILE: vocabulary})
    store.write_config(folder, task, [text], [VOCABULARY_FILE], dataclasses.asdict(config))
    write_inventory(folder, inventory)
    if vectors is not None:
        static_vectors.copy_vectors(vectors, folder)
    if language_models is not None:
        embedded_language_models.copy_language_models(language_models, folder)


def write_inventory(folder: Path, inventory: LabelInventory) -> None:
    """Write `labels.json`. Raises ArtefactError if it cannot be written."""
    document = {
        "columns": [dataclasses.asdict(column) for column in inventory.columns],
        "alphabet": inventory.alphabet.characters,
    }
    with atomic_file(folder / LABELS_FILE) as file:
        file.write(json.dumps(document, indent=1) + "\n")


def read_inventory(folder: Path) -> LabelInventory:
    """Read `labels.json`.

    Raises:
        FormatError: It is missing or damaged.
    """
    path = folder / LABELS_FILE
    try:
        document = read_json(path)
        if not isinstance(document, dict) or not isinstance(document.get("alphabet"), str):
            raise ValueError("it has no alphabet")
        columns = tuple(_parse_column(each) for each in document["columns"])
        if not columns:
            raise ValueError("it has no columns")
        return LabelInventory(columns, Alphabet(document["alphabet"]))
    except FileNotFoundError:
        raise FormatError(f"{path} is missing", hint="copy the model directory again", path=path) from None
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise FormatError(f"{path} is damaged", str(error), hint="copy the model directory again", path=path) from error


def _parse_column(document: JsonMapping) -> LabelSet:
    labels, counts = document["labels"], document["counts"]
    if not all(isinstance(label, str) for label in labels) or not all(isinstance(count, int) for count in counts):
        raise ValueError("labels or counts have the wrong type")
    if not labels or len(labels) != len(counts) or len(set(labels)) != len(labels):
        raise ValueError("labels are missing or repeated")
    scheme = document["scheme"]
    if scheme is not None and not isinstance(scheme, str):
        raise ValueError("the scheme has the wrong type")
    return LabelSet(str(document["name"]), tuple(labels), tuple(counts), scheme, bool(document["many"]))


def make_network(task: str, config: LabellingConfig, inventory: LabelInventory) -> TaggerNetwork | ClassifierNetwork:
    """Build a network for a task and its labels, with random weights."""
    if task == store.TAGGING:
        return TaggerNetwork(config, crfs=make_crfs(inventory.columns) if config.crf else ())
    return ClassifierNetwork(config)


def load_labeller(folder: Path, checkpoint: str, device: torch.device) -> LoadedLabeller:
    """Load a tagger or text classifier for inference.

    Args:
        folder: The model directory.
        checkpoint: `best`, `last` or `average`.
        device: Device of the network.

    Raises:
        DataError: The model or this checkpoint does not exist, or it has another task.
        FormatError: A file is damaged; the message names it.
    """
    document = store.read_config(folder)
    task = document["task"]
    if task not in (store.TAGGING, store.CLASSIFICATION):
        raise DataError(f"{folder} predicts no labels", store.TASK_DESCRIPTIONS.get(task, ""), path=folder)
    inventory = read_inventory(folder)
    if document["network"].get("arch") == linear_store.ARCH:
        return _load_linear(folder, document, inventory, checkpoint)
    path = store.weights_path(folder, checkpoint)
    tensors, facts = model_weights.load(path)
    model_weights.check_finite_weights(tensors, path)
    network = store.build_network(
        folder,
        document["network"],
        lambda shape: make_network(task, LabellingConfig(**shape), inventory),
        tensors,
        path,
    )
    vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
    sizes = {
        VOCABULARY_FILE: (len(vocabulary), network.config.vocabulary),
        LABELS_FILE: ([len(column.labels) for column in inventory.columns], list(network.config.labels)),
    }
    for name, (found, expected) in sizes.items():
        if found != expected:
            raise FormatError(
                f"{folder / name} does not fit config.json", f"{found} entries, expected {expected}", path=folder / name
            )
    tokenizer = find_tokenizer(folder)
    return LoadedLabeller(
        folder=folder,
        network=network.to(device).eval(),
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        inventory=inventory,
        text=str(document["languages"][0]),
        facts=facts,
        static_vectors=_load_vectors(folder, network.config),
        language_models=_load_language_models(folder, network.config, device),
        marks=None if task == store.TAGGING else tokenizer,
    )


def _load_vectors(folder: Path, config: LabellingConfig) -> StaticVectors | None:
    return static_vectors.load_vectors(folder, config.word_vectors) if config.word_vectors else None


def _load_language_models(folder: Path, config: LabellingConfig, device: torch.device) -> LanguageModelStates | None:
    if not config.language_models:
        return None
    size = config.language_model_states
    return embedded_language_models.load_embedded(folder, config.language_models, size, device)


def _load_linear(folder: Path, document: JsonMapping, inventory: LabelInventory, checkpoint: str) -> LoadedLabeller:
    if checkpoint != "best":
        raise DataError(
            f"{folder} has no {checkpoint} checkpoint", "it is a linear classifier", path=folder, option="--checkpoint"
        )
    classifier, facts = linear_store.load_linear(folder, document["network"], len(inventory.columns[0].labels))
    vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
    text = str(document["languages"][0])
    return LoadedLabeller(folder, classifier, find_tokenizer(folder), vocabulary, inventory, text, facts)
