"""What `score` reads: language models of every kind, and text in the tokens that they know."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.config import STDIN
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, WarningEvent
from rnnkit.io import manifest
from rnnkit.text import special_tokens
from rnnkit.text.lines import batch_lines
from rnnkit.text.normalizer import NONE
from rnnkit.text.tokenizers import tokenizer
from rnnkit.text.tokenizers.features import FEATURE_SEPARATOR

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from rnnkit.data.aligned_data import SentenceDataset
    from rnnkit.models.language_model import LanguageModel
    from rnnkit.ngrams.model import NgramModel
    from rnnkit.text.tokenizers.tokenizer import Tokenizer
    from rnnkit.text.vocabulary import Vocabulary
    from rnnkit.text.vocabulary_mapping import VocabularyMapping

    FloatArray = NDArray[np.float64]

NGRAM = "ngram"
IN_TOKENS = ("blanks", "spaces")
"""Kinds of tokenizers that imported models have: text is in tokens, of which they change nothing."""

GROUP_LINES, GROUP_CHARACTERS = 256, 1 << 15
"""Most lines, and about as many characters, that are scored at once: what is read ahead of the first result."""


@dataclass(frozen=True)
class Scorer:
    """A model directory that gives tokens their probability: a network or counts, one of the two.

    Attributes:
        folder: Where it came from.
        vocabulary: Its tokens.
        vocabulary_digest: sha256 of their file.
        tokenizer: Cuts raw lines; None where text comes in tokens.
        tokenizer_identity: What tells its tokens from another's; None where there is none.
        language: Of the text it learned from.
        network: The neural model, in evaluation mode on its device.
        counts: The n-grams.
    """

    folder: Path
    vocabulary: Vocabulary
    vocabulary_digest: str
    tokenizer: Tokenizer | None
    tokenizer_identity: str | None
    language: str
    network: LanguageModel | None = None
    counts: NgramModel | None = None

    @property
    def cuts(self) -> bool:
        """Whether it cuts raw text itself; text of a model without a tokenizer, or an imported one, is in tokens."""
        plain = [{"type": kind, "normalise": NONE, "lowercase": False} for kind in IN_TOKENS]
        return self.tokenizer is not None and self.tokenizer.options not in plain

    @property
    def ngrams(self) -> NgramModel:
        """The n-grams of a counted model. Raises ValueError where it is none."""
        if self.counts is None:
            raise ValueError(f"{self.folder} is no counted model")
        return self.counts


@dataclass(frozen=True)
class Lines:
    """Some lines of a text.

    Attributes:
        text: Their ids, each line with its EOS; the offsets begin at 0.
        tokens: Their tokens as text, end symbols left out.
        raw: The lines as they were read; None where the text was in ids.
        reproduced: The lines that the tokens spell; None where the text was in ids.
    """

    text: SentenceDataset
    tokens: Sequence[Sequence[str]]
    raw: Sequence[str] | None
    reproduced: Sequence[str] | None = None


def open_scorer(folder: Path, checkpoint: str, device: torch.device) -> Scorer:
    """Open a language model, neural or counted.

    Args:
        folder: Its directory.
        checkpoint: Which weights of a neural one.
        device: Where a neural one goes.

    Raises:
        DataError: There is no model, or it has no such checkpoint.
        ArtefactError: It is a model for something else.
        FormatError: A file is damaged; the message names it.
        UsageError: A checkpoint of counts was asked for.
    """
    from rnnkit.models import lm_store, store
    from rnnkit.ngrams import store as ngram_store
    from rnnkit.text.tokenizers.store import read_tokenizer_identity
    from rnnkit.text.vocabulary import Vocabulary

    document = store.read_config(folder)
    store.check_task(folder, document["task"], store.LANGUAGE_MODEL)
    path = folder / lm_store.VOCABULARY_FILE
    counted = document["network"].get("arch") == NGRAM
    if counted and checkpoint != "best":
        raise UsageError(f"--checkpoint {checkpoint}: {folder} holds counts, which have no checkpoints")
    return Scorer(
        folder=folder,
        vocabulary=Vocabulary.load(path),
        vocabulary_digest=manifest.sha256(path),
        tokenizer=lm_store.find_tokenizer(folder),
        tokenizer_identity=read_tokenizer_identity(folder / "tokenizer") if (folder / "tokenizer").exists() else None,
        language=str(document["languages"][0]),
        network=None if counted else lm_store.load_language_model(folder, checkpoint, device).network,
        counts=ngram_store.load(folder / ngram_store.NAME) if counted else None,
    )


@dataclass(frozen=True)
class Matched:
    """A model beside the main one, and how it reads the main one's tokens.

    Attributes:
        scorer: The model.
        matching: Rows of the main model's vocabulary in its own; None where both have the same rows.
    """

    scorer: Scorer
    matching: VocabularyMapping | None = None

    def read(self, group: Lines) -> SentenceDataset:
        """The ids that the model has for lines in the main model's tokens: those of its own tokens spelt alike.

        A token that the main model lacks may be one that this one has. What this one lacks is its `<unk>`.
        """
        import numpy as np

        from rnnkit.data.aligned_data import SentenceDataset

        if self.matching is None:
            return group.text
        ids = self.matching.other_id_V[np.asarray(group.text.ids, dtype=np.int64)]
        if group.raw is not None:
            table = self.scorer.vocabulary.ids
            for place in np.flatnonzero(np.asarray(group.text.ids) == special_tokens.UNK).tolist():
                line = int(np.searchsorted(group.text.offsets, place, side="right")) - 1
                ids[place] = table.get(group.tokens[line][place - int(group.text.offsets[line])], special_tokens.UNK)
        return SentenceDataset(ids, group.text.offsets)


def match_models(main: Scorer, other: Scorer, listen: Listener) -> Matched:
    """Match the vocabularies of two models by spelling.

    Args:
        main: The model whose tokens text is cut into.
        other: Another.
        listen: Warned of tokens that one of them lacks.

    Raises:
        ArtefactError: They cut text differently, or most tokens do not match; both are named.
    """
    from rnnkit.text import vocabulary_mapping

    names = str(main.folder), str(other.folder)
    if main.cuts and other.cuts and main.tokenizer_identity != other.tokenizer_identity:
        raise ArtefactError(
            f"{main.folder} and {other.folder} do not predict the same tokens",
            f"they cut text differently: {_cutting(main)}, {_cutting(other)}",
            hint="models that are mixed are trained on data made with one tokenizer",
        )
    if main.vocabulary.tokens == other.vocabulary.tokens:
        return Matched(other)
    found = vocabulary_mapping.map_vocabulary(
        main.vocabulary, other.vocabulary, _frequencies(main), _frequencies(other)
    )
    vocabulary_mapping.check_overlap(found, *names)
    if warning := vocabulary_mapping.describe_mismatches(found, *names):
        listen(WarningEvent(warning))
    return Matched(other, found)


def _frequencies(scorer: Scorer) -> FloatArray:
    from rnnkit.text.vocabulary_mapping import token_frequencies

    return token_frequencies(scorer.vocabulary, None if scorer.counts is None else scorer.counts.unigrams())


def read_text(paths: Sequence[Path], scorer: Scorer) -> Iterator[Lines]:
    """The lines of raw text files, cut into the model's tokens, some at a time; one at a time from a keyboard.

    Raises:
        DataError: A file is missing or no text, or there is no line in all of them.
    """
    live = STDIN in paths and sys.stdin.isatty()
    cutter = scorer.tokenizer
    lines = (line for path in paths for line in tokenizer.read_raw_text(path, cutter))
    groups = batch_lines(lines, 1 if live else GROUP_LINES, GROUP_CHARACTERS)
    empty = True
    for raw in groups:
        empty = False
        tokens = [line.split() for line in raw] if cutter is None else cutter.tokenize_batch(raw)
        spelled = [spell(tokens[place], line, cutter) for place, line in enumerate(raw)]
        yield Lines(_sentences([scorer.vocabulary.encode(line) for line in tokens]), tokens, raw, spelled)
    if empty:
        names = ", ".join("standard input" if path == STDIN else str(path) for path in paths)
        raise DataError(f"{names} is empty", "one sentence a line is expected")


def spell(tokens: Sequence[str], raw: str, cutter: Tokenizer | None) -> str:
    """The line that tokens reproduce, as `detokenize` gives it back.

    Args:
        tokens: Of the line.
        raw: The line as it was read; features beside its text are tokens too, and stay as they are.
        cutter: The tokenizer; None for white space.
    """
    if cutter is None:
        return " ".join(tokens)
    beside = "".join(raw.partition(FEATURE_SEPARATOR)[1:]) if cutter.features else ""
    return cutter.detokenize(tokens) + beside


def read_data(folder: Path, split: str, scorer: Scorer) -> Iterator[Lines]:
    """The sentences of a part of aligned data, some at a time.

    Raises:
        DataError: There is no such data or part.
        ArtefactError: The data was made with another vocabulary or tokenizer than the model's.
        FormatError: A file of the data is damaged.
    """
    from rnnkit.data.aligned_data import AlignedData

    data = AlignedData.open(folder)
    side = data.sides[0] if len(data.sides) == 1 else scorer.language
    _check_data(data.meta.inputs, data.folder, side, scorer)
    sentences = data.side(split, side)
    for begin in range(0, len(sentences), GROUP_LINES):
        end = min(begin + GROUP_LINES, len(sentences))
        ids = [sentences[number].tolist()[:-1] for number in range(begin, end)]
        yield Lines(_sentences(ids), [scorer.vocabulary.decode(line) for line in ids], None)


def _sentences(ids: Iterable[Sequence[int]]) -> SentenceDataset:
    """Lines of ids, with EOS put behind each."""
    import numpy as np

    from rnnkit.data.aligned_data import SentenceDataset

    ended = [[*line, special_tokens.EOS] for line in ids]
    offsets = np.concatenate(([0], np.cumsum([len(line) for line in ended], dtype=np.int64)))
    return SentenceDataset(np.array([row for line in ended for row in line], dtype=np.int64), offsets)


def _check_data(made_from: Mapping[str, str], folder: Path, side: str, scorer: Scorer) -> None:
    vocabulary = made_from.get("vocabulary", made_from.get(f"vocabulary.{side}"))
    theirs: str | None
    ours: str | None
    if vocabulary != scorer.vocabulary_digest:
        what, theirs, ours = "vocabulary", vocabulary, scorer.vocabulary_digest
    elif made_from.get("tokenizer") != scorer.tokenizer_identity:
        what, theirs, ours = "tokenizer", made_from.get("tokenizer"), scorer.tokenizer_identity
    else:
        return
    raise ArtefactError(
        f"{folder} and {scorer.folder} do not belong together",
        f"the data was made with {_digest(what, theirs)}, the model has {_digest(what, ours)}",
        hint="give the raw text instead: the model cuts it into its own tokens",
    )


def _digest(what: str, digest: str | None) -> str:
    return f"no {what}" if digest is None else f"a {what} of sha256 {digest[:12]}…"


def _cutting(scorer: Scorer) -> str:
    how = "at white space" if scorer.tokenizer is None else f"with the tokenizer {scorer.tokenizer}"
    return f"{scorer.folder} {how}"
