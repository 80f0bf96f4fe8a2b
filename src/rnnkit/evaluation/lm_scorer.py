"""A language model as `score` uses it: a neural or an n-gram model with its tokenizer, and the lines that it scores."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, WarningEvent
from rnnkit.io import manifest
from rnnkit.options.declare import STDIN
from rnnkit.text import special_tokens, tokenizer
from rnnkit.text.lines import batch_lines
from rnnkit.text.special_tokens import EOS, UNK
from rnnkit.text.tokenizer import FEATURE_SEPARATOR
from rnnkit.text.unicode import NONE

if TYPE_CHECKING:
    import torch

    from rnnkit.data.aligned_data import SentenceDataset
    from rnnkit.models.language_model import LanguageModelNetwork
    from rnnkit.ngrams.ngram_model import BackoffModel
    from rnnkit.text.tokenizer import Tokenizer
    from rnnkit.text.vocabulary import Vocabulary

NGRAM = "ngram"
WHITESPACE_TOKENIZERS = ("blanks", "spaces")
"""Tokenizer types of imported models: the text is already tokenized, and they split it without changing it."""

BLOCK_LINES, BLOCK_CHARACTERS = 256, 1 << 15
"""Most lines, and approximate number of characters, scored at once: how far reading runs ahead of the first result."""

MAX_UNKNOWN_SHARE = 0.5
"""Share of out-of-vocabulary words above which the text is reported as tokenized differently from the training text."""

MAX_PUNCTUATED_SHARE = 0.02
"""The same for out-of-vocabulary words that are in the vocabulary once adjacent punctuation is removed."""


@dataclass(frozen=True)
class Scorer:
    """A model directory that assigns probabilities to tokens; exactly one of `network` and `ngram_model` is set.

    Attributes:
        folder: The model directory.
        vocabulary: The model's tokens.
        vocabulary_digest: SHA-256 of the vocabulary file.
        tokenizer: Tokenizes raw lines; None if the model reads tokenized text.
        tokenizer_identity: Digest of the tokenizer; None without one.
        language: Language of the training text.
        network: The neural model, in evaluation mode on its device.
        ngram_model: The n-gram model.
    """

    folder: Path
    vocabulary: Vocabulary
    vocabulary_digest: str
    tokenizer: Tokenizer | None
    tokenizer_identity: str | None
    language: str
    network: LanguageModelNetwork | None = None
    ngram_model: BackoffModel | None = None

    @property
    def tokenizes(self) -> bool:
        """Whether the model splits raw text itself, rather than reading text that is already tokenized."""
        plain = [{"type": kind, "normalise": NONE, "lowercase": False} for kind in WHITESPACE_TOKENIZERS]
        return self.tokenizer is not None and self.tokenizer.options not in plain

    @property
    def is_backward(self) -> bool:
        """Whether the model reads lines right to left."""
        return self.network is not None and self.network.config.direction == "backward"

    @property
    def ngrams(self) -> BackoffModel:
        """The n-gram model. Raises ValueError for a neural model."""
        if self.ngram_model is None:
            raise ValueError(f"{self.folder} is not an n-gram model")
        return self.ngram_model


def open_scorer(folder: Path, checkpoint: str, device: torch.device) -> Scorer:
    """Open a neural or n-gram language model.

    Args:
        folder: The model directory.
        checkpoint: Which weights of a neural model to load.
        device: Device of a neural model.

    Raises:
        DataError: The model or the checkpoint is missing.
        ArtefactError: The model is not a language model.
        FormatError: A file is damaged.
        UsageError: A checkpoint other than `best` is selected for an n-gram model.
    """
    from rnnkit.models import lm_store, store
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.tokenizer_store import read_tokenizer_identity
    from rnnkit.text.vocabulary import Vocabulary

    document = store.read_config(folder)
    store.check_task(folder, document["task"], store.LANGUAGE_MODEL)
    path = folder / lm_store.VOCABULARY_FILE
    is_ngram = document["network"].get("arch") == NGRAM
    if is_ngram and checkpoint != "best":
        raise UsageError(
            f"--checkpoint {checkpoint}: {folder} is an n-gram model, which has no checkpoints",
            path=folder,
            option="--checkpoint",
        )
    return Scorer(
        folder=folder,
        vocabulary=Vocabulary.load(path),
        vocabulary_digest=manifest.sha256(path),
        tokenizer=lm_store.find_tokenizer(folder),
        tokenizer_identity=read_tokenizer_identity(folder / "tokenizer") if (folder / "tokenizer").exists() else None,
        language=str(document["languages"][0]),
        network=None if is_ngram else lm_store.load_language_model(folder, checkpoint, device).network,
        ngram_model=ngram_store.load(folder / ngram_store.NAME) if is_ngram else None,
    )


@dataclass(frozen=True)
class ScoredLines:
    """A block of lines.

    Attributes:
        text: Token ids, each line ending in EOS; offsets start at 0.
        tokens: The tokens of each line, without EOS.
        raw: The lines as read; None for encoded data.
        detokenized: The lines that the tokens reproduce; None for encoded data.
    """

    text: SentenceDataset
    tokens: Sequence[Sequence[str]]
    raw: Sequence[str] | None
    detokenized: Sequence[str] | None = None


def read_text(paths: Sequence[Path], scorer: Scorer) -> Iterator[ScoredLines]:
    """Read raw text files and tokenize them for a model, in blocks; from a terminal, one line at a time.

    Raises:
        DataError: A file is missing or is not text, or the files are all empty.
    """
    interactive = STDIN in paths and sys.stdin.isatty()
    lines = (line for path in paths for line in tokenizer.read_raw_text(path, scorer.tokenizer))
    empty = True
    for block in encode_lines(lines, scorer, 1 if interactive else BLOCK_LINES):
        empty = False
        yield block
    if empty:
        names = ", ".join("standard input" if path == STDIN else str(path) for path in paths)
        raise DataError(f"{names} is empty", "expected one sentence per line", path=paths[0])


def encode_lines(lines: Iterable[str], scorer: Scorer, block_lines: int = BLOCK_LINES) -> Iterator[ScoredLines]:
    """Tokenize raw lines for a model, in blocks of at most `block_lines`."""
    own_tokenizer = scorer.tokenizer
    for raw in batch_lines(lines, block_lines, BLOCK_CHARACTERS):
        tokens = [line.split() for line in raw] if own_tokenizer is None else own_tokenizer.tokenize_batch(raw)
        detokenized = [detokenize_line(tokens[row], line, own_tokenizer) for row, line in enumerate(raw)]
        yield ScoredLines(_sentences([scorer.vocabulary.encode(line) for line in tokens]), tokens, raw, detokenized)


def detokenize_line(tokens: Sequence[str], raw: str, line_tokenizer: Tokenizer | None) -> str:
    """Return the line that tokens reproduce, as `detokenize` writes it.

    Args:
        tokens: Tokens of the line.
        raw: The line as read; features after its text are tokens too and are kept unchanged.
        line_tokenizer: The tokenizer; None if tokens are separated by white space.
    """
    if line_tokenizer is None:
        return " ".join(tokens)
    features = "".join(raw.partition(FEATURE_SEPARATOR)[1:]) if line_tokenizer.features else ""
    return line_tokenizer.detokenize(tokens) + features


def read_data(folder: Path, split: str, scorer: Scorer) -> Iterator[ScoredLines]:
    """Read the sentences of a split of encoded data, in blocks.

    Raises:
        DataError: There is no such data or split.
        ArtefactError: The data was encoded with another vocabulary or tokenizer than the model's.
        FormatError: A file of the data is damaged.
    """
    from rnnkit.data.aligned_data import AlignedData

    data = AlignedData.open(folder)
    side = data.sides[0] if len(data.sides) == 1 else scorer.language
    _check_same_encoding(data.meta.inputs, data.folder, side, scorer)
    sentences = data.side(split, side)
    for begin in range(0, len(sentences), BLOCK_LINES):
        end = min(begin + BLOCK_LINES, len(sentences))
        ids = [sentences[row].tolist()[:-1] for row in range(begin, end)]
        yield ScoredLines(_sentences(ids), [scorer.vocabulary.decode(line) for line in ids], None)


def _sentences(ids: Iterable[Sequence[int]]) -> SentenceDataset:
    """Pack lines of ids, appending EOS to each."""
    import numpy as np

    from rnnkit.data.aligned_data import SentenceDataset

    with_eos = [[*line, special_tokens.EOS] for line in ids]
    offsets = np.concatenate(([0], np.cumsum([len(line) for line in with_eos], dtype=np.int64)))
    return SentenceDataset(np.array([token_id for line in with_eos for token_id in line], dtype=np.int64), offsets)


def _check_same_encoding(inputs: Mapping[str, str], folder: Path, side: str, scorer: Scorer) -> None:
    vocabulary = inputs.get("vocabulary", inputs.get(f"vocabulary.{side}"))
    data_digest: str | None
    model_digest: str | None
    if vocabulary != scorer.vocabulary_digest:
        part, data_digest, model_digest = "vocabulary", vocabulary, scorer.vocabulary_digest
    elif inputs.get("tokenizer") != scorer.tokenizer_identity:
        part, data_digest, model_digest = "tokenizer", inputs.get("tokenizer"), scorer.tokenizer_identity
    else:
        return
    raise ArtefactError(
        f"{folder} does not match the model {scorer.folder}",
        f"the data was encoded with {_digest(part, data_digest)}, the model has {_digest(part, model_digest)}",
        hint="score the raw text instead: the model tokenizes it itself",
        path=folder,
    )


def _digest(part: str, digest: str | None) -> str:
    return f"no {part}" if digest is None else f"a {part} with sha256 {digest[:12]}…"


class UnknownWordCounter:
    """Counts out-of-vocabulary words, to detect text that is not tokenized as the training text was.

    A model that was imported, or trained on tokenized text, splits at white space. If it is given raw text, `crown.` is
    a single unknown word: the perplexity is poor, and no other figure shows the cause.

    Args:
        scorer: The model.
    """

    def __init__(self, scorer: Scorer) -> None:
        kind = None if scorer.tokenizer is None else scorer.tokenizer.kind
        self._enabled = kind is None or kind in WHITESPACE_TOKENIZERS
        self._scorer = scorer
        self._words = self._unknown = self._punctuated = 0

    def add(self, lines: ScoredLines) -> None:
        """Count the words of a block of lines."""
        if not self._enabled or lines.raw is None:
            return
        ids = lines.text.ids
        self._words += int((ids != EOS).sum())
        self._unknown += int((ids == UNK).sum())
        self._punctuated += sum(map(self._count_punctuated, lines.tokens))

    def warn(self, listen: Listener) -> None:
        """Emit a warning if the text seems to be raw."""
        few_unknown = self._unknown <= MAX_UNKNOWN_SHARE * self._words
        if few_unknown and self._punctuated <= MAX_PUNCTUATED_SHARE * self._words:
            return
        known = f", {self._punctuated:,} of which it knows without adjacent punctuation" if self._punctuated else ""
        listen(
            WarningEvent(
                f"{self._unknown:,} of {self._words:,} words are unknown to {self._scorer.folder}{known}: "
                "the model was estimated from tokenized text and splits at white space: tokenize this text in the same "
                "way, for example with `rnnkit tokenize`, and score the tokens"
            )
        )

    def _count_punctuated(self, line: Sequence[str]) -> int:
        known = self._scorer.vocabulary.ids
        return sum(word not in known and _strip_punctuation(word) in known for word in line)


def _strip_punctuation(word: str) -> str:
    """Remove punctuation and symbols from both ends of a word."""
    begin, end = 0, len(word)
    while begin < end and unicodedata.category(word[begin])[0] in "PS":
        begin += 1
    while begin < end and unicodedata.category(word[end - 1])[0] in "PS":
        end -= 1
    return word[begin:end]
